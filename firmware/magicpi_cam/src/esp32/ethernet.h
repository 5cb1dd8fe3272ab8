// The cable of boards that have one: a W5500 behind esp_eth, with the same answers as the radio.
#pragma once

#include <atomic>

#include <esp_event.h>
#include <esp_netif.h>

#include "../core/platform.h"

namespace magicpi {

class Ethernet {
 public:
  /// `hostname` for DHCP and mDNS; lives as long as this.
  explicit Ethernet(const char* hostname) : hostname_(hostname) {}

  /// Starts the chip, once; the link and the lease come by themselves.
  void begin();
  /// Up with link and lease, Joining without, Failed where the chip does not answer.
  LinkStatus status() const;

 private:
  static void on_event(void* self, esp_event_base_t base, int32_t id, void* data);
  bool start();

  const char* hostname_;
  esp_netif_t* netif_ = nullptr;
  bool begun_ = false, works_ = false;
  std::atomic<bool> got_ip_{false};
};

}  // namespace magicpi
