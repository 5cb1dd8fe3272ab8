#pragma once
#include "../esp_err.h"
extern "C" {
typedef enum { SPI1_HOST = 0, SPI2_HOST = 1, SPI3_HOST = 2 } spi_host_device_t;
typedef enum { SPI_DMA_DISABLED = 0, SPI_DMA_CH_AUTO = 3 } spi_common_dma_t;
typedef spi_common_dma_t spi_dma_chan_t;
typedef struct {
  union {
    int mosi_io_num;
    int data0_io_num;
  };
  union {
    int miso_io_num;
    int data1_io_num;
  };
  int sclk_io_num;
  union {
    int quadwp_io_num;
    int data2_io_num;
  };
  union {
    int quadhd_io_num;
    int data3_io_num;
  };
  int max_transfer_sz;
  uint32_t flags;
} spi_bus_config_t;
typedef struct {
  uint8_t command_bits, address_bits, dummy_bits, mode;
  uint16_t duty_cycle_pos, cs_ena_pretrans;
  uint8_t cs_ena_posttrans;
  int clock_speed_hz;
  int input_delay_ns;
  int spics_io_num;
  uint32_t flags;
  int queue_size;
} spi_device_interface_config_t;
esp_err_t spi_bus_initialize(spi_host_device_t host_id, const spi_bus_config_t* bus_config, spi_dma_chan_t dma_chan);
}
