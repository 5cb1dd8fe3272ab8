#pragma once
#include "esp_event.h"
#include "esp_netif_ip_addr.h"
extern "C" {
typedef struct esp_netif_obj esp_netif_t;
typedef struct {
  esp_ip4_addr_t ip, netmask, gw;
} esp_netif_ip_info_t;
typedef struct {
  esp_ip_addr_t ip;
} esp_netif_dns_info_t;
typedef enum { ESP_NETIF_DNS_MAIN = 0, ESP_NETIF_DNS_BACKUP, ESP_NETIF_DNS_FALLBACK } esp_netif_dns_type_t;
typedef enum { IP_EVENT_STA_GOT_IP, IP_EVENT_STA_LOST_IP, IP_EVENT_AP_STAIPASSIGNED, IP_EVENT_GOT_IP6, IP_EVENT_ETH_GOT_IP, IP_EVENT_ETH_LOST_IP } ip_event_t;
typedef struct {
  const void *base, *driver, *stack;
} esp_netif_config_t;
#define ESP_NETIF_DEFAULT_ETH() {nullptr, nullptr, nullptr}
esp_netif_t* esp_netif_new(const esp_netif_config_t* config);
esp_err_t esp_netif_attach(esp_netif_t* netif, void* driver_handle);
extern esp_event_base_t const IP_EVENT;
esp_err_t esp_netif_init(void);
esp_err_t esp_netif_set_hostname(esp_netif_t* netif, const char* hostname);
esp_err_t esp_netif_dhcpc_start(esp_netif_t* netif);
esp_err_t esp_netif_dhcpc_stop(esp_netif_t* netif);
esp_err_t esp_netif_dhcps_start(esp_netif_t* netif);
esp_err_t esp_netif_dhcps_stop(esp_netif_t* netif);
esp_err_t esp_netif_get_ip_info(esp_netif_t* netif, esp_netif_ip_info_t* info);
esp_err_t esp_netif_set_ip_info(esp_netif_t* netif, const esp_netif_ip_info_t* info);
esp_err_t esp_netif_get_dns_info(esp_netif_t* netif, esp_netif_dns_type_t type, esp_netif_dns_info_t* dns);
esp_err_t esp_netif_set_dns_info(esp_netif_t* netif, esp_netif_dns_type_t type, esp_netif_dns_info_t* dns);
}
