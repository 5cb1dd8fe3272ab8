#include "ota.h"

#include <string.h>

#include "codec.h"

namespace magicpi {

namespace {

constexpr uint8_t kVersion = 1;

/// NVS record of the last image installed: is it running, and how often did it fail to?
struct Record {
  uint8_t sha256[32];
  uint8_t installed = 0;     // waits for its first boot
  uint8_t rollbacks = 0;
};

bool load(Platform& platform, Record* r) {
  uint8_t blob[64];
  BlobReader in(blob, platform.store_get("ota", blob, sizeof blob), kVersion);
  in.bytes(r->sha256, 32);
  r->installed = in.u8();
  r->rollbacks = in.u8();
  if (in.done()) return true;
  *r = Record();
  return false;
}

void store(Platform& platform, const Record& r) {
  uint8_t blob[64];
  BlobWriter out(blob, sizeof blob, kVersion);
  out.bytes(r.sha256, 32);
  out.u8(r.installed);
  out.u8(r.rollbacks);
  platform.store_set("ota", blob, out.finish());
}

bool path_valid(const char* p) {
  if (*p != '/') return false;
  for (; *p; ++p) {
    if (*p <= ' ' || *p > '~') return false;
  }
  return true;
}

}  // namespace

const char* OtaUpdate::offer(json::Value m, const char* current, const BatteryCurve& curve, int battery_mv) {
  abort();
  offer_ = OtaOffer();
  tries_ = 0;
  char text[112];
  size_t n = 0;
  if (!m.get("version").to_string(offer_.version, sizeof offer_.version) || !offer_.version[0] ||
      !m.get("sha256").to_string(text, sizeof text, &n) || n != 64 || !hex_decode(text, offer_.sha256, 32)) {
    return "malformed";
  }
  if (!m.get("path").to_string(offer_.path, sizeof offer_.path) || !path_valid(offer_.path)) return "path";
  if (!m.get("size").to_u32(&offer_.size) || offer_.size == 0) return "size";
  m.get("downgrade").to_bool(&offer_.downgrade);
  if (m.get("signature").to_string(text, sizeof text, &n)) {
    size_t length = 0;
    if (!base64_decode(text, n, offer_.signature, sizeof offer_.signature, &length)) return "malformed";
    offer_.signature_len = static_cast<uint8_t>(length);
  }
  const int order = compare_versions(offer_.version, current);
  if (order == 0) return "same";
  if (order < 0 && !offer_.downgrade) return "downgrade";
  // The signature itself waits for the image; a missing one need not.
  if (key_ && !offer_.signature_len) return "unsigned";
  if (battery_mv >= 0 && battery_mv < curve.ota_mv) return "battery";
  Record r;
  if (load(platform_, &r) && memcmp(r.sha256, offer_.sha256, 32) == 0 && r.rollbacks >= kMaxRollbacks) return "rolled_back";
  return nullptr;
}

bool OtaUpdate::start() {
  if (++tries_ > kMaxTries) return false;
  if (open_) return true;
  received_ = 0;
  hash_.restart();
  open_ = platform_.ota_begin(offer_.size);
  return open_;
}

bool OtaUpdate::write(const uint8_t* data, size_t n) {
  if (!open_ || n > offer_.size - received_) return false;
  if (!platform_.ota_write(data, n)) return false;
  hash_.update(data, n);
  received_ += static_cast<uint32_t>(n);
  return true;
}

const char* OtaUpdate::finish() {
  uint8_t digest[32];
  hash_.finish(digest);
  const char* error = nullptr;
  if (!complete() || memcmp(digest, offer_.sha256, 32) != 0) error = "sha256";
  else if (key_ && !ecdsa_p256_verify(key_, digest, offer_.signature, offer_.signature_len)) error = "signature";
  if (error) {
    abort();
    return error;
  }
  Record r;
  const bool again = load(platform_, &r) && memcmp(r.sha256, digest, 32) == 0;
  if (!again) r.rollbacks = 0;
  memcpy(r.sha256, digest, 32);
  r.installed = 1;
  open_ = false;
  // The record first: an image that never comes up must be known as tried.
  store(platform_, r);
  if (platform_.ota_finish()) return nullptr;
  r.installed = 0;
  store(platform_, r);
  return "slot";
}

void OtaUpdate::abort() {
  if (open_) platform_.ota_abort();
  open_ = false;
  received_ = 0;
}

bool OtaUpdate::boot() {
  if (platform_.ota_pending()) return true;
  Record r;
  if (load(platform_, &r) && r.installed) {
    r.installed = 0;
    if (r.rollbacks < 255) ++r.rollbacks;
    store(platform_, r);
  }
  return false;
}

void OtaUpdate::confirmed() {
  platform_.ota_confirm();
  platform_.store_erase("ota");
}

}  // namespace magicpi
