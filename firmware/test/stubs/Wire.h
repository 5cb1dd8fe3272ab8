#pragma once
#include <stddef.h>
#include <stdint.h>
class TwoWire {
 public:
  bool begin(int sda, int scl, uint32_t frequency = 0);
  bool end();
  void beginTransmission(uint8_t address);
  size_t write(const uint8_t* data, size_t quantity);
  uint8_t endTransmission();
};
extern TwoWire Wire;
