#include "mdns_responder.h"

#include <string.h>
#include <strings.h>

#include <esp_netif_ip_addr.h>
#include <esp_timer.h>

#include "../core/codec.h"

namespace magicpi {

namespace {

constexpr uint32_t kFindMs = 2000;       // the query's life; one question and one repetition
constexpr uint32_t kGiveUpMs = 2500;
constexpr size_t kMaxGateways = 8;

uint64_t now_ms() { return static_cast<uint64_t>(esp_timer_get_time()) / 1000; }

bool carries(const mdns_result_t& result, const char* ca16) {
  for (size_t i = 0; i < result.txt_count; ++i) {
    const mdns_txt_item_t& item = result.txt[i];
    if (item.key && item.value && strcasecmp(item.key, "ca") == 0) return strcasecmp(item.value, ca16) == 0;
  }
  return false;
}

}  // namespace

bool Mdns::start() {
  if (running_) return true;
  running_ = mdns_init() == ESP_OK;
  if (running_) mdns_hostname_set(hostname_);
  return running_;
}

void Mdns::stop() {
  // Frees an unfinished search as well.
  if (running_) mdns_free();
  running_ = advertising_ = false;
  search_ = nullptr;
}

void Mdns::find_begin(const char* ca16) {
  copy_string(ca16_, sizeof ca16_, ca16);
  until_ms_ = now_ms() + kGiveUpMs;
  if (search_) stop();
  search_ = start() ? mdns_query_async_new(nullptr, "_magicpi-nvr", "_tcp", MDNS_TYPE_PTR, kFindMs, kMaxGateways, nullptr)
                    : nullptr;
}

int Mdns::find_poll(GatewayAddress* out, size_t max) {
  mdns_result_t* results = nullptr;
  uint8_t count = 0;
  if (search_ && !mdns_query_async_get_results(search_, 0, &results, &count)) {
    if (now_ms() < until_ms_) return -1;
    if (!advertising_) stop();
    search_ = nullptr;
    return 0;
  }
  size_t n = 0;
  for (const mdns_result_t* r = results; r; r = r->next) {
    // The name in TXT proves nothing, it only spares a handshake: TLS decides with the pinned CA.
    if (r->port == 0 || !carries(*r, ca16_)) continue;
    for (const mdns_ip_addr_t* a = r->addr; a && n < max; a = a->next) {
      if (a->addr.type != ESP_IPADDR_TYPE_V4) continue;
      esp_ip4addr_ntoa(&a->addr.u_addr.ip4, out[n].host, sizeof out[n].host);
      out[n++].port = r->port;
    }
  }
  if (results) mdns_query_results_free(results);
  if (search_) mdns_query_async_delete(search_);
  search_ = nullptr;
  if (!advertising_) stop();
  return static_cast<int>(n);
}

void Mdns::advertise(const char* instance, const char* id, const char* model, const char* fw) {
  if (!start()) return;
  mdns_instance_name_set(instance);
  mdns_txt_item_t txt[] = {{"id", id}, {"model", model}, {"fw", fw}, {"proto", "1"}};
  advertising_ = mdns_service_add(instance, "_magicpi-cam", "_tcp", 80, txt, sizeof txt / sizeof *txt) == ESP_OK;
}

}  // namespace magicpi
