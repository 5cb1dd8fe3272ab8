// To whom the camera belongs: addresses, name, key and CA of its gateway, in NVS.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "platform.h"

namespace magicpi {

constexpr uint8_t kMaxHosts = 4;
constexpr size_t kHostMax = 64;
constexpr size_t kCaMax = 2048;      ///< PEM with NUL
constexpr size_t kKeyMax = 64;       ///< base64url of 32 bytes is 43 characters

struct Claim {
  uint8_t hosts = 0;
  char host[kMaxHosts][kHostMax] = {{0}};
  uint16_t port = 0;
  char name[128] = {0};            ///< DNS name in the server certificate
  char ca16[17] = {0};             ///< first 16 hex digits of the CA's SHA-256 (DER)
  char api_key[kKeyMax] = {0};
  char new_key[kKeyMax] = {0};     ///< given by `rekey`, not yet proven

  bool claimed() const { return api_key[0] != 0; }
  /// Puts an address in front of the others (the one that worked), the last falls out.
  void prefer(const char* address);
};

bool claim_save(Platform& platform, const Claim& claim);
bool claim_load(Platform& platform, Claim* claim);
/// Forgets claim and CA.
void claim_erase(Platform& platform);

/// Stores a PEM (NUL counted out) and writes its ca16; false if it is no single certificate in PEM.
bool ca_save(Platform& platform, const char* pem, size_t n, char ca16[17]);
/// NUL-terminated PEM into `out`; false if absent.
bool ca_load(Platform& platform, char* out, size_t cap);

bool wifi_save(Platform& platform, const WifiCredentials& wifi);
bool wifi_load(Platform& platform, WifiCredentials* wifi);
/// SSID of 1..32 bytes; password empty, 8..63 characters or 64 hex digits.
bool wifi_valid(const char* ssid, const char* password);

/// A host that can stand in a dial string and a Host header: letters, digits, '.', '-', ':' only.
bool host_valid(const char* host);
/// base64url text of 20..kKeyMax-1 characters: fit for a header.
bool key_valid(const char* key);

}  // namespace magicpi
