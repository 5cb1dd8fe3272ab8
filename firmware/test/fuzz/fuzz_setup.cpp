// POST /setup: any body; and, sealed with the right code, any bundle.
#include "fuzz.h"

using namespace sim;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World w;
  static SetupCode code;
  if (!code.canonical()[0]) code.open(w);
  static char scratch[4096];
  SetupEndpoint e(w);
  Bundle b;
  char out[768];
  e.get(out, sizeof out, "AA:BB:CC:DD:EE:FF", "m", "f", Caps());
  const int status = e.post(reinterpret_cast<const char*>(data), size, "AA:BB:CC:DD:EE:FF", code, scratch, sizeof scratch, &b);
  MUST(status == 400 || status == 403 || status == 410);
  if (size > 2500) return 0;
  const json::Value about = json::parse(out, strlen(out));
  char nonce[32];
  MUST(about.get("nonce").to_string(nonce, sizeof nonce));
  uint8_t raw[16], key[32], iv[12] = {0};
  size_t n = 0;
  MUST(base64_decode(nonce, strlen(nonce), raw, sizeof raw, &n) && setup_key(code.canonical(), raw, key));
  Bytes box(size + 16);
  gcm_seal(key, iv, reinterpret_cast<const uint8_t*>("AA:BB:CC:DD:EE:FF"), 17, data, size, box.data());
  std::string text(box.size() * 2 + 2, 0);
  text.resize(base64url_encode(box.data(), box.size(), &text[0], text.size()));
  const std::string body = std::string("{\"nonce\":\"") + nonce + "\",\"iv\":\"AAAAAAAAAAAAAAAA\",\"box\":\"" + text + "\"}";
  const int sealed = e.post(body.data(), body.size(), "AA:BB:CC:DD:EE:FF", code, scratch, sizeof scratch, &b);
  MUST(sealed == 204 || sealed == 400 || sealed == 410);
  if (sealed == 204) MUST(b.claim.hosts && b.claim.port && host_valid(b.claim.name) && key_valid(b.token));
  return 0;
}
