#include "backoff.h"

namespace magicpi {

uint32_t Backoff::next(uint32_t random) {
  const uint8_t shift = tries_ < 5 ? tries_ : 5;
  uint32_t limit = kBaseMs << shift;
  if (limit > kCapMs) limit = kCapMs;
  if (tries_ < 255) ++tries_;
  return static_cast<uint32_t>((static_cast<uint64_t>(random) * (limit + 1)) >> 32);
}

uint32_t timer_interval_s(uint32_t heartbeat_s, uint8_t failures) {
  const uint32_t slowest = heartbeat_s > kSlowestTimerS ? heartbeat_s : kSlowestTimerS;
  uint32_t s = heartbeat_s;
  for (; failures && s < slowest; --failures) s *= 2;
  return s < slowest ? s : slowest;
}

uint32_t offline_budget_ms(uint8_t failures) {
  const uint32_t ms = 60000u >> (failures < 2 ? failures : 2);
  return ms;
}

}  // namespace magicpi
