#include "camera_driver.h"

#include <string.h>

#include <Arduino.h>

#include <esp_camera.h>
#include <esp_task_wdt.h>
#include <esp_timer.h>

#include "../../board.h"
#include "../core/camera.h"
#include "board_io.h"

namespace magicpi {

namespace {

constexpr uint32_t kStack = 8192;
constexpr UBaseType_t kPriority = 5;
constexpr uint32_t kIdleMs = 20;
constexpr uint8_t kSilentLimit = 2;      // of 4 s each, the driver's own limit
constexpr uint64_t kStaleMs = 500;
constexpr uint32_t kRetryMs = 5000;
constexpr int64_t kQuickUs = 2000000;

const framesize_t kSizes[kResolutions] = {FRAMESIZE_QVGA, FRAMESIZE_VGA,  FRAMESIZE_SVGA, FRAMESIZE_XGA,
                                          FRAMESIZE_HD,   FRAMESIZE_SXGA, FRAMESIZE_UXGA};

/// Some sensors' drivers leave functions out.
template <typename Value>
void set(sensor_t* sensor, int (*function)(sensor_t*, Value), Value value) {
  if (function) function(sensor, value);
}

}  // namespace

void CameraDriver::begin(Camera* camera, BoardIo* board, bool has_psram) {
  camera_ = camera;
  board_ = board;
  has_psram_ = has_psram;
  driver_ = xSemaphoreCreateMutexStatic(&driver_memory_);
}

bool CameraDriver::start(const Settings& settings) {
  // A first start that fails is the core's to repeat.
  wanted_ = start_sensor(settings);
  return wanted_;
}

void CameraDriver::park() {
  // Its registers are reached only while the driver gives it a clock, hence a start and a stop.
  if (kBoard.camera.pwdn >= 0 || running_) return;
  xSemaphoreTake(driver_, portMAX_DELAY);
  if (open(settings_)) {
    sensor_stand_by();
    esp_camera_deinit();
  }
  xSemaphoreGive(driver_);
  board_->sensor_off();
}

void CameraDriver::stop() {
  wanted_ = false;
  stop_sensor();
}

bool CameraDriver::start_sensor(const Settings& settings) {
  if (running_) stop_sensor();
  settings_ = settings;
  xSemaphoreTake(driver_, portMAX_DELAY);
  const int64_t begin_us = esp_timer_get_time();
  bool ok = open(settings);
  // The first probe after power-up sometimes comes too early for the sensor. A bus that hangs answers nobody, and asking
  // it twice would outlast the watchdog.
  if (!ok && esp_timer_get_time() - begin_us < kQuickUs) ok = open(settings);
  xSemaphoreGive(driver_);
  if (!ok) {
    board_->sensor_off();
    return false;
  }
  silent_ = 0;
  running_ = true;
  if (!task_) {
    // loop(), and TLS with it, has the other core.
    const BaseType_t core = xPortGetCoreID() == 0 ? 1 : 0;
    if (xTaskCreatePinnedToCore(task, "capture", kStack, this, kPriority, &task_, core) != pdPASS) {
      task_ = nullptr;
      stop_sensor();
      return false;
    }
  } else {
    xTaskNotifyGive(task_);
  }
  return true;
}

camera_config_t sensor_config(const Settings& settings, bool has_psram) {
  const CameraPins& pins = kBoard.camera;
  camera_config_t config;
  memset(&config, 0, sizeof config);
  config.pin_pwdn = pins.pwdn;
  config.pin_reset = pins.reset;
  config.pin_xclk = pins.xclk;
  config.pin_sccb_sda = pins.sda;
  config.pin_sccb_scl = pins.scl;
  config.pin_d0 = pins.d0;
  config.pin_d1 = pins.d1;
  config.pin_d2 = pins.d2;
  config.pin_d3 = pins.d3;
  config.pin_d4 = pins.d4;
  config.pin_d5 = pins.d5;
  config.pin_d6 = pins.d6;
  config.pin_d7 = pins.d7;
  config.pin_vsync = pins.vsync;
  config.pin_href = pins.href;
  config.pin_pclk = pins.pclk;
  config.xclk_freq_hz = 20000000;
  config.ledc_timer = LEDC_TIMER_0;
  config.ledc_channel = LEDC_CHANNEL_0;
  config.pixel_format = PIXFORMAT_JPEG;
  config.frame_size = kSizes[static_cast<uint8_t>(settings.resolution) % kResolutions];
  config.jpeg_quality = settings.jpeg_quality;
  config.fb_count = has_psram ? 2 : 1;
  config.fb_location = has_psram ? CAMERA_FB_IN_PSRAM : CAMERA_FB_IN_DRAM;
  config.grab_mode = has_psram ? CAMERA_GRAB_LATEST : CAMERA_GRAB_WHEN_EMPTY;
  return config;
}

bool CameraDriver::open(const Settings& settings) {
  const camera_config_t config = sensor_config(settings, has_psram_);
  if (esp_camera_init(&config) != ESP_OK) return false;
  set_registers(settings);
  return true;
}

void CameraDriver::set_registers(const Settings& s) {
  sensor_t* sensor = esp_camera_sensor_get();
  if (!sensor) return;
  const bool turned = kBoard.upside_down || sensor->id.PID == OV3660_PID;
  set(sensor, sensor->set_quality, static_cast<int>(s.jpeg_quality));
  set(sensor, sensor->set_vflip, static_cast<int>(s.vflip != turned));
  set(sensor, sensor->set_hmirror, static_cast<int>(s.hmirror));
  set(sensor, sensor->set_brightness, static_cast<int>(s.brightness));
  set(sensor, sensor->set_contrast, static_cast<int>(s.contrast));
  set(sensor, sensor->set_saturation, static_cast<int>(s.saturation));
  set(sensor, sensor->set_ae_level, static_cast<int>(s.exposure));
  // By night: longer exposure than one frame time, and more gain, noise taken into the bargain.
  set(sensor, sensor->set_aec2, static_cast<int>(s.night_mode));
  set(sensor, sensor->set_gainceiling, s.night_mode ? GAINCEILING_32X : GAINCEILING_2X);
}

void CameraDriver::apply(const Settings& settings) {
  if (!running_) {
    settings_ = settings;
    return;
  }
  if (settings.resolution != settings_.resolution) {
    start_sensor(settings);
    return;
  }
  settings_ = settings;
  set_registers(settings);
}

void CameraDriver::stop_sensor() {
  running_ = false;
  xSemaphoreTake(driver_, portMAX_DELAY);
  sensor_stand_by();
  esp_camera_deinit();
  xSemaphoreGive(driver_);
  board_->sensor_off();
}

void sensor_stand_by() {
  sensor_t* sensor = kBoard.camera.pwdn < 0 ? esp_camera_sensor_get() : nullptr;
  if (!sensor || !sensor->set_reg) return;
  if (sensor->id.PID != OV3660_PID && sensor->id.PID != OV5640_PID) return;
  sensor->set_reg(sensor, 0x3008, 0x40, 0x40);
}

void CameraDriver::revive(uint64_t now_ms) {
  if (!wanted_ || now_ms < retry_ms_ || (running_ && silent_ < kSilentLimit)) return;
  retry_ms_ = now_ms + kRetryMs;
  start_sensor(Settings(settings_));
}

void CameraDriver::task(void* self) { static_cast<CameraDriver*>(self)->run(); }

void CameraDriver::run() {
  esp_task_wdt_add(nullptr);
  for (;;) {
    esp_task_wdt_reset();
    const uint32_t due = running_ ? camera_->frame_due() : UINT32_MAX;
    if (due == 0) {
      if (!grab()) vTaskDelay(1);
    } else {
      ulTaskNotifyTake(pdTRUE, pdMS_TO_TICKS(due < kIdleMs ? due : kIdleMs));
    }
  }
}

bool CameraDriver::grab() {
  xSemaphoreTake(driver_, portMAX_DELAY);
  if (!running_) {
    xSemaphoreGive(driver_);
    return false;
  }
  bool delivered = false;
  if (camera_fb_t* fb = esp_camera_fb_get()) {
    silent_ = 0;
    // The driver's stamp is esp_timer's, as is Platform::now_ms().
    const uint64_t now = static_cast<uint64_t>(esp_timer_get_time()) / 1000;
    uint64_t t = static_cast<uint64_t>(fb->timestamp.tv_sec) * 1000 + static_cast<uint64_t>(fb->timestamp.tv_usec) / 1000;
    if (t > now || t == 0) t = now;
    // A single buffer may have waited since the last event.
    delivered = now - t <= kStaleMs;
    if (delivered) camera_->frame(fb->buf, fb->len, t);
    esp_camera_fb_return(fb);
  } else if (silent_ < 255) {
    ++silent_;
  }
  xSemaphoreGive(driver_);
  return delivered;
}

}  // namespace magicpi
