#pragma once
#include <stdint.h>
typedef int BaseType_t;
typedef unsigned int UBaseType_t;
typedef uint32_t TickType_t;
struct StaticSemaphore_t {
  void* opaque[24];
};
#define pdTRUE 1
#define pdFALSE 0
#define pdPASS 1
#define portMAX_DELAY 0xffffffffUL
#define pdMS_TO_TICKS(ms) (static_cast<TickType_t>(ms))
extern "C" BaseType_t xPortGetCoreID(void);
