// A firmware image from offer to confirmation. Transport and slot are elsewhere: this decides and verifies.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "battery.h"
#include "crypto.h"
#include "json.h"
#include "platform.h"

namespace magicpi {

struct OtaOffer {
  char version[32] = {0};
  uint8_t sha256[32] = {0};
  uint32_t size = 0;
  char path[128] = {0};
  uint8_t signature[80] = {0};
  uint8_t signature_len = 0;       ///< 0 = none
  bool downgrade = false;          ///< an older version on purpose
};

class OtaUpdate {
 public:
  static constexpr uint8_t kMaxTries = 3;          ///< connections per image and wake
  static constexpr uint8_t kMaxRollbacks = 2;
  static constexpr uint32_t kConfirmMs = 180000;   ///< a new image without `welcome` for so long goes back

  OtaUpdate(Platform& platform, const uint8_t* key) : platform_(platform), key_(key) {}

  /// Reads an `ota` message. nullptr if it may be fetched now, else the error slug: malformed, path, size, same,
  /// downgrade, unsigned, battery, rolled_back.
  const char* offer(json::Value message, const char* current, const BatteryCurve& curve, int battery_mv);
  const OtaOffer& offered() const { return offer_; }

  /// Opens the slot (once per offer) and counts the try; false if the slot or the tries are used up.
  bool start();
  /// Bytes received so far, where a Range request goes on.
  uint32_t received() const { return received_; }
  uint32_t percent() const { return offer_.size ? static_cast<uint32_t>(uint64_t(received_) * 100 / offer_.size) : 0; }
  /// More image bytes; false if there are too many or the slot refuses.
  bool write(const uint8_t* data, size_t n);
  bool complete() const { return open_ && received_ == offer_.size; }
  /// Checks hash and signature, makes the slot the one to boot. nullptr, or the error slug: sha256, signature, slot.
  const char* finish();
  void abort();

  /// At boot: true if this boot must be confirmed. Notes a rollback that the boot loader or we did.
  bool boot();
  void confirmed();

 private:
  Platform& platform_;
  const uint8_t* key_;
  OtaOffer offer_;
  Sha256 hash_;
  uint32_t received_ = 0;
  uint8_t tries_ = 0;
  bool open_ = false;
};

}  // namespace magicpi
