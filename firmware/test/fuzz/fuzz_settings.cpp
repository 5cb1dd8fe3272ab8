// Blobs of NVS: settings, claim, Wi-Fi, image record; with a right checksum, or the parser would never be reached.
#include "fuzz.h"

using namespace sim;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 2000) return 0;
  static World w;
  Bytes blob(data, data + size);
  blob.resize(size + 4);
  put_be32(blob.data() + size, crc32(data, size));
  Settings s;
  Caps caps;
  if (settings_load(s, blob.data(), blob.size(), caps)) {
    MUST(s.framerate >= 1 && s.framerate <= 25 && static_cast<int>(s.resolution) < kResolutions);
    uint8_t again[kSettingsBlobMax];
    MUST(settings_save(s, again, sizeof again) == blob.size());
  }
  for (const char* key : {"claim", "wifi", "ota"}) w.store[key] = blob;
  Claim c;
  if (claim_load(w, &c)) MUST(c.hosts >= 1 && c.hosts <= kMaxHosts && strlen(c.name) < sizeof c.name && claim_save(w, c));
  WifiCredentials wifi;
  if (wifi_load(w, &wifi)) MUST(wifi_valid(wifi.ssid, wifi.password));
  OtaUpdate ota(w, nullptr);
  ota.boot();
  return 0;
}
