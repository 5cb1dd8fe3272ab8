// The few primitives of setup, WebSocket accept and OTA, by mbedTLS (2.28 and 3.x).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <mbedtls/sha256.h>

namespace magicpi {

void sha256(const uint8_t* data, size_t n, uint8_t out[32]);
bool sha1(const uint8_t* data, size_t n, uint8_t out[20]);

/// Incremental SHA-256.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void restart();
  void update(const uint8_t* data, size_t n);
  void finish(uint8_t out[32]);

 private:
  mbedtls_sha256_context context_;
};

/// HKDF-SHA256 (RFC 5869), extract and expand.
bool hkdf_sha256(const uint8_t* ikm, size_t ikm_len, const uint8_t* salt, size_t salt_len, const uint8_t* info,
                 size_t info_len, uint8_t* out, size_t out_len);

/// AES-256-GCM: `n` bytes of ciphertext followed by the 16-byte tag at `box`; plain may equal box.
/// False if the tag does not match; `plain` is then zeroed.
bool gcm_open(const uint8_t key[32], const uint8_t iv[12], const uint8_t* aad, size_t aad_len, const uint8_t* box,
              size_t n, uint8_t* plain);
/// The other direction, for the tests and tools: writes n + 16 bytes.
bool gcm_seal(const uint8_t key[32], const uint8_t iv[12], const uint8_t* aad, size_t aad_len, const uint8_t* plain,
              size_t n, uint8_t* box);

/// ECDSA over P-256: `key` is 04|x|y, `signature` DER (ECDSA-Sig-Value) or raw r|s of 64 bytes.
bool ecdsa_p256_verify(const uint8_t key[65], const uint8_t hash[32], const uint8_t* signature, size_t n);

/// Overwrites secrets in a way the compiler keeps.
void wipe(void* p, size_t n);

}  // namespace magicpi
