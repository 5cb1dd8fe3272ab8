// Random numbers that are good before the radio runs.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace magicpi {

/// Fills the pool from the SAR ADC's noise. First thing at boot: it uses ADC and I2S, which camera and battery need later.
void entropy_begin();
/// SHA-256 in counter mode over the pool and the chip's generator.
void entropy_fill(uint8_t* out, size_t n);

}  // namespace magicpi
