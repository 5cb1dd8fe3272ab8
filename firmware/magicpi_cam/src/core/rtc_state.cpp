#include "rtc_state.h"

#include <string.h>

#include "codec.h"

namespace magicpi {

namespace {

constexpr uint32_t kMagic = 0x4d504331;  // "MPC1"
constexpr uint16_t kVersion = 2;

uint32_t checksum(const RtcState& s) {
  const size_t head = offsetof(RtcState, crc) + sizeof s.crc;
  return crc32(reinterpret_cast<const uint8_t*>(&s) + head, sizeof s - head);
}

}  // namespace

bool rtc_open(RtcState* s) {
  const bool whole = s->magic == kMagic && s->version == kVersion && s->size == sizeof *s && s->crc == checksum(*s);
  // The CRC catches accidents; the bounds keep even a matching one from leading outside the arrays.
  if (whole && s->session_len <= kTlsSessionMax && memchr(s->gateway_host, 0, sizeof s->gateway_host) &&
      s->battery_level <= 2) {
    return true;
  }
  memset(static_cast<void*>(s), 0, sizeof *s);
  s->magic = kMagic;
  s->version = kVersion;
  s->size = sizeof *s;
  rtc_seal(s);
  return false;
}

void rtc_seal(RtcState* s) { s->crc = checksum(*s); }

}  // namespace magicpi
