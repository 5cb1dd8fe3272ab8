#include "store.h"

#include <string.h>
#include <sys/time.h>

#include <esp_attr.h>
#include <nvs.h>

namespace magicpi {

namespace {

constexpr char kNamespace[] = "magicpi";
constexpr uint32_t kClockMagic = 0x4d504331;

struct Clock {
  uint32_t magic;
  uint64_t offset_ms;
  uint64_t seen_ms;
};

alignas(8) RTC_NOINIT_ATTR uint8_t g_rtc[kRtcBytes];
RTC_NOINIT_ATTR Clock g_clock;

/// The system clock nobody sets: it counts on the RTC timer through deep sleep.
uint64_t raw_ms() {
  struct timeval now;
  gettimeofday(&now, nullptr);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_usec) / 1000;
}

class Handle {
 public:
  explicit Handle(nvs_open_mode_t mode) { ok_ = nvs_open(kNamespace, mode, &handle_) == ESP_OK; }
  ~Handle() {
    if (ok_) nvs_close(handle_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  bool ok() const { return ok_; }
  nvs_handle_t get() const { return handle_; }

 private:
  nvs_handle_t handle_ = 0;
  bool ok_;
};

}  // namespace

size_t store_get(const char* key, void* out, size_t cap) {
  Handle nvs(NVS_READONLY);
  size_t n = cap;
  return nvs.ok() && nvs_get_blob(nvs.get(), key, out, &n) == ESP_OK ? n : 0;
}

bool store_set(const char* key, const void* data, size_t n) {
  Handle nvs(NVS_READWRITE);
  return nvs.ok() && nvs_set_blob(nvs.get(), key, data, n) == ESP_OK && nvs_commit(nvs.get()) == ESP_OK;
}

void store_erase(const char* key) {
  Handle nvs(NVS_READWRITE);
  if (nvs.ok() && nvs_erase_key(nvs.get(), key) == ESP_OK) nvs_commit(nvs.get());
}

uint8_t* rtc_memory() { return g_rtc; }

void rtc_begin(WakeCause cause) {
  const uint64_t raw = raw_ms();
  if (cause == WakeCause::Power || g_clock.magic != kClockMagic) {
    memset(g_rtc, 0, sizeof g_rtc);
    g_clock = Clock{kClockMagic, 0, raw};
  } else if (raw < g_clock.seen_ms) {
    // A reset that spared the memory but not the timer: go on from where it was last seen.
    g_clock.offset_ms += g_clock.seen_ms;
    g_clock.seen_ms = raw;
  }
}

uint64_t rtc_ms() {
  const uint64_t raw = raw_ms();
  if (raw > g_clock.seen_ms) g_clock.seen_ms = raw;
  return raw + g_clock.offset_ms;
}

}  // namespace magicpi
