// What a falling battery voltage forbids.
#pragma once

#include <stdint.h>

namespace magicpi {

enum class BatteryLevel : uint8_t { Good, Low, Critical };

struct BatteryCurve {
  int low_mv = 3600;
  int critical_mv = 3400;
  int ota_mv = 3700;          ///< an image is only written at or above this
  int hysteresis_mv = 50;
};

/// Level after a reading; `before` gives the hysteresis. mv < 0 (no battery) is Good.
BatteryLevel battery_level(const BatteryCurve& curve, int mv, BatteryLevel before);
/// Percent of one Li-ion cell, 0..100; -1 for mv < 0.
int battery_percent(int mv);
/// Event length in seconds that the level leaves of the configured one: all, a half, none.
uint32_t battery_limit_s(BatteryLevel level, uint32_t configured_s);

}  // namespace magicpi
