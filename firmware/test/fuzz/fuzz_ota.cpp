// Offers, signatures, and JPEGs for the coarse luma.
#include "fuzz.h"

using namespace sim;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World w;
  static const uint8_t key[65] = {4};
  OtaUpdate ota(w, size && (data[0] & 1) ? key : nullptr);
  const std::string text(reinterpret_cast<const char*>(data), size);
  const char* error = ota.offer(json::parse(text.data(), size), "1.0.0", BatteryCurve(), -1);
  if (!error) {
    MUST(ota.offered().path[0] == '/' && ota.offered().size);
    if (ota.start()) {
      ota.write(data, std::min<size_t>(size, ota.offered().size));
      ota.finish();
    }
  }
  uint8_t hash[32] = {1};
  MUST(!ecdsa_p256_verify(key, hash, data, size));
  compare_versions(text.c_str(), "1.2.3-x");
  LumaGrid grid;
  luma_grid(data, size, &grid);
  return 0;
}
