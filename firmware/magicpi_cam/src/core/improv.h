// Improv Wi-Fi over the serial console: the browser that flashed the camera hands it the Wi-Fi password.
// Packet: "IMPROV", version 1, type, length, data, checksum (low byte of the sum of all before), line feed.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace magicpi {

enum class ImprovState : uint8_t { Ready = 2, Provisioning = 3, Provisioned = 4 };
enum class ImprovError : uint8_t { None = 0, InvalidRpc = 1, UnknownRpc = 2, UnableToConnect = 3, NotAuthorized = 4, Unknown = 0xff };
enum class ImprovCommand : uint8_t { WifiSettings = 1, GetState = 2, DeviceInfo = 3, Scan = 4 };
enum class ImprovPacket : uint8_t { State = 1, Error = 2, Rpc = 3, RpcResult = 4 };

/// Finds packets in a stream that also carries lines typed by a person.
class ImprovParser {
 public:
  enum class Event : uint8_t {
    None,
    Rpc,      ///< command(), data(), length()
    Bad,      ///< a packet with wrong checksum or inner length
    Line      ///< line(): text outside packets, NUL-terminated, at most 31 characters
  };
  Event feed(uint8_t byte);

  ImprovCommand command() const { return static_cast<ImprovCommand>(packet_[9]); }
  const uint8_t* data() const { return packet_ + 11; }
  size_t length() const { return packet_[10]; }
  const char* line() const { return line_; }

 private:
  Event text(uint8_t byte);
  uint8_t packet_[9 + 255 + 1];
  uint16_t n_ = 0;
  char line_[32] = {0};
  uint8_t line_n_ = 0;
};

/// Splits the data of WifiSettings; false if the lengths do not add up or do not fit (33 and 65 bytes with NUL).
bool improv_wifi(const uint8_t* data, size_t n, char ssid[33], char password[65]);

/// Builds a packet into `out` (at most 9 + 255 + 2 bytes); whole length.
size_t improv_state(uint8_t* out, ImprovState state);
size_t improv_error(uint8_t* out, ImprovError error);
/// Result of a command: `strings` in order; those that do not fit 255 bytes are left out.
size_t improv_result(uint8_t* out, ImprovCommand command, const char* const* strings, size_t count);
constexpr size_t kImprovMax = 9 + 255 + 2;

}  // namespace magicpi
