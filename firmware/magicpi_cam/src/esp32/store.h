// Memory that lasts: NVS, and the part of RTC memory that survives deep sleep and software resets.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../core/platform.h"

namespace magicpi {

/// Namespace "magicpi" of NVS; arguments and results as in Platform.
size_t store_get(const char* key, void* out, size_t cap);
bool store_set(const char* key, const void* data, size_t n);
void store_erase(const char* key);

/// kRtcBytes, 8-aligned.
uint8_t* rtc_memory();
/// Call first, once. After power-on the RTC clock starts again at zero, so all that was measured by it is wiped.
void rtc_begin(WakeCause cause);
/// Milliseconds since power-on, through sleep and resets.
uint64_t rtc_ms();

}  // namespace magicpi
