#include "ota_slot.h"

#include <esp_partition.h>

namespace magicpi {

bool OtaSlot::available() { return esp_ota_get_next_update_partition(nullptr) != nullptr; }

bool OtaSlot::begin(uint32_t size) {
  abort();
  partition_ = esp_ota_get_next_update_partition(nullptr);
  if (!partition_ || size > partition_->size) return false;
  // Erased sector by sector while writing: erasing all at once would stop network and capture for seconds.
  open_ = esp_ota_begin(partition_, OTA_WITH_SEQUENTIAL_WRITES, &handle_) == ESP_OK;
  return open_;
}

bool OtaSlot::write(const uint8_t* data, size_t n) { return open_ && esp_ota_write(handle_, data, n) == ESP_OK; }

bool OtaSlot::finish() {
  if (!open_) return false;
  open_ = false;
  return esp_ota_end(handle_) == ESP_OK && esp_ota_set_boot_partition(partition_) == ESP_OK;
}

void OtaSlot::abort() {
  if (open_) esp_ota_abort(handle_);
  open_ = false;
}

bool OtaSlot::pending() {
  esp_ota_img_states_t state;
  return esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK &&
         state == ESP_OTA_IMG_PENDING_VERIFY;
}

void OtaSlot::confirm() { esp_ota_mark_app_valid_cancel_rollback(); }

bool OtaSlot::rollback() {
  esp_ota_mark_app_invalid_rollback_and_reboot();
  // Nothing to go back to: a camera that runs is better than one that judges itself at every boot.
  esp_ota_mark_app_valid_cancel_rollback();
  return false;
}

}  // namespace magicpi
