// The spare image slot, and the trial of a new image; results as in Platform.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <esp_ota_ops.h>

namespace magicpi {

class OtaSlot {
 public:
  static bool available();
  bool begin(uint32_t size);
  bool write(const uint8_t* data, size_t n);
  bool finish();
  void abort();
  static bool pending();
  static void confirm();
  /// Does not return if there is an image to go back to; false if there is none.
  static bool rollback();

 private:
  const esp_partition_t* partition_ = nullptr;
  esp_ota_handle_t handle_ = 0;
  bool open_ = false;
};

}  // namespace magicpi
