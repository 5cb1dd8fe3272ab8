// Shared by the fuzzers: a world to call the core in, and input that stays readable past its end checks.
#pragma once

#include <stdlib.h>

#include "../sim.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

/// A property that must hold for every input.
#define MUST(condition) \
  do {                  \
    if (!(condition)) abort(); \
  } while (0)
