#include "esp32_platform.h"

#include <Arduino.h>

#include <esp_heap_caps.h>
#include <esp_system.h>
#include <esp_timer.h>

#include "../../board.h"
#include "../core/camera.h"
#include "console.h"
#include "entropy.h"
#include "store.h"

namespace magicpi {

namespace {
constexpr int kConsoleBytes = 256;       // per turn, so that a flood of input starves nothing
constexpr uint32_t kFullMhz = 240, kSavingMhz = 160;
}  // namespace

void Esp32Platform::begin() {
  mutex_ = xSemaphoreCreateMutexStatic(&mutex_memory_);
  board_.begin();
  entropy_begin();
  rtc_begin(board_.wake_cause());
}

void Esp32Platform::attach(Camera* camera, bool has_psram) {
  camera_ = camera;
  driver_.begin(camera, &board_, has_psram);
  portal_.begin(camera);
}

void Esp32Platform::tick() {
  const uint64_t now = now_ms();
  for (int i = 0, byte = 0; i < kConsoleBytes && (byte = console_read()) >= 0; ++i) {
    camera_->console_byte(static_cast<uint8_t>(byte));
  }
  console_poll();
  bool known = false;
  const bool pressed = board_.button(now, driver_.running(), &known);
  if (known) camera_->button(pressed);
  portal_.poll(now);
  driver_.revive(now);
  board_.show(camera_->state(), now);
}

uint64_t Esp32Platform::now_ms() { return static_cast<uint64_t>(esp_timer_get_time()) / 1000; }

uint64_t Esp32Platform::rtc_ms() { return magicpi::rtc_ms(); }

void Esp32Platform::random(uint8_t* out, size_t n) { entropy_fill(out, n); }

void Esp32Platform::lock() { xSemaphoreTake(mutex_, portMAX_DELAY); }

void Esp32Platform::unlock() { xSemaphoreGive(mutex_); }

uint8_t* Esp32Platform::rtc_memory() { return magicpi::rtc_memory(); }

size_t Esp32Platform::store_get(const char* key, void* out, size_t cap) { return magicpi::store_get(key, out, cap); }

bool Esp32Platform::store_set(const char* key, const void* data, size_t n) { return magicpi::store_set(key, data, n); }

void Esp32Platform::store_erase(const char* key) { magicpi::store_erase(key); }

uint32_t Esp32Platform::free_heap() {
  return static_cast<uint32_t>(heap_caps_get_free_size(MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT));
}

void Esp32Platform::power_saving(bool on) {
  setCpuFrequencyMhz(on ? kSavingMhz : kFullMhz);
  radio_.save_power(on);
}

void Esp32Platform::wifi_begin(const WifiCredentials& credentials, WifiCache* cache) {
  if (kWired) {
    ethernet_.begin();
    return;
  }
  // A camera that never sleeps would outlive its lease.
  const bool sleeps = camera_->settings().power_mode == PowerMode::Battery && camera_->identity().caps.sleep;
  radio_.join(credentials, cache, sleeps);
}

LinkStatus Esp32Platform::wifi_status() { return kWired ? ethernet_.status() : radio_.status(); }

void Esp32Platform::wifi_end() {
  mdns_.stop();
  // The cable stays up: it has no energy to save, and its lease takes longer than a new connection.
  if (!kWired) radio_.off();
}

void Esp32Platform::wifi_scan() {
  static Network networks[WifiRadio::kNetworks];
  if (radio_.scan(true)) {
    const size_t n = radio_.networks(networks, WifiRadio::kNetworks);
    for (size_t i = 0; i < n; ++i) camera_->improv_network(networks[i].ssid, networks[i].rssi, networks[i].secured);
  }
  camera_->improv_network_end();
}

void Esp32Platform::setup_open(bool access_point) {
  if (access_point && !radio_.access_point(name_)) log(LogLevel::Error, "no access point");
  portal_.open(access_point);
  if (!portal_.is_open()) log(LogLevel::Error, "port 80 is taken");
  const Identity& identity = camera_->identity();
  if (!access_point) mdns_.advertise(name_, identity.id, identity.model, identity.fw);
}

void Esp32Platform::setup_close() {
  portal_.close();
  mdns_.stop();
}

void Esp32Platform::console_write(const uint8_t* data, size_t n) { console_put(data, n); }

void Esp32Platform::log(LogLevel level, const char* message) {
  static const char* const kLevels[] = {"debug: ", "info: ", "warning: ", "error: "};
  console_line(kLevels[static_cast<uint8_t>(level) & 3], message);
}

void Esp32Platform::sleep(const SleepRequest& request) {
  setup_close();
  wifi_end();
  console_drain();
  board_.sleep(request);
}

void Esp32Platform::restart() {
  if (driver_.running()) driver_.stop();
  setup_close();
  wifi_end();
  console_drain();
  esp_restart();
}

}  // namespace magicpi
