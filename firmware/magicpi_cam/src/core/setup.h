// How Home Assistant claims a camera: setup code, sealed bundle, the two requests of protocol.md section 2.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "claim.h"
#include "platform.h"

namespace magicpi {

/// 80 bits as 16 Crockford base32 characters.
class SetupCode {
 public:
  /// Loads the code from NVS, or makes and stores one.
  void open(Platform& platform);
  /// Takes what a person typed: any case, dashes and blanks, I and L for 1, O for 0. False if it is no code.
  bool parse(const char* text);
  const char* canonical() const { return canonical_; }   ///< 16 characters
  const char* grouped() const { return grouped_; }       ///< "ABCD-EFGH-JKMN-PQRS"

 private:
  void group();
  char canonical_[17] = {0};
  char grouped_[20] = {0};
};

/// What a bundle holds, less the CA, which goes to NVS at once.
struct Bundle {
  Claim claim;               ///< hosts, port, name, ca16; no key yet
  char token[kKeyMax] = {0};
  uint64_t time_ms = 0;      ///< wall clock of the gateway, for logs only
};

/// Reads the plain JSON of a bundle (the text is unescaped in place and spent). The CA is stored by ca_save().
bool parse_bundle(Platform& platform, char* json, size_t n, Bundle* out);

/// key = HKDF-SHA256(code, salt = nonce, info = "magicpi-setup-v1").
bool setup_key(const char* canonical_code, const uint8_t nonce[16], uint8_t key[32]);

/// The setup endpoint's memory: current nonce, failures in a row, lock.
class SetupEndpoint {
 public:
  static constexpr uint8_t kMaxFailures = 5;
  static constexpr uint32_t kLockMs = 60000;

  explicit SetupEndpoint(Platform& platform) : platform_(platform) {}
  /// Body of GET /setup; length, 0 if `cap` is too small.
  size_t get(char* out, size_t cap, const char* id, const char* model, const char* fw, const Caps& caps);
  /// Status of POST /setup: 204 fills `bundle`; 400, 403, 410, 429 otherwise. `scratch` holds body-sized work space.
  int post(const char* body, size_t n, const char* id, const SetupCode& code, char* scratch, size_t cap, Bundle* bundle);

 private:
  void new_nonce();
  Platform& platform_;
  uint8_t nonce_[16];
  bool have_nonce_ = false;
  uint8_t failures_ = 0;
  uint64_t locked_until_ms_ = 0;
};

}  // namespace magicpi
