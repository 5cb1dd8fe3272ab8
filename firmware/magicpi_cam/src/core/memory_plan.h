// What a board does with its memory.
#pragma once

#include <stddef.h>

namespace magicpi {

/// Bytes of PSRAM for frames: the rest is for two buffers of the driver (384,000 bytes each at UXGA) and what else is allocated there.
constexpr size_t ring_of_psram(size_t psram) { return psram > 2 * 1024 * 1024 ? psram - 1024 * 1024 : psram / 2; }

// Without PSRAM: bytes of internal heap, from an emulated ESP32 (IDF 5.3).
constexpr size_t kPlanRing = 24 * 1024;      ///< three to six pictures of QVGA
constexpr size_t kPlanRadio = 84 * 1024;     ///< Wi-Fi, lwIP
constexpr size_t kPlanTls = 40 * 1024;       ///< one connection
constexpr size_t kPlanSensor = 32 * 1024;    ///< one frame buffer of QVGA, DMA buffers
constexpr size_t kPlanTasks = 12 * 1024;     ///< capture, derivation of the Wi-Fi key
constexpr size_t kPlanReserve = 16 * 1024;   ///< TCP segments, flash writes

/// Filming over one connection, or two connections for an update while the sensor is off, whichever takes more.
constexpr size_t kPlanFilming = kPlanRing + kPlanRadio + kPlanTls + kPlanSensor + kPlanTasks + kPlanReserve;
constexpr size_t kPlanUpdate = kPlanRing + kPlanRadio + 2 * kPlanTls + kPlanTasks + kPlanReserve;
constexpr size_t kPlanNeeds = kPlanFilming > kPlanUpdate ? kPlanFilming : kPlanUpdate;

constexpr bool works_without_psram(size_t free_heap) { return free_heap >= kPlanNeeds; }

}  // namespace magicpi
