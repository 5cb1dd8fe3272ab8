#pragma once
#include "esp_err.h"
#define ESP_IPADDR_TYPE_V4 0U
#define ESP_IPADDR_TYPE_V6 6U
extern "C" {
typedef struct {
  uint32_t addr;
} esp_ip4_addr_t;
typedef struct {
  uint32_t addr[4];
  uint8_t zone;
} esp_ip6_addr_t;
typedef struct {
  union {
    esp_ip6_addr_t ip6;
    esp_ip4_addr_t ip4;
  } u_addr;
  uint8_t type;
} esp_ip_addr_t;
char* esp_ip4addr_ntoa(const esp_ip4_addr_t* addr, char* buf, int buflen);
}
