#pragma once
#include "esp_err.h"
extern "C" {
typedef struct {
  void* flash_chip;
  int type, subtype;
  uint32_t address, size, erase_size;
  char label[17];
  bool encrypted, readonly;
} esp_partition_t;
}
