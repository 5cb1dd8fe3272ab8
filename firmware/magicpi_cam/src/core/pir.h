// A cheap PIR's manners: needs time after power-on, triggers again by itself, gets stuck, storms.
#pragma once

#include <stdint.h>

namespace magicpi {

class PirPolicy {
 public:
  struct Limits {
    uint32_t settle_ms = 30000;      ///< after power-on edges mean nothing (HC-SR501: 30..60 s)
    uint32_t quiet_ms = 500;         ///< low this long before sleep arms the pin
    uint32_t radio_ms = 2000;        ///< edges this soon after the radio went off may be its own ...
    uint32_t hold_ms = 3000;         ///< ... unless still high this much later: longer than one pulse of a sensor
    uint32_t stuck_ms = 120000;      ///< high this long without a fall is a fault
    uint16_t wakes_per_hour = 30;    ///< more are a storm
    uint16_t event_s_per_hour = 1800;  ///< as are more seconds of events
  };

  explicit PirPolicy(const Limits& limits) : limits_(limits) {}
  /// `from_power_on`: the sensor was without power before this boot.
  void begin(uint64_t now_ms, bool from_power_on, bool wake_by_pir);
  /// Feeds the level of the pin.
  void update(uint64_t now_ms, bool high);
  /// Motion at this moment: high, settled, not stuck and not the radio's doing. A person who keeps moving outlasts the
  /// radio's pulse.
  bool motion() const { return motion_; }
  bool stuck() const { return stuck_; }
  /// High since the radio went off: whose doing it is will show within radio_ms + hold_ms.
  bool doubtful() const { return doubtful_; }
  void radio_off(uint64_t now_ms) { deaf_until_ms_ = now_ms + limits_.radio_ms; }
  /// Milliseconds until sleep may arm the pin, 0 = now; UINT32_MAX while it is high.
  uint32_t quiet_in(uint64_t now_ms) const;
  bool high() const { return high_; }
  /// Time of the last rising edge.
  uint64_t high_since() const { return high_since_ms_; }
  /// Nothing of the sensor is believed before this, now_ms() time.
  uint64_t settled_at() const { return settled_at_ms_; }
  const Limits& limits() const { return limits_; }

 private:
  Limits limits_;
  uint64_t settled_at_ms_ = 0;
  uint64_t deaf_until_ms_ = 0;
  uint64_t high_since_ms_ = 0;
  uint64_t low_since_ms_ = 0;
  bool high_ = false;
  bool motion_ = false;
  bool stuck_ = false;
  bool doubtful_ = false;
};

/// Counts a PIR wake in an hour's window kept in RTC memory; false if there were too many: then PIR wake rests.
bool count_pir_wake(uint64_t* window_ms, uint16_t* wakes, uint64_t rtc_now_ms, uint16_t limit);
/// Seconds until the window ends.
uint32_t pir_rest_s(uint64_t window_ms, uint64_t rtc_now_ms);

}  // namespace magicpi
