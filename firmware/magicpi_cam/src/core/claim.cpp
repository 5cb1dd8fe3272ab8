#include "claim.h"

#include <string.h>

#include "codec.h"
#include "crypto.h"

namespace magicpi {

namespace {

constexpr uint8_t kClaimVersion = 1, kWifiVersion = 1;
constexpr size_t kClaimMax = 640;

bool every(const char* s, bool (*good)(char)) {
  for (; *s; ++s) {
    if (!good(*s)) return false;
  }
  return true;
}

bool alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

bool host_valid(const char* h) {
  return *h && every(h, [](char c) { return alnum(c) || c == '.' || c == '-' || c == ':'; });
}

bool key_valid(const char* k) {
  const size_t n = strlen(k);
  return n >= 20 && n < kKeyMax && every(k, [](char c) { return alnum(c) || c == '-' || c == '_'; });
}

void Claim::prefer(const char* address) {
  uint8_t at = 0;
  while (at < hosts && strcmp(host[at], address) != 0) ++at;
  if (at == hosts) {
    if (hosts < kMaxHosts) ++hosts;
    at = static_cast<uint8_t>(hosts - 1);
  }
  for (; at > 0; --at) memcpy(host[at], host[at - 1], kHostMax);
  copy_string(host[0], kHostMax, address);
}

bool claim_save(Platform& platform, const Claim& c) {
  uint8_t blob[kClaimMax];
  BlobWriter w(blob, sizeof blob, kClaimVersion);
  w.u8(c.hosts);
  for (uint8_t i = 0; i < c.hosts; ++i) w.string(c.host[i]);
  w.u16(c.port);
  w.string(c.name);
  w.string(c.ca16);
  w.string(c.api_key);
  w.string(c.new_key);
  const size_t n = w.finish();
  const bool ok = n && platform.store_set("claim", blob, n);
  wipe(blob, sizeof blob);
  return ok;
}

bool claim_load(Platform& platform, Claim* c) {
  uint8_t blob[kClaimMax];
  BlobReader r(blob, platform.store_get("claim", blob, sizeof blob), kClaimVersion);
  *c = Claim();
  c->hosts = r.u8();
  if (c->hosts > kMaxHosts) c->hosts = 0;
  for (uint8_t i = 0; i < c->hosts; ++i) r.string(c->host[i], kHostMax);
  c->port = r.u16();
  r.string(c->name, sizeof c->name);
  r.string(c->ca16, sizeof c->ca16);
  r.string(c->api_key, sizeof c->api_key);
  r.string(c->new_key, sizeof c->new_key);
  const bool ok = r.done() && c->hosts && c->claimed();
  wipe(blob, sizeof blob);
  if (!ok) *c = Claim();
  return ok;
}

void claim_erase(Platform& platform) {
  platform.store_erase("claim");
  platform.store_erase("ca");
}

bool ca_save(Platform& platform, const char* pem, size_t n, char ca16[17]) {
  static const char kBegin[] = "-----BEGIN CERTIFICATE-----";
  static const char kEnd[] = "-----END CERTIFICATE-----";
  if (n + 1 > kCaMax || strlen(pem) != n) return false;
  const char* body = strstr(pem, kBegin);
  if (!body) return false;
  body += sizeof kBegin - 1;
  const char* end = strstr(body, kEnd);
  if (!end || strstr(body, kBegin)) return false;
  // DER is hashed piece by piece: 4 characters of base64 are 3 bytes.
  Sha256 hash;
  char four[4];
  size_t k = 0, total = 0;
  for (const char* p = body; p < end; ++p) {
    if (*p == '\n' || *p == '\r' || *p == ' ') continue;
    four[k++] = *p;
    if (k < 4) continue;
    uint8_t bytes[3];
    size_t got = 0;
    if (!base64_decode(four, 4, bytes, sizeof bytes, &got)) return false;
    hash.update(bytes, got);
    total += got;
    k = 0;
  }
  if (k || total < 64) return false;
  uint8_t digest[32];
  hash.finish(digest);
  hex_encode(digest, 8, ca16);
  return platform.store_set("ca", pem, n);
}

bool ca_load(Platform& platform, char* out, size_t cap) {
  const size_t n = platform.store_get("ca", out, cap - 1);
  out[n] = 0;
  return n != 0;
}

bool wifi_valid(const char* ssid, const char* password) {
  const size_t s = strlen(ssid), p = strlen(password);
  if (s < 1 || s > 32 || p > 64) return false;
  if (p == 64) return every(password, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
  return p == 0 || p >= 8;
}

bool wifi_save(Platform& platform, const WifiCredentials& wifi) {
  uint8_t blob[112];
  BlobWriter w(blob, sizeof blob, kWifiVersion);
  w.string(wifi.ssid);
  w.string(wifi.password);
  const size_t n = w.finish();
  const bool ok = n && platform.store_set("wifi", blob, n);
  wipe(blob, sizeof blob);
  return ok;
}

bool wifi_load(Platform& platform, WifiCredentials* wifi) {
  uint8_t blob[112];
  BlobReader r(blob, platform.store_get("wifi", blob, sizeof blob), kWifiVersion);
  r.string(wifi->ssid, sizeof wifi->ssid);
  r.string(wifi->password, sizeof wifi->password);
  const bool ok = r.done() && wifi_valid(wifi->ssid, wifi->password);
  wipe(blob, sizeof blob);
  if (!ok) *wifi = WifiCredentials();
  return ok;
}

}  // namespace magicpi
