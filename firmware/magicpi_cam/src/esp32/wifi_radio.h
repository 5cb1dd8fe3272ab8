// The radio: joining fast from what the last join left behind, an access point for setup, scanning. By esp_wifi itself,
// because its choices (PMK, channel, static lease, no flash writes) are what a wake lives on.
#pragma once

#include <atomic>

#include <esp_event.h>
#include <esp_netif.h>
#include <esp_wifi.h>

#include "../core/platform.h"

namespace magicpi {

/// Of the portal's access point.
inline constexpr uint8_t kPortalAddress[4] = {4, 3, 2, 1};

/// One network in sight.
struct Network {
  char ssid[33];
  int8_t rssi;   ///< dBm
  bool secured;
};

class WifiRadio {
 public:
  static constexpr size_t kNetworks = 16;

  /// `hostname` for DHCP and mDNS; lives as long as the radio.
  explicit WifiRadio(const char* hostname) : hostname_(hostname) {}

  /// Starts joining. With `cache` filled: its channel, BSSID, PMK and (`reuse_lease`) address first, then a full scan.
  void join(const WifiCredentials& credentials, WifiCache* cache, bool reuse_lease);
  /// Advances the join; to be called until Up or Failed, and later to see a loss.
  LinkStatus status();
  /// Open access point with a DHCP server on 4.3.2.1.
  bool access_point(const char* ssid);
  void off();

  int rssi() const;
  /// Transmit at 11 dBm in place of 19.5.
  void save_power(bool on);

  /// Looks around; false if the radio is off or joining. With `wait` returns after the scan (2 s), else at once.
  bool scan(bool wait);
  bool scanning() const { return scanning_; }
  /// What the last finished scan saw, each name once, strongest first; number written.
  size_t networks(Network* out, size_t max);

 private:
  enum class Phase : uint8_t { Off, Cached, Full, Up, Lost, Failed, BadPassword, AccessPoint };

  bool start_driver();
  void attempt(bool cached);
  void use_lease(bool reuse);
  void joined();
  void derive_pmk();
  [[noreturn]] static void pmk_task(void* self);
  static void on_event(void* self, esp_event_base_t base, int32_t id, void* data);
  void set_tx_power();
  void stop_driver();

  const char* hostname_;
  esp_netif_t* station_ = nullptr;
  esp_netif_t* point_ = nullptr;
  bool ready_ = false;
  bool running_ = false;
  bool save_power_ = false;
  bool reuse_lease_ = false;
  bool leased_ = false;                   // this join asked DHCP
  Phase phase_ = Phase::Off;
  WifiCredentials credentials_;
  WifiCache* cache_ = nullptr;
  uint64_t since_ms_ = 0, retry_ms_ = 0;
  uint8_t refusals_ = 0;

  // Written by the event task.
  std::atomic<bool> connect_on_start_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> got_ip_{false};
  std::atomic<int> lost_{0};              // reason of the last disconnection, 0 = none since the attempt began
  std::atomic<bool> scanning_{false};

  // The key is derived once per network, by a task of its own at idle priority.
  enum class Pmk : uint8_t { None, Running, Ready };
  std::atomic<Pmk> pmk_state_{Pmk::None};
  WifiCredentials pmk_for_;
  uint8_t pmk_[32];
};

}  // namespace magicpi
