#include "board_io.h"

#include <Arduino.h>

#include <driver/gpio.h>
#include <driver/rtc_io.h>
#include <esp_sleep.h>
#include <esp_system.h>

#include "../../board.h"

#if MAGICPI_BOARD == MAGICPI_BOARD_T_CAMERA_17
#include <Wire.h>
#endif

namespace magicpi {

namespace {

constexpr uint32_t kDebounceMs = 40;
constexpr int kBatterySamples = 16;
// Less than any cell can have: nothing is connected, the board runs from USB.
constexpr int kNoCellMv = 2500;

#if defined(CONFIG_IDF_TARGET_ESP32)
constexpr esp_sleep_ext1_wakeup_mode_t kWakeLow = ESP_EXT1_WAKEUP_ALL_LOW;
#else
constexpr esp_sleep_ext1_wakeup_mode_t kWakeLow = ESP_EXT1_WAKEUP_ANY_LOW;
#endif

/// A pin whose level matters in deep sleep.
struct Held {
  int8_t pin;
  uint8_t level;
};
constexpr Held kHeld[] = {
    {kBoard.camera.pwdn, 1},
    {kBoard.flash_led, 0},
    {kBoard.power_hold, 1},
};

gpio_num_t gpio(int8_t pin) { return static_cast<gpio_num_t>(pin); }

void make_output(int8_t pin, uint32_t level) {
  gpio_set_level(gpio(pin), level);
  gpio_config_t config = {};
  config.pin_bit_mask = 1ULL << pin;
  config.mode = GPIO_MODE_OUTPUT;
  gpio_config(&config);
  gpio_set_level(gpio(pin), level);
}

void make_input(int8_t pin, bool pull_up, bool pull_down) {
  gpio_config_t config = {};
  config.pin_bit_mask = 1ULL << pin;
  config.mode = GPIO_MODE_INPUT;
  config.pull_up_en = pull_up ? GPIO_PULLUP_ENABLE : GPIO_PULLUP_DISABLE;
  config.pull_down_en = pull_down ? GPIO_PULLDOWN_ENABLE : GPIO_PULLDOWN_DISABLE;
  config.intr_type = GPIO_INTR_DISABLE;
  gpio_config(&config);
}

/// Gives a wake pin back from the RTC block to the digital one.
void end_wake_pin(int8_t pin) {
  if (pin < 0 || !rtc_gpio_is_valid_gpio(gpio(pin))) return;
  rtc_gpio_hold_dis(gpio(pin));
  rtc_gpio_deinit(gpio(pin));
}

void arm(int8_t pin, bool high, bool pull_up) {
  rtc_gpio_init(gpio(pin));
  rtc_gpio_set_direction(gpio(pin), RTC_GPIO_MODE_INPUT_ONLY);
  // Pins 34..39 of the ESP32 have no pulls and say so; the board must have its own.
  if (pull_up) {
    rtc_gpio_pulldown_dis(gpio(pin));
    rtc_gpio_pullup_en(gpio(pin));
  } else {
    rtc_gpio_pullup_dis(gpio(pin));
    rtc_gpio_pulldown_en(gpio(pin));
  }
  esp_sleep_enable_ext1_wakeup(1ULL << pin, high ? ESP_EXT1_WAKEUP_ANY_HIGH : kWakeLow);
}

WakeCause find_cause() {
  switch (esp_reset_reason()) {
    case ESP_RST_SW: return WakeCause::Software;
    case ESP_RST_PANIC: return WakeCause::Crash;
    case ESP_RST_INT_WDT:
    case ESP_RST_TASK_WDT:
    case ESP_RST_WDT: return WakeCause::Watchdog;
    case ESP_RST_BROWNOUT: return WakeCause::Brownout;
    case ESP_RST_DEEPSLEEP: break;
    default: return WakeCause::Power;
  }
  switch (esp_sleep_get_wakeup_cause()) {
    case ESP_SLEEP_WAKEUP_TIMER: return WakeCause::Timer;
    case ESP_SLEEP_WAKEUP_EXT0: return WakeCause::Ring;
    case ESP_SLEEP_WAKEUP_EXT1: {
      const uint64_t pins = esp_sleep_get_ext1_wakeup_status();
      const bool button = kBoard.button >= 0 && (pins >> kBoard.button & 1);
      return button ? WakeCause::Button : WakeCause::Pir;
    }
    default: return WakeCause::Power;
  }
}

#if MAGICPI_BOARD == MAGICPI_BOARD_T_CAMERA_17
void keep_supply_on() {
  // IP5306, register SYS_CTL0: boost on, and on without load.
  Wire.begin(21, 22);
  Wire.beginTransmission(0x75);
  const uint8_t boost_on[] = {0x00, 0x37};
  Wire.write(boost_on, sizeof boost_on);
  Wire.endTransmission();
  Wire.end();
}
#endif

}  // namespace

void BoardIo::begin() {
  cause_ = find_cause();
  for (const Held& held : kHeld) {
    if (held.pin < 0) continue;
    make_output(held.pin, held.level);
    gpio_hold_dis(gpio(held.pin));
  }
  gpio_deep_sleep_hold_dis();
  end_wake_pin(kBoard.pir);
  end_wake_pin(kBoard.button);
  end_wake_pin(kBoard.ring);
  if (kBoard.pir >= 0) make_input(kBoard.pir, false, true);
  if (kBoard.button >= 0) make_input(kBoard.button, true, false);
  if (kBoard.ring >= 0) make_input(kBoard.ring, true, false);
  if (kBoard.charge >= 0) make_input(kBoard.charge, true, false);
  if (kBoard.status_led >= 0) make_output(kBoard.status_led, kBoard.status_led_low);
#if MAGICPI_BOARD == MAGICPI_BOARD_T_CAMERA_17
  keep_supply_on();
#endif
}

bool BoardIo::pir() const { return kBoard.pir >= 0 && gpio_get_level(gpio(kBoard.pir)) != 0; }

bool BoardIo::ring() const { return kBoard.ring >= 0 && gpio_get_level(gpio(kBoard.ring)) == 0; }

int BoardIo::charging() const { return kBoard.charge < 0 ? -1 : gpio_get_level(gpio(kBoard.charge)) == 0; }

bool BoardIo::button(uint64_t now_ms, bool sensor_on, bool* known) {
  *known = kBoard.button >= 0 && !(sensor_on && kBoard.button == kBoard.camera.xclk);
  if (!*known) return false;
  const bool raw = gpio_get_level(gpio(kBoard.button)) == 0;
  if (raw != button_raw_) {
    button_raw_ = raw;
    button_since_ms_ = now_ms;
  }
  if (now_ms - button_since_ms_ >= kDebounceMs) button_ = raw;
  return button_;
}

int BoardIo::battery_mv() const {
  if (kBoard.battery_adc < 0) return -1;
  uint32_t sum = 0;
  for (int i = 0; i < kBatterySamples; ++i) sum += analogReadMilliVolts(static_cast<uint8_t>(kBoard.battery_adc));
  const int mv = static_cast<int>(sum * kBoard.battery_permille / (kBatterySamples * 1000u));
  return mv < kNoCellMv ? -1 : mv;
}

void BoardIo::flash(bool on) {
  flash_on_ = on;
  if (kBoard.flash_led >= 0) gpio_set_level(gpio(kBoard.flash_led), on);
}

void BoardIo::show(State state, uint64_t now_ms) {
  const bool identify = now_ms < identify_until_ms_;
  if (kBoard.status_led < 0) {
    // The white LED in full would blind and may starve the supply: short flashes, for identify only.
    if (kBoard.flash_led >= 0) {
      gpio_set_level(gpio(kBoard.flash_led), flash_on_ || (identify && now_ms % 500 < 15));
    }
    return;
  }
  bool on = false;
  if (identify) {
    on = now_ms % 200 < 100;
  } else {
    switch (state) {
      case State::Setup: on = now_ms % 1000 < 500; break;
      case State::Registering:
      case State::Linking:
      case State::Connecting: on = now_ms % 250 < 50; break;
      case State::Updating: on = now_ms % 250 < 200; break;
      case State::Backoff: on = now_ms % 2000 < 50 || (now_ms % 2000 >= 200 && now_ms % 2000 < 250); break;
      case State::Online: on = now_ms % 2000 < 20; break;
      default: break;
    }
  }
  gpio_set_level(gpio(kBoard.status_led), on != kBoard.status_led_low);
}

void BoardIo::sensor_off() {
  if (kBoard.camera.pwdn >= 0) make_output(kBoard.camera.pwdn, 1);
  if (kBoard.button >= 0 && kBoard.button == kBoard.camera.xclk) make_input(kBoard.button, true, false);
}

void BoardIo::sleep(const SleepRequest& request) {
  bool digital = false;
  for (const Held& held : kHeld) {
    if (held.pin < 0) continue;
    make_output(held.pin, held.level);
    gpio_hold_en(gpio(held.pin));
    digital = digital || !rtc_gpio_is_valid_gpio(gpio(held.pin));
  }
  if (digital) gpio_deep_sleep_hold_en();
  if (kBoard.status_led >= 0) gpio_set_level(gpio(kBoard.status_led), kBoard.status_led_low);

  esp_sleep_disable_wakeup_source(ESP_SLEEP_WAKEUP_ALL);
  if (request.timer_s) esp_sleep_enable_timer_wakeup(request.timer_s * 1000000ULL);
  if (request.pir != PirWake::Off && kBoard.pir >= 0 && rtc_gpio_is_valid_gpio(gpio(kBoard.pir))) {
    arm(kBoard.pir, request.pir == PirWake::OnHigh, false);
  } else if (kBoard.button >= 0 && rtc_gpio_is_valid_gpio(gpio(kBoard.button))) {
    // One level serves all ext1 pins of an ESP32, so the button wakes only while the PIR does not.
    arm(kBoard.button, false, true);
  }
  if (request.ring && kBoard.ring >= 0 && rtc_gpio_is_valid_gpio(gpio(kBoard.ring))) {
    // ext0 has a level of its own, whatever ext1 waits for.
    rtc_gpio_init(gpio(kBoard.ring));
    rtc_gpio_set_direction(gpio(kBoard.ring), RTC_GPIO_MODE_INPUT_ONLY);
    rtc_gpio_pulldown_dis(gpio(kBoard.ring));
    rtc_gpio_pullup_en(gpio(kBoard.ring));
    esp_sleep_enable_ext0_wakeup(gpio(kBoard.ring), 0);
  }
  esp_deep_sleep_start();
}

}  // namespace magicpi
