// Pins that are neither camera nor radio: PIR, button, LEDs, battery, supply; and what of them must hold through sleep.
#pragma once

#include <stdint.h>

#include "../core/platform.h"

namespace magicpi {

class BoardIo {
 public:
  /// Sets levels first, then ends the holds of the last sleep, so that no pin glitches.
  void begin();
  /// Why the chip started. Valid once begin() ran.
  WakeCause wake_cause() const { return cause_; }

  bool pir() const;
  bool ring() const;
  /// As Platform::charging().
  int charging() const;
  /// Level of the button, debounced; `known` is false while its pin is driven by the camera.
  bool button(uint64_t now_ms, bool sensor_on, bool* known);
  /// Cell voltage in mV, -1 without a divider or without a cell.
  int battery_mv() const;

  void flash(bool on);
  void identify(uint64_t now_ms, uint32_t ms) { identify_until_ms_ = now_ms + ms; }
  /// LED pattern of this moment.
  void show(State state, uint64_t now_ms);

  /// After the driver gave its pins back: power-down high, and the button's pull-up if it shares the clock's pin.
  void sensor_off();
  /// Holds what must keep its level, arms the wake sources, sleeps. Does not return.
  [[noreturn]] void sleep(const SleepRequest& request);

 private:
  WakeCause cause_ = WakeCause::Power;
  uint64_t identify_until_ms_ = 0;
  uint64_t button_since_ms_ = 0;
  bool button_raw_ = false, button_ = false;
  bool flash_on_ = false;
};

}  // namespace magicpi
