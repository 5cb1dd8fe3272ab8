// Waiting between connection attempts, and how long a wake may go on trying.
#pragma once

#include <stdint.h>

namespace magicpi {

/// Full jitter: uniform in 0 .. min(cap, base * 2^n), so that cameras that lost the same gateway come back spread out.
class Backoff {
 public:
  static constexpr uint32_t kBaseMs = 1000, kCapMs = 30000;
  /// Next delay in ms; `random` is any uniform 32-bit number.
  uint32_t next(uint32_t random);
  void reset() { tries_ = 0; }
  /// Skips ahead: the next delay is drawn as after `tries` failures.
  void at_least(uint8_t tries) { if (tries_ < tries) tries_ = tries; }
  uint8_t tries() const { return tries_; }

 private:
  uint8_t tries_ = 0;
};

/// Seconds until the next timer wake after `failures` timer wakes without a gateway.
uint32_t timer_interval_s(uint32_t heartbeat_s, uint8_t failures);
/// How long beyond the event a PIR wake may look for the gateway, ms.
uint32_t offline_budget_ms(uint8_t failures);

constexpr uint32_t kTimerOfflineMs = 20000;
constexpr uint32_t kSlowestTimerS = 6 * 3600;

}  // namespace magicpi
