#include "battery.h"

namespace magicpi {

BatteryLevel battery_level(const BatteryCurve& c, int mv, BatteryLevel before) {
  if (mv < 0) return BatteryLevel::Good;
  const int low = c.low_mv + (before >= BatteryLevel::Low ? c.hysteresis_mv : 0);
  const int critical = c.critical_mv + (before == BatteryLevel::Critical ? c.hysteresis_mv : 0);
  if (mv < critical) return BatteryLevel::Critical;
  return mv < low ? BatteryLevel::Low : BatteryLevel::Good;
}

int battery_percent(int mv) {
  if (mv < 0) return -1;
  // Open-circuit points of a Li-ion cell at room temperature, straight lines between.
  static const int16_t kCurve[][2] = {{3300, 0},  {3500, 5},  {3600, 12}, {3680, 22}, {3740, 35},
                                      {3800, 50}, {3870, 62}, {3950, 74}, {4050, 87}, {4180, 100}};
  if (mv <= kCurve[0][0]) return 0;
  for (unsigned i = 1; i < sizeof kCurve / sizeof *kCurve; ++i) {
    if (mv >= kCurve[i][0]) continue;
    return kCurve[i - 1][1] + (mv - kCurve[i - 1][0]) * (kCurve[i][1] - kCurve[i - 1][1]) / (kCurve[i][0] - kCurve[i - 1][0]);
  }
  return 100;
}

uint32_t battery_limit_s(BatteryLevel level, uint32_t configured_s) {
  switch (level) {
    case BatteryLevel::Good: return configured_s;
    case BatteryLevel::Low: return configured_s / 2 < 3 ? 3 : configured_s / 2;
    case BatteryLevel::Critical: break;
  }
  return 0;
}

}  // namespace magicpi
