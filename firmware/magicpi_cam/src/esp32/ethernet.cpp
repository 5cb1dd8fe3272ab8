#include "ethernet.h"

#include "../../board.h"

#if defined(CONFIG_IDF_TARGET_ESP32S3)

#include <driver/gpio.h>
#include <driver/spi_master.h>
#include <esp_eth.h>
#if __has_include(<esp_eth_mac_spi.h>)
#include <esp_eth_mac_spi.h>
#endif
#include <esp_mac.h>

namespace magicpi {

namespace {
constexpr int kClockHz = 25 * 1000 * 1000;
constexpr int kPhyAddress = 1;
constexpr spi_host_device_t kHost = SPI2_HOST;
}  // namespace

bool Ethernet::start() {
  const EthernetPins& pins = kBoard.ethernet;
  // These three may have been done already.
  esp_netif_init();
  esp_event_loop_create_default();
  gpio_install_isr_service(0);

  spi_bus_config_t bus = {};
  bus.miso_io_num = pins.miso;
  bus.mosi_io_num = pins.mosi;
  bus.sclk_io_num = pins.sclk;
  bus.quadwp_io_num = -1;
  bus.quadhd_io_num = -1;
  if (spi_bus_initialize(kHost, &bus, SPI_DMA_CH_AUTO) != ESP_OK) return false;
  spi_device_interface_config_t device = {};
  device.mode = 0;
  device.clock_speed_hz = kClockHz;
  device.spics_io_num = pins.cs;
  device.queue_size = 20;

  eth_w5500_config_t chip = ETH_W5500_DEFAULT_CONFIG(kHost, &device);
  chip.int_gpio_num = pins.irq;
  eth_mac_config_t mac_config = ETH_MAC_DEFAULT_CONFIG();
  eth_phy_config_t phy_config = ETH_PHY_DEFAULT_CONFIG();
  phy_config.phy_addr = kPhyAddress;
  phy_config.reset_gpio_num = pins.reset;
  esp_eth_mac_t* mac = esp_eth_mac_new_w5500(&chip, &mac_config);
  esp_eth_phy_t* phy = esp_eth_phy_new_w5500(&phy_config);
  if (!mac || !phy) return false;
  esp_eth_config_t config = ETH_DEFAULT_CONFIG(mac, phy);
  esp_eth_handle_t handle = nullptr;
  if (esp_eth_driver_install(&config, &handle) != ESP_OK) return false;
  // The W5500 has no address of its own.
  uint8_t address[6] = {0};
  esp_read_mac(address, ESP_MAC_ETH);
  esp_eth_ioctl(handle, ETH_CMD_S_MAC_ADDR, address);

  const esp_netif_config_t netif = ESP_NETIF_DEFAULT_ETH();
  netif_ = esp_netif_new(&netif);
  if (!netif_ || esp_netif_attach(netif_, esp_eth_new_netif_glue(handle)) != ESP_OK) return false;
  esp_netif_set_hostname(netif_, hostname_);
  esp_event_handler_instance_register(ETH_EVENT, ESP_EVENT_ANY_ID, on_event, this, nullptr);
  esp_event_handler_instance_register(IP_EVENT, IP_EVENT_ETH_GOT_IP, on_event, this, nullptr);
  esp_event_handler_instance_register(IP_EVENT, IP_EVENT_ETH_LOST_IP, on_event, this, nullptr);
  return esp_eth_start(handle) == ESP_OK;
}

void Ethernet::on_event(void* context, esp_event_base_t base, int32_t id, void*) {
  Ethernet& self = *static_cast<Ethernet*>(context);
  if (base == IP_EVENT) self.got_ip_ = id == IP_EVENT_ETH_GOT_IP;
  else if (id == ETHERNET_EVENT_DISCONNECTED || id == ETHERNET_EVENT_STOP) self.got_ip_ = false;
}

void Ethernet::begin() {
  if (begun_) return;
  begun_ = true;
  works_ = start();
}

}  // namespace magicpi

#else

namespace magicpi {
// Boards of the ESP32 have Wi-Fi only.
void Ethernet::begin() {}
}  // namespace magicpi

#endif

namespace magicpi {

LinkStatus Ethernet::status() const {
  if (got_ip_) return LinkStatus::Up;
  return begun_ && !works_ ? LinkStatus::Failed : LinkStatus::Joining;
}

}  // namespace magicpi
