// What survives deep sleep but not power loss: speed-ups and counters only, nothing that would be missed.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "platform.h"

namespace magicpi {

enum WakeKind : uint8_t { kWakePir, kWakeTimer, kWakeRing, kWakeOther };

constexpr size_t kTlsSessionMax = 1344;

/// Lives in Platform::rtc_memory(). seal() before every sleep and restart; after a crash in between the CRC does not
/// match (the content may be half written) and all of it is dropped.
struct RtcState {
  uint32_t magic;
  uint16_t version;
  uint16_t size;
  uint32_t crc;                    // over everything behind it

  WifiCache wifi;
  char gateway_host[64];           ///< last address that worked, empty = none
  uint16_t gateway_port;
  uint16_t session_len;            ///< bytes of `session`, 0 = none
  uint8_t session[kTlsSessionMax];
  uint64_t wake_window_ms;         ///< rtc_ms() at which the current hour of PIR wakes began
  uint16_t wakes_in_window;
  uint8_t timer_failures;          ///< failed timer wakes in a row: exponent of their interval
  uint8_t event_failures;          ///< failed PIR wakes in a row
  uint8_t brownouts;               ///< in a row
  uint8_t pir_wait_low;            ///< 1: this sleep ends when the PIR falls, and then only to arm it again
  uint8_t refused;                 ///< 1: key refused, ask again rarely
  uint8_t battery_level;           ///< BatteryLevel, for hysteresis
  uint8_t restart_for_ota;         ///< 1: this restart installs an image
  uint8_t spare;
  uint16_t event_s_in_window;      ///< seconds of events in the current hour
  uint32_t lost_before;            ///< frames lost in earlier boots that no hello has reported yet
  uint32_t wakes;                  ///< since power-on
  uint16_t alarms_dropped;         ///< by the camera itself, not reported yet; up to the limit
  uint16_t wakes_by[4];            ///< WakeKind, of earlier boots, not reported yet
  uint32_t awake_ms, radio_ms, sensor_ms;   ///< of the same
  uint8_t scene_known;             ///< 1: `scene` is what the camera sees when nothing moves
  uint8_t scene[16 * 12];
  uint64_t next_timer_ms;          ///< rtc_ms() of the next due timer wake: PIR wakes do not postpone it
};

static_assert(sizeof(RtcState) <= kRtcBytes, "RTC memory is 8 KB on the chip, of which the core takes two");

/// True if magic, version, size and CRC fit; otherwise the state is cleared and made valid.
bool rtc_open(RtcState* state);
void rtc_seal(RtcState* state);

}  // namespace magicpi
