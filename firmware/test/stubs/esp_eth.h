#pragma once
#include "driver/spi_master.h"
#include "esp_event.h"
#include "esp_netif.h"
extern "C" {
typedef struct esp_eth_mac_s esp_eth_mac_t;
typedef struct esp_eth_phy_s esp_eth_phy_t;
typedef void* esp_eth_handle_t;
typedef struct esp_eth_netif_glue_t* esp_eth_netif_glue_handle_t;
typedef enum { ETHERNET_EVENT_START, ETHERNET_EVENT_STOP, ETHERNET_EVENT_CONNECTED, ETHERNET_EVENT_DISCONNECTED } eth_event_t;
typedef enum { ETH_CMD_G_MAC_ADDR, ETH_CMD_S_MAC_ADDR } esp_eth_io_cmd_t;
extern esp_event_base_t const ETH_EVENT;
typedef struct {
  uint32_t sw_reset_timeout_ms, rx_task_stack_size, rx_task_prio, flags;
} eth_mac_config_t;
typedef struct {
  int32_t phy_addr;
  uint32_t reset_timeout_ms, autonego_timeout_ms;
  int reset_gpio_num;
} eth_phy_config_t;
typedef struct {
  int int_gpio_num;
  uint32_t poll_period_ms;
  spi_host_device_t spi_host_id;
  spi_device_interface_config_t* spi_devcfg;
} eth_w5500_config_t;
typedef struct {
  esp_eth_mac_t* mac;
  esp_eth_phy_t* phy;
  uint32_t check_link_period_ms;
} esp_eth_config_t;
#define ETH_MAC_DEFAULT_CONFIG() {100, 4096, 15, 0}
#define ETH_PHY_DEFAULT_CONFIG() {-1, 100, 4000, 5}
#define ETH_W5500_DEFAULT_CONFIG(host, devcfg) {4, 0, host, devcfg}
#define ETH_DEFAULT_CONFIG(emac, ephy) {emac, ephy, 2000}
esp_eth_mac_t* esp_eth_mac_new_w5500(const eth_w5500_config_t* w5500_config, const eth_mac_config_t* mac_config);
esp_eth_phy_t* esp_eth_phy_new_w5500(const eth_phy_config_t* config);
esp_err_t esp_eth_driver_install(const esp_eth_config_t* config, esp_eth_handle_t* out_hdl);
esp_err_t esp_eth_start(esp_eth_handle_t hdl);
esp_err_t esp_eth_ioctl(esp_eth_handle_t hdl, esp_eth_io_cmd_t cmd, void* data);
esp_eth_netif_glue_handle_t esp_eth_new_netif_glue(esp_eth_handle_t eth_hdl);
}
