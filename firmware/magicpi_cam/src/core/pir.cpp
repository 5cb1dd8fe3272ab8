#include "pir.h"

namespace magicpi {

namespace {
constexpr uint64_t kHourMs = 3600000;
}

void PirPolicy::begin(uint64_t now, bool from_power_on, bool wake_by_pir) {
  settled_at_ms_ = from_power_on ? now + limits_.settle_ms : now;
  low_since_ms_ = now;
  high_since_ms_ = now;
  high_ = wake_by_pir;
  // The pulse that woke us may be over before the first look at the pin.
  motion_ = wake_by_pir;
}

void PirPolicy::update(uint64_t now, bool high) {
  if (high != high_) {
    high_ = high;
    (high ? high_since_ms_ : low_since_ms_) = now;
    if (!high) stuck_ = false;
    // An edge that the warming sensor made stays meaningless for as long as it is high.
    const bool warming = now < settled_at_ms_;
    doubtful_ = high && !warming && now < deaf_until_ms_;
    motion_ = high && !warming && !doubtful_;
  }
  if (doubtful_ && now >= deaf_until_ms_ + limits_.hold_ms) {
    doubtful_ = false;
    motion_ = true;
  }
  if (high_ && now - high_since_ms_ >= limits_.stuck_ms) {
    stuck_ = true;
    motion_ = doubtful_ = false;
  }
}

uint32_t PirPolicy::quiet_in(uint64_t now) const {
  if (high_) return UINT32_MAX;
  uint64_t ready = low_since_ms_ + limits_.quiet_ms;
  if (ready < deaf_until_ms_) ready = deaf_until_ms_;
  return ready > now ? static_cast<uint32_t>(ready - now) : 0;
}

bool count_pir_wake(uint64_t* window, uint16_t* wakes, uint64_t now, uint16_t limit) {
  if (*wakes == 0 || now < *window || now - *window >= kHourMs) {
    *window = now;
    *wakes = 0;
  }
  if (*wakes < UINT16_MAX) ++*wakes;
  return *wakes <= limit;
}

uint32_t pir_rest_s(uint64_t window, uint64_t now) {
  if (now < window || now - window >= kHourMs) return 1;
  return static_cast<uint32_t>((window + kHourMs - now) / 1000) + 1;
}

}  // namespace magicpi
