#include "bench.h"

#include "../../config.h"

#if defined(MAGICPI_BENCH)

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <Arduino.h>

#include <esp_camera.h>
#include <esp_heap_caps.h>
#include <esp_rom_sys.h>
#include <esp_sleep.h>
#include <esp_task_wdt.h>
#include <esp_timer.h>

#include "../../board.h"
#include "../core/camera.h"
#include "../core/codec.h"
#include "../core/crypto.h"
#include "camera_driver.h"
#include "console.h"
#include "esp32_platform.h"
#include "store.h"
#include "wifi_radio.h"

namespace magicpi {

namespace {

constexpr uint32_t kShowMs = 10000;
constexpr size_t kBlock = 64 * 1024;
constexpr int kPictures = 20;

unsigned long ms_since(int64_t us) { return static_cast<unsigned long>((esp_timer_get_time() - us) / 1000); }

__attribute__((format(printf, 1, 2))) void line(const char* format, ...) {
  char text[200];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  console_line("bench: ", text);
  console_drain();
}

/// Keeps a state for a meter; the watchdog stays content.
void show(const char* state) {
  line("now for 10 s: %s", state);
  for (uint32_t ms = 0; ms < kShowMs; ms += 100) {
    esp_task_wdt_reset();
    delay(100);
  }
}

void memory() {
  const size_t psram = psramFound() ? heap_caps_get_total_size(MALLOC_CAP_SPIRAM) : 0;
  line("heap %u bytes free, largest %u; PSRAM %u bytes",
       static_cast<unsigned>(heap_caps_get_free_size(MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT)),
       static_cast<unsigned>(heap_caps_get_largest_free_block(MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT)), static_cast<unsigned>(psram));
  if (!psram) return;
  auto* far = static_cast<uint8_t*>(heap_caps_malloc(kBlock, MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT));
  if (!far) return;
  // The pattern of the frame ring: copied in, masked in place by words, read out.
  int64_t begin = esp_timer_get_time();
  for (size_t at = 0; at < kBlock; at += 4) *reinterpret_cast<uint32_t*>(far + at) = static_cast<uint32_t>(at);
  const int64_t wrote = esp_timer_get_time();
  for (size_t at = 0; at < kBlock; at += 4) *reinterpret_cast<uint32_t*>(far + at) ^= 0x5aa5c33cu;
  const int64_t masked = esp_timer_get_time();
  const uint32_t crc = crc32(far, kBlock);
  line("PSRAM, 64 KiB: write %lu us, mask in place %lu us, CRC %lu us (%08lx)", static_cast<unsigned long>(wrote - begin),
       static_cast<unsigned long>(masked - wrote), static_cast<unsigned long>(esp_timer_get_time() - masked),
       static_cast<unsigned long>(crc));
  heap_caps_free(far);
}

void maths() {
  // RFC 6979, A.2.5, "sample": a whole handshake has two of these and two multiplications.
  static const char kKey[] =
      "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
  static const char kSignature[] =
      "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
  uint8_t key[65], signature[64], hash[32];
  const bool good = hex_decode(kKey, key, sizeof key) && hex_decode(kSignature, signature, sizeof signature);
  sha256(reinterpret_cast<const uint8_t*>("sample"), 6, hash);
  const int64_t begin = esp_timer_get_time();
  const bool verified = good && ecdsa_p256_verify(key, hash, signature, sizeof signature);
  line("P-256 verification: %lu ms%s", ms_since(begin), verified ? "" : ", and it failed");
}

void sensor(bool has_psram) {
  const Settings settings = [] {
    Settings s;
    if (!psramFound()) s.resolution = Resolution::QVGA;
    return s;
  }();
  int64_t begin = esp_timer_get_time();
  const camera_config_t config = sensor_config(settings, has_psram);
  if (esp_camera_init(&config) != ESP_OK) {
    line("no sensor answers");
    return;
  }
  const unsigned long started = ms_since(begin);
  unsigned long first = 0;
  size_t largest = 0;
  int64_t second = 0;
  int n = 0;
  for (; n < kPictures; ++n) {
    camera_fb_t* fb = esp_camera_fb_get();
    if (!fb) break;
    if (n == 0) first = ms_since(begin);
    if (n == 1) second = esp_timer_get_time();
    if (fb->len > largest) largest = fb->len;
    esp_camera_fb_return(fb);
  }
  const sensor_t* which = esp_camera_sensor_get();
  line("sensor 0x%x: start %lu ms, first picture %lu ms, %d pictures, largest %u bytes, %lu ms each",
       which ? static_cast<unsigned>(which->id.PID) : 0u, started, first, n, static_cast<unsigned>(largest),
       n > 2 ? ms_since(second) / static_cast<unsigned long>(n - 2) : 0ul);
  show("sensor on, radio off");
  sensor_stand_by();
  esp_camera_deinit();
}

void radio() {
  WifiRadio radio("magicpi-bench");
  const int64_t begin = esp_timer_get_time();
  const bool open = radio.access_point("MagicPi-bench");
  line("radio: %s in %lu ms; heap then %u bytes", open ? "on" : "failed", ms_since(begin),
       static_cast<unsigned>(heap_caps_get_free_size(MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT)));
  show("radio on (access point), sensor off");
  radio.off();
}

}  // namespace

void bench_run() {
  const unsigned long at = ms_since(0);
  console_begin();
  // The bench is no camera: nothing of it may touch what the camera keeps.
  Esp32Platform platform("MagicPi-bench", "magicpi-bench");
  platform.begin();
  const bool woke = esp_rom_get_reset_reason(0) == RESET_REASON_CORE_DEEP_SLEEP;
  line("%s, core %d.%d.%d: setup() %lu ms after the timer's start, %s; begin() %lu ms", kBoard.model, ESP_ARDUINO_VERSION_MAJOR,
       ESP_ARDUINO_VERSION_MINOR, ESP_ARDUINO_VERSION_PATCH, at, woke ? "after sleep (PSRAM not tested)" : "after power-on or reset (PSRAM tested)",
       ms_since(0) - at);
  if (!woke) {
    memory();
    maths();
    line("cell %d mV (-1 = no divider), charging %d", platform.battery_mv(), platform.charging());
    show("awake, sensor and radio off");
    sensor(psramFound());
    radio();
  }
  line("now for 10 s: asleep%s", woke ? "; press reset to measure again" : "");
  SleepRequest request{kShowMs / 1000, PirWake::Off};
  if (woke) request.timer_s = 0;
  platform.sleep(request);
  for (;;) {
  }
}

}  // namespace magicpi

#endif
