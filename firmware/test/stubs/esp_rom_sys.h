#pragma once
#include <stdint.h>
typedef enum {
  RESET_REASON_CHIP_POWER_ON = 0x01, RESET_REASON_CORE_SW = 0x03, RESET_REASON_CORE_DEEP_SLEEP = 0x05
} soc_reset_reason_t;
extern "C" soc_reset_reason_t esp_rom_get_reset_reason(int cpu_no);
extern "C" void esp_rom_delay_us(uint32_t us);
