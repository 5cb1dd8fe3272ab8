#include "wifi_radio.h"

#include <string.h>

#include <esp_netif_net_stack.h>
#include <esp_timer.h>
#include <esp_wifi_default.h>
#include <freertos/FreeRTOS.h>
#include <freertos/task.h>
#include <lwip/dhcp.h>
#include <lwip/netif.h>
#include <mbedtls/md.h>
#include <mbedtls/pkcs5.h>

#include "../core/codec.h"
#include "../core/crypto.h"
#include "store.h"

namespace magicpi {

namespace {

constexpr uint32_t kCachedMs = 5000;     // a hit takes under 1 s; then the access point has moved
constexpr uint32_t kFullMs = 18000;
constexpr uint32_t kRetryMs = 500;
constexpr uint32_t kStopMs = 300;
constexpr uint8_t kRefusals = 3;         // one lost handshake is the air's fault, three are the password's
constexpr int8_t kPowerFull = 78, kPowerLow = 44;   // quarter dBm
constexpr uint32_t kPmkStack = 4096;

uint64_t now_ms() { return static_cast<uint64_t>(esp_timer_get_time()) / 1000; }

bool is_refusal(int reason) {
  return reason == WIFI_REASON_4WAY_HANDSHAKE_TIMEOUT || reason == WIFI_REASON_HANDSHAKE_TIMEOUT ||
         reason == WIFI_REASON_AUTH_FAIL || reason == WIFI_REASON_MIC_FAILURE;
}

}  // namespace

bool WifiRadio::start_driver() {
  if (ready_) return true;
  // Either may exist already; everything else that can fail here is want of memory.
  esp_netif_init();
  esp_event_loop_create_default();
  if (!station_) station_ = esp_netif_create_default_wifi_sta();
  wifi_init_config_t config = WIFI_INIT_CONFIG_DEFAULT();
  // Credentials live with the core: the driver writes no flash.
  config.nvs_enable = 0;
  if (!station_ || esp_wifi_init(&config) != ESP_OK) return false;
  esp_wifi_set_storage(WIFI_STORAGE_RAM);
  esp_event_handler_instance_register(WIFI_EVENT, ESP_EVENT_ANY_ID, on_event, this, nullptr);
  esp_event_handler_instance_register(IP_EVENT, IP_EVENT_STA_GOT_IP, on_event, this, nullptr);
  esp_event_handler_instance_register(IP_EVENT, IP_EVENT_STA_LOST_IP, on_event, this, nullptr);
  esp_netif_set_hostname(station_, hostname_);
  ready_ = true;
  return true;
}

void WifiRadio::on_event(void* context, esp_event_base_t base, int32_t id, void* data) {
  WifiRadio& self = *static_cast<WifiRadio*>(context);
  if (base == IP_EVENT) {
    self.got_ip_ = id == IP_EVENT_STA_GOT_IP;
    return;
  }
  switch (id) {
    case WIFI_EVENT_STA_START:
      if (self.connect_on_start_) esp_wifi_connect();
      return;
    case WIFI_EVENT_STA_STOP: self.stopped_ = true; return;
    case WIFI_EVENT_STA_DISCONNECTED: {
      const int reason = static_cast<wifi_event_sta_disconnected_t*>(data)->reason;
      self.got_ip_ = false;
      self.lost_ = reason ? reason : WIFI_REASON_UNSPECIFIED;
      return;
    }
    case WIFI_EVENT_SCAN_DONE: self.scanning_ = false; return;
    default: return;
  }
}

void WifiRadio::set_tx_power() { esp_wifi_set_max_tx_power(save_power_ ? kPowerLow : kPowerFull); }

void WifiRadio::save_power(bool on) {
  save_power_ = on;
  if (running_) set_tx_power();
}

void WifiRadio::join(const WifiCredentials& credentials, WifiCache* cache, bool reuse_lease) {
  off();
  credentials_ = credentials;
  cache_ = cache;
  reuse_lease_ = reuse_lease;
  refusals_ = 0;
  if (!start_driver() || esp_wifi_set_mode(WIFI_MODE_STA) != ESP_OK) {
    phase_ = Phase::Failed;
    return;
  }
  attempt(cache_->channel != 0);
}

void WifiRadio::use_lease(bool reuse) {
  esp_netif_dhcpc_stop(station_);
  leased_ = !reuse;
  if (reuse) {
    esp_netif_ip_info_t ip = {};
    ip.ip.addr = cache_->ip;
    ip.netmask.addr = cache_->netmask;
    ip.gw.addr = cache_->router;
    esp_netif_set_ip_info(station_, &ip);
    esp_netif_dns_info_t dns = {};
    dns.ip.u_addr.ip4.addr = cache_->dns;
    dns.ip.type = ESP_IPADDR_TYPE_V4;
    if (cache_->dns) esp_netif_set_dns_info(station_, ESP_NETIF_DNS_MAIN, &dns);
  } else {
    esp_netif_dhcpc_start(station_);
  }
}

void WifiRadio::attempt(bool cached) {
  wifi_config_t config = {};
  const size_t ssid = strlen(credentials_.ssid);
  memcpy(config.sta.ssid, credentials_.ssid, ssid < sizeof config.sta.ssid ? ssid : sizeof config.sta.ssid);
  const size_t password = strlen(credentials_.password);
  if (cached && cache_->have_pmk) {
    char hex[65];
    hex_encode(cache_->pmk, sizeof cache_->pmk, hex);
    memcpy(config.sta.password, hex, sizeof config.sta.password);
    wipe(hex, sizeof hex);
  } else {
    memcpy(config.sta.password, credentials_.password,
           password < sizeof config.sta.password ? password : sizeof config.sta.password);
  }
  config.sta.threshold.rssi = -127;
  config.sta.threshold.authmode = password ? WIFI_AUTH_WPA2_PSK : WIFI_AUTH_OPEN;
  config.sta.pmf_cfg.capable = true;
  config.sta.sae_pwe_h2e = WPA3_SAE_PWE_BOTH;
  config.sta.sort_method = WIFI_CONNECT_AP_BY_SIGNAL;
  config.sta.scan_method = cached ? WIFI_FAST_SCAN : WIFI_ALL_CHANNEL_SCAN;
  if (cached) {
    config.sta.channel = cache_->channel;
    config.sta.bssid_set = true;
    memcpy(config.sta.bssid, cache_->bssid, sizeof config.sta.bssid);
  }
  // Half of a lease is the client's alone: the server hands the address to nobody else meanwhile.
  const bool reuse = cached && reuse_lease_ && cache_->ip != 0 && rtc_ms() >= cache_->lease_at_ms &&
                     rtc_ms() - cache_->lease_at_ms <= cache_->lease_s * 500ull;
  phase_ = cached ? Phase::Cached : Phase::Full;
  since_ms_ = now_ms();
  retry_ms_ = 0;
  got_ip_ = false;
  lost_ = 0;
  use_lease(reuse);
  esp_wifi_set_config(WIFI_IF_STA, &config);
  wipe(&config, sizeof config);
  connect_on_start_ = true;
  running_ = esp_wifi_start() == ESP_OK;
  if (!running_) {
    phase_ = Phase::Failed;
    return;
  }
  // Modem sleep would halve the throughput of the few seconds for which the radio is on.
  esp_wifi_set_ps(WIFI_PS_NONE);
  set_tx_power();
}

LinkStatus WifiRadio::status() {
  const uint64_t now = now_ms();
  switch (phase_) {
    case Phase::Off:
    case Phase::AccessPoint:
    case Phase::Lost: return LinkStatus::Down;
    case Phase::Failed: return LinkStatus::Failed;
    case Phase::BadPassword: return LinkStatus::BadPassword;
    case Phase::Up:
      if (pmk_state_ == Pmk::Ready) {
        pmk_state_ = Pmk::None;
        const bool same = strcmp(pmk_for_.ssid, credentials_.ssid) == 0 && strcmp(pmk_for_.password, credentials_.password) == 0;
        if (same) {
          memcpy(cache_->pmk, pmk_, sizeof pmk_);
          cache_->have_pmk = 1;
        }
        wipe(pmk_, sizeof pmk_);
      }
      if (got_ip_) return LinkStatus::Up;
      phase_ = Phase::Lost;
      return LinkStatus::Down;
    case Phase::Cached:
    case Phase::Full: break;
  }
  if (got_ip_) {
    joined();
    return LinkStatus::Up;
  }
  const int reason = lost_;
  if (phase_ == Phase::Cached) {
    if (!reason && now - since_ms_ < kCachedMs) return LinkStatus::Joining;
    if (is_refusal(reason)) cache_->have_pmk = 0;
    cache_->channel = 0;
    cache_->ip = 0;
    // A driver that is still trying takes no new configuration.
    stop_driver();
    attempt(false);
    return LinkStatus::Joining;
  }
  if (now - since_ms_ >= kFullMs) {
    phase_ = refusals_ ? Phase::BadPassword : Phase::Failed;
    return status();
  }
  if (reason && retry_ms_ == 0) {
    if (is_refusal(reason) && ++refusals_ >= kRefusals) {
      phase_ = Phase::BadPassword;
      return status();
    }
    retry_ms_ = now + kRetryMs;
  } else if (retry_ms_ && now >= retry_ms_) {
    retry_ms_ = 0;
    lost_ = 0;
    esp_wifi_connect();
  }
  return LinkStatus::Joining;
}

void WifiRadio::joined() {
  phase_ = Phase::Up;
  lost_ = 0;
  wifi_ap_record_t record = {};
  if (esp_wifi_sta_get_ap_info(&record) == ESP_OK) {
    memcpy(cache_->bssid, record.bssid, sizeof cache_->bssid);
    cache_->channel = record.primary;
    // A ready key serves WPA2 alone: with WPA3 on offer the driver would take the digits for an SAE password.
    const bool wpa2 = record.authmode == WIFI_AUTH_WPA2_PSK || record.authmode == WIFI_AUTH_WPA_WPA2_PSK;
    if (!wpa2) cache_->have_pmk = 0;
    else if (!cache_->have_pmk) derive_pmk();
  }
  if (!leased_) return;
  esp_netif_ip_info_t ip = {};
  esp_netif_dns_info_t dns = {};
  cache_->ip = 0;
  if (esp_netif_get_ip_info(station_, &ip) != ESP_OK) return;
  esp_netif_get_dns_info(station_, ESP_NETIF_DNS_MAIN, &dns);
  const struct dhcp* lease = netif_dhcp_data(static_cast<struct netif*>(esp_netif_get_netif_impl(station_)));
  if (!lease || lease->offered_t0_lease == 0) return;
  cache_->netmask = ip.netmask.addr;
  cache_->router = ip.gw.addr;
  cache_->dns = dns.ip.u_addr.ip4.addr;
  cache_->lease_s = lease->offered_t0_lease;
  cache_->lease_at_ms = rtc_ms();
  cache_->ip = ip.ip.addr;
}

void WifiRadio::derive_pmk() {
  const size_t n = strlen(credentials_.password);
  if (n == 64) {
    if (hex_decode(credentials_.password, cache_->pmk, sizeof cache_->pmk)) cache_->have_pmk = 1;
    return;
  }
  if (n < 8 || pmk_state_ == Pmk::Running) return;
  pmk_for_ = credentials_;
  pmk_state_ = Pmk::Running;
  if (xTaskCreate(pmk_task, "pmk", kPmkStack, this, tskIDLE_PRIORITY, nullptr) != pdPASS) pmk_state_ = Pmk::None;
}

void WifiRadio::pmk_task(void* context) {
  WifiRadio& self = *static_cast<WifiRadio*>(context);
  const int code = mbedtls_pkcs5_pbkdf2_hmac_ext(
      MBEDTLS_MD_SHA1, reinterpret_cast<const unsigned char*>(self.pmk_for_.password), strlen(self.pmk_for_.password),
      reinterpret_cast<const unsigned char*>(self.pmk_for_.ssid), strlen(self.pmk_for_.ssid), 4096, sizeof self.pmk_,
      self.pmk_);
  self.pmk_state_ = code == 0 ? Pmk::Ready : Pmk::None;
  vTaskDelete(nullptr);
  for (;;) {
  }
}

bool WifiRadio::access_point(const char* ssid) {
  off();
  if (!start_driver()) return false;
  if (!point_) point_ = esp_netif_create_default_wifi_ap();
  // The station half is there to look for networks while the portal is open.
  if (!point_ || esp_wifi_set_mode(WIFI_MODE_APSTA) != ESP_OK) return false;
  wifi_config_t config = {};
  const size_t n = strlen(ssid);
  memcpy(config.ap.ssid, ssid, n < sizeof config.ap.ssid ? n : sizeof config.ap.ssid);
  config.ap.ssid_len = static_cast<uint8_t>(n < sizeof config.ap.ssid ? n : sizeof config.ap.ssid);
  config.ap.channel = 1;
  config.ap.authmode = WIFI_AUTH_OPEN;
  config.ap.max_connection = 4;
  config.ap.beacon_interval = 100;
  connect_on_start_ = false;
  // Several Android phones open no portal that has a private address (arduino-esp32 #10330).
  esp_netif_ip_info_t ip = {};
  const uint8_t mask[4] = {255, 255, 255, 0};
  memcpy(&ip.ip.addr, kPortalAddress, sizeof ip.ip.addr);
  memcpy(&ip.gw.addr, kPortalAddress, sizeof ip.gw.addr);
  memcpy(&ip.netmask.addr, mask, sizeof ip.netmask.addr);
  esp_netif_dhcps_stop(point_);
  esp_netif_set_ip_info(point_, &ip);
  esp_netif_dhcps_start(point_);
  running_ = esp_wifi_set_config(WIFI_IF_AP, &config) == ESP_OK && esp_wifi_start() == ESP_OK;
  if (running_) {
    set_tx_power();
    phase_ = Phase::AccessPoint;
  }
  return running_;
}

void WifiRadio::off() {
  phase_ = Phase::Off;
  stop_driver();
}

void WifiRadio::stop_driver() {
  connect_on_start_ = false;
  if (running_) {
    stopped_ = false;
    esp_wifi_disconnect();
    esp_wifi_stop();
    // The interface is taken down by the event task: what is set before that would be lost.
    for (uint32_t i = 0; i < kStopMs && !stopped_; ++i) vTaskDelay(pdMS_TO_TICKS(1));
  }
  running_ = false;
  got_ip_ = false;
  scanning_ = false;
}

int WifiRadio::rssi() const {
  wifi_ap_record_t record = {};
  return phase_ == Phase::Up && esp_wifi_sta_get_ap_info(&record) == ESP_OK ? record.rssi : 0;
}

bool WifiRadio::scan(bool wait) {
  if (!running_ || scanning_ || (phase_ != Phase::AccessPoint && phase_ != Phase::Up)) return false;
  scanning_ = true;
  const bool ok = esp_wifi_scan_start(nullptr, wait) == ESP_OK;
  if (!ok || wait) scanning_ = false;
  return ok;
}

size_t WifiRadio::networks(Network* out, size_t max) {
  if (!running_ || scanning_) return 0;
  static wifi_ap_record_t records[kNetworks];
  uint16_t n = kNetworks;
  if (esp_wifi_scan_get_ap_records(&n, records) != ESP_OK) return 0;
  size_t written = 0;
  for (uint16_t i = 0; i < n && written < max; ++i) {
    const char* ssid = reinterpret_cast<const char*>(records[i].ssid);
    bool known = ssid[0] == 0;
    for (size_t k = 0; k < written && !known; ++k) known = strcmp(out[k].ssid, ssid) == 0;
    if (known) continue;
    copy_string(out[written].ssid, sizeof out[written].ssid, ssid);
    out[written].rssi = records[i].rssi;
    out[written].secured = records[i].authmode != WIFI_AUTH_OPEN;
    ++written;
  }
  return written;
}

}  // namespace magicpi
