// The machine under the core when it runs as a Linux process: files for flash, a thread for the sensor, waiting for sleep.
#pragma once

#include <stdarg.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../magicpi_cam/src/core/camera.h"
#include "../magicpi_cam/src/net/tls_mbedtls.h"
#include "frame_source.h"
#include "mdns.h"
#include "setup_server.h"

namespace magicpi {

struct HostOptions {
  std::string id = "02:4D:50:00:00:01";
  std::string model = "Linux camera";
  std::string fw = "0.1.0";
  std::string state = "magicpi-camera-state";
  std::string source;
  std::string http_bind = "127.0.0.1";
  uint16_t http_port = 8080;
  uint16_t detour = 0;               ///< port of a proxy on this machine, 0 = none
  std::string advertise;             ///< IPv4 address to announce, empty = no mDNS
  double time_factor = 1;            ///< sleep passes this many times faster
  std::string setup_code;
  int battery_mv = -1;
  size_t ring_kib = 2048;
  uint32_t wifi_ms = 300, camera_ms = 150, settle_ms = 500, radio_ms = 2000;
  double motion_every_s = 0, motion_s = 2;
  uint32_t motion_count = 0;         ///< 0 = without end
  bool frame_lines = true;
  bool sleeps = true;
  bool ring = false;                 ///< has a doorbell button
  bool wired = false;                ///< Ethernet
  std::string ota_key;               ///< 130 hex digits
  Settings settings;
};

/// One JSON object per line on standard output, from any thread. `format` makes the members after "what".
void say(const char* what, const char* format, ...) __attribute__((format(printf, 2, 3)));
void say(const char* what);
/// Text with JSON escapes and quotes.
std::string quoted(const std::string& text);

class LinuxPlatform final : public Platform {
 public:
  explicit LinuxPlatform(const HostOptions& options);
  ~LinuxPlatform();

  // What main() steers.
  void attach(Camera* camera) { camera_ = camera; }
  /// Begins a boot: clock at zero, cause set.
  void boot(WakeCause cause);
  /// Waits at most `ms` for sockets or the PIR; serves setup HTTP and mDNS.
  void wait(uint32_t ms, int socket_a, int socket_b);
  /// Sleep was asked for: waits it out and returns the cause of the wake.
  WakeCause sleep_it_out();
  void tick();                       ///< commands from standard input and motion by the clock
  bool asleep() const { return asleep_; }
  bool restarting() const { return restarting_; }
  bool quit() const { return quit_; }
  const std::string& running_fw() const { return fw_; }
  void save_rtc();
  void pulse(double seconds);
  void request_quit() { quit_ = true; }

  uint64_t now_ms() override;
  /// Epoch time at which now_ms() was 0.
  int64_t booted_at_ms();
  uint64_t rtc_ms() override;
  void random(uint8_t* out, size_t n) override;
  void lock() override { mutex_.lock(); }
  void unlock() override { mutex_.unlock(); }
  uint8_t* rtc_memory() override { return rtc_; }
  size_t store_get(const char* key, void* out, size_t cap) override;
  bool store_set(const char* key, const void* data, size_t n) override;
  void store_erase(const char* key) override;
  WakeCause wake_cause() override { return cause_; }
  bool pir_level() override;
  bool ring_level() override;
  int charging() override { return charging_; }
  int battery_mv() override { return battery_mv_; }
  int rssi() override { return -55; }
  uint32_t free_heap() override { return 180000; }
  void flash(bool on) override { say("flash", "\"on\":%s", on ? "true" : "false"); }
  void identify(uint32_t ms) override { say("identify", "\"ms\":%u", ms); }
  void power_saving(bool on) override { say("power_saving", "\"on\":%s", on ? "true" : "false"); }
  bool camera_start(const Settings& settings) override;
  void camera_apply(const Settings& settings) override;
  void camera_stop() override;
  void camera_park() override { say("park"); }
  void wifi_begin(const WifiCredentials& credentials, WifiCache* cache) override;
  LinkStatus wifi_status() override;
  void wifi_end() override;
  void wifi_scan() override;
  void mdns_find_begin(const char* ca16) override;
  int mdns_find_poll(GatewayAddress* out, size_t max) override;
  void setup_open(bool access_point) override;
  void setup_close() override;
  void console_write(const uint8_t* data, size_t n) override;
  bool ota_begin(uint32_t size) override;
  bool ota_write(const uint8_t* data, size_t n) override;
  bool ota_finish() override;
  void ota_abort() override;
  bool ota_pending() override;
  void ota_confirm() override;
  bool ota_rollback() override;
  void sleep(const SleepRequest& request) override;
  void restart() override;
  void log(LogLevel level, const char* message) override;
  void note(const Note& note) override;

 private:
  std::string path(const std::string& name) const { return options_.state + "/" + name; }
  void command(const std::string& line);
  void capture_loop();
  void serve_mdns();

  HostOptions options_;
  Camera* camera_ = nullptr;
  std::mutex mutex_;
  alignas(8) uint8_t rtc_[kRtcBytes];
  WakeCause cause_ = WakeCause::Power;
  uint64_t boot_at_ms_ = 0;          // steady clock
  double rtc_extra_ms_ = 0;          // what the time factor adds to sleep
  uint64_t rtc_base_ms_ = 0;
  bool asleep_ = false, restarting_ = false;
  std::atomic<bool> quit_{false};
  SleepRequest request_{0, PirWake::Off};
  std::string fw_;

  std::atomic<uint64_t> pir_until_ms_{0}, ring_until_ms_{0};
  int charging_ = -1;
  bool pir_level_ = false;
  uint64_t next_motion_ms_ = 0;
  uint32_t motions_ = 0;
  int battery_mv_ = -1;

  bool wifi_wanted_ = false, wifi_down_ = false;
  uint64_t wifi_at_ms_ = 0;

  std::unique_ptr<FrameSource> source_;
  std::thread capture_;
  std::atomic<bool> capturing_{false};
  std::atomic<bool> camera_broken_{false};
  std::string frame_name_;           // of the frame being handed over; capture thread
  uint64_t frame_t_ = 0;             // its capture time

  SetupServer server_;
  int mdns_ = -1;
  bool advertising_ = false;
  uint64_t announce_at_ms_ = 0;
  int announcements_ = 0;
  MdnsService service_;
  std::vector<MdnsFound> found_;
  std::string wanted_ca_;
  uint64_t find_until_ms_ = 0;

  FILE* ota_ = nullptr;
  uint32_t ota_left_ = 0;
  std::string input_;
};

}  // namespace magicpi
