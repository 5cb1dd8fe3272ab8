// Platform on the ESP32: ties pins, camera, radio, portal, flash and clock together for the core.
#pragma once

#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>

#include "../core/platform.h"
#include "board_io.h"
#include "camera_driver.h"
#include "ethernet.h"
#include "mdns_responder.h"
#include "ota_slot.h"
#include "portal.h"
#include "wifi_radio.h"

namespace magicpi {

class Camera;

class Esp32Platform final : public Platform {
 public:
  /// `name` is the access point's, `hostname` the one for DHCP and mDNS; both live as long as this.
  Esp32Platform(const char* name, const char* hostname) : name_(name), radio_(hostname), ethernet_(hostname), mdns_(hostname), portal_(radio_) {}

  /// Pins, cause of the start, entropy, clock. Before the Camera exists.
  void begin();
  void attach(Camera* camera, bool has_psram);
  /// Console, button, LED, portal: between two Camera::poll().
  void tick();
  BoardIo& board() { return board_; }

  uint64_t now_ms() override;
  uint64_t rtc_ms() override;
  void random(uint8_t* out, size_t n) override;
  void lock() override;
  void unlock() override;
  uint8_t* rtc_memory() override;
  size_t store_get(const char* key, void* out, size_t cap) override;
  bool store_set(const char* key, const void* data, size_t n) override;
  void store_erase(const char* key) override;
  WakeCause wake_cause() override { return board_.wake_cause(); }
  bool ring_level() override { return board_.ring(); }
  int charging() override { return board_.charging(); }
  bool pir_level() override { return board_.pir(); }
  int battery_mv() override { return board_.battery_mv(); }
  int rssi() override { return radio_.rssi(); }
  uint32_t free_heap() override;
  void flash(bool on) override { board_.flash(on); }
  void identify(uint32_t ms) override { board_.identify(now_ms(), ms); }
  void power_saving(bool on) override;
  bool camera_start(const Settings& settings) override { return driver_.start(settings); }
  void camera_apply(const Settings& settings) override { driver_.apply(settings); }
  void camera_stop() override { driver_.stop(); }
  void camera_park() override { driver_.park(); }
  void wifi_begin(const WifiCredentials& credentials, WifiCache* cache) override;
  LinkStatus wifi_status() override;
  void wifi_end() override;
  void wifi_scan() override;
  void mdns_find_begin(const char* ca16) override { mdns_.find_begin(ca16); }
  int mdns_find_poll(GatewayAddress* out, size_t max) override { return mdns_.find_poll(out, max); }
  void setup_open(bool access_point) override;
  void setup_close() override;
  void console_write(const uint8_t* data, size_t n) override;
  bool ota_begin(uint32_t size) override { return ota_.begin(size); }
  bool ota_write(const uint8_t* data, size_t n) override { return ota_.write(data, n); }
  bool ota_finish() override { return ota_.finish(); }
  void ota_abort() override { ota_.abort(); }
  bool ota_pending() override { return OtaSlot::pending(); }
  void ota_confirm() override { OtaSlot::confirm(); }
  bool ota_rollback() override { return OtaSlot::rollback(); }
  void sleep(const SleepRequest& request) override;
  void restart() override;
  void log(LogLevel level, const char* message) override;

 private:
  const char* name_;
  Camera* camera_ = nullptr;
  BoardIo board_;
  CameraDriver driver_;
  WifiRadio radio_;
  Ethernet ethernet_;
  Mdns mdns_;
  Portal portal_;
  OtaSlot ota_;
  SemaphoreHandle_t mutex_ = nullptr;
  StaticSemaphore_t mutex_memory_;
};

}  // namespace magicpi
