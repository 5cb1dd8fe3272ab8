#include "setup.h"

#include <string.h>

#include "codec.h"
#include "crypto.h"
#include "json.h"
#include "protocol.h"

namespace magicpi {

namespace {
const char kCrockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
}

void SetupCode::open(Platform& platform) {
  char text[17] = {0};
  if (platform.store_get("setup_code", text, 16) == 16 && parse(text)) return;
  uint8_t bytes[16];
  platform.random(bytes, sizeof bytes);
  // 256 is a multiple of 32, so the low five bits of each byte are uniform.
  for (size_t i = 0; i < 16; ++i) canonical_[i] = kCrockford[bytes[i] & 31];
  canonical_[16] = 0;
  wipe(bytes, sizeof bytes);
  group();
  platform.store_set("setup_code", canonical_, 16);
}

bool SetupCode::parse(const char* text) {
  char out[17];
  size_t n = 0;
  for (; *text; ++text) {
    char c = *text;
    if (c == '-' || c == ' ') continue;
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    if (c == 'I' || c == 'L') c = '1';
    if (c == 'O') c = '0';
    if (n == 16 || !strchr(kCrockford, c)) return false;
    out[n++] = c;
  }
  if (n != 16) return false;
  memcpy(canonical_, out, 16);
  canonical_[16] = 0;
  group();
  return true;
}

void SetupCode::group() {
  size_t k = 0;
  for (size_t i = 0; i < 16; ++i) {
    if (i && i % 4 == 0) grouped_[k++] = '-';
    grouped_[k++] = canonical_[i];
  }
  grouped_[k] = 0;
}

bool parse_bundle(Platform& platform, char* text, size_t n, Bundle* out) {
  const json::Value root = json::parse(text, n);
  uint32_t version = 0, port = 0;
  if (!root.get("v").to_u32(&version) || version != 1) return false;
  const json::Value gateway = root.get("gateway");
  Claim& claim = out->claim;
  claim = Claim();
  const json::Value hosts = gateway.get("hosts");
  for (size_t i = 0; hosts.at(i) && claim.hosts < kMaxHosts; ++i) {
    char* host = claim.host[claim.hosts];
    // An address this camera cannot dial (too long, IPv6 with a zone) does not spoil the others.
    if (hosts.at(i).to_string(host, kHostMax) && host_valid(host)) ++claim.hosts;
  }
  if (claim.hosts == 0) return false;
  if (!gateway.get("port").to_u32(&port) || port == 0 || port > 65535) return false;
  claim.port = static_cast<uint16_t>(port);
  if (!gateway.get("name").to_string(claim.name, sizeof claim.name) || !host_valid(claim.name)) return false;
  if (!root.get("token").to_string(out->token, sizeof out->token) || !key_valid(out->token)) return false;
  out->time_ms = 0;
  root.get("time").to_u64(&out->time_ms);
  char* pem = nullptr;
  size_t pem_length = 0;
  json::Value ca = root.get("ca");
  return ca.to_string_in_place(&pem, &pem_length) && ca_save(platform, pem, pem_length, claim.ca16);
}

bool setup_key(const char* code, const uint8_t nonce[16], uint8_t key[32]) {
  static const char kInfo[] = "magicpi-setup-v1";
  return hkdf_sha256(reinterpret_cast<const uint8_t*>(code), strlen(code), nonce, 16,
                     reinterpret_cast<const uint8_t*>(kInfo), sizeof kInfo - 1, key, 32);
}

void SetupEndpoint::new_nonce() {
  platform_.random(nonce_, sizeof nonce_);
  have_nonce_ = true;
}

size_t SetupEndpoint::get(char* out, size_t cap, const char* id, const char* model, const char* fw, const Caps& caps) {
  if (!have_nonce_) new_nonce();
  char nonce[23];
  base64url_encode(nonce_, sizeof nonce_, nonce, sizeof nonce);
  json::Writer w(out, cap);
  w.begin().str("id", id).str("model", model).str("fw", fw).num("proto", 1).str("nonce", nonce);
  write_caps(w, caps);
  w.end();
  return w.finish();
}

int SetupEndpoint::post(const char* body, size_t n, const char* id, const SetupCode& code, char* scratch, size_t cap,
                        Bundle* bundle) {
  const uint64_t now = platform_.now_ms();
  if (now < locked_until_ms_) return 429;
  const json::Value root = json::parse(body, n);
  char text[24];
  uint8_t nonce[16], iv[12];
  size_t length = 0;
  if (!root.get("nonce").to_string(text, sizeof text, &length) || !base64_decode(text, length, nonce, 16, &length) ||
      length != 16) {
    return 400;
  }
  if (!root.get("iv").to_string(text, sizeof text, &length) || !base64_decode(text, length, iv, 12, &length) ||
      length != 12) {
    return 400;
  }
  if (!root.get("box").to_string(scratch, cap, &length)) return 400;
  uint8_t* box = reinterpret_cast<uint8_t*>(scratch);
  if (!base64_decode(scratch, length, box, cap, &length) || length < 18) return 400;
  if (!have_nonce_ || !equal_constant_time(nonce, nonce_, 16)) return 410;

  uint8_t key[32];
  const size_t plain = length - 16;
  const bool open = setup_key(code.canonical(), nonce_, key) &&
                    gcm_open(key, iv, reinterpret_cast<const uint8_t*>(id), strlen(id), box, plain, box);
  wipe(key, sizeof key);
  // A nonce is good for one try, whatever came of it.
  new_nonce();
  if (!open) {
    if (++failures_ >= kMaxFailures) {
      failures_ = 0;
      locked_until_ms_ = now + kLockMs;
    }
    return 403;
  }
  failures_ = 0;
  const bool good = parse_bundle(platform_, scratch, plain, bundle);
  wipe(scratch, cap);
  return good ? 204 : 400;
}

}  // namespace magicpi
