// mDNS: looking for the gateway, and being found in setup mode. The responder runs only while one of the two is needed.
#pragma once

#include <mdns.h>

#include "../core/platform.h"

namespace magicpi {

class Mdns {
 public:
  explicit Mdns(const char* hostname) : hostname_(hostname) {}

  void find_begin(const char* ca16);
  /// As Platform::mdns_find_poll().
  int find_poll(GatewayAddress* out, size_t max);
  /// Advertises `_magicpi-cam._tcp` on port 80.
  void advertise(const char* instance, const char* id, const char* model, const char* fw);
  /// Says goodbye and frees everything. Before the radio goes off.
  void stop();

 private:
  bool start();
  const char* hostname_;
  bool running_ = false;
  bool advertising_ = false;
  mdns_search_once_t* search_ = nullptr;
  uint64_t until_ms_ = 0;
  char ca16_[17] = {0};
};

}  // namespace magicpi
