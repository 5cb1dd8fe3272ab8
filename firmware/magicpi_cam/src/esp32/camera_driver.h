// The sensor by esp_camera, and the task that carries its frames into the core.
#pragma once

#include <atomic>

#include <esp_camera.h>
#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>
#include <freertos/task.h>

#include "../core/settings.h"

namespace magicpi {

/// The board's pins and what the settings ask for.
camera_config_t sensor_config(const Settings& settings, bool has_psram);
/// Where no power-down pin is wired: software standby, which the next start's reset ends. The OV2640's is left alone: it
/// holds the bus low until its supply is cut.
void sensor_stand_by();

class BoardIo;
class Camera;

class CameraDriver {
 public:
  /// `has_psram`: two buffers in PSRAM; otherwise one in internal memory.
  void begin(Camera* camera, BoardIo* board, bool has_psram);
  /// May take 0.5 s. False if no sensor answers.
  bool start(const Settings& settings);
  /// Changed settings; another resolution restarts the sensor, because the buffers have the size of the first.
  void apply(const Settings& settings);
  /// Waits until the task has given its buffer back, then powers the sensor down.
  void stop();
  /// Puts a sensor that runs on after its supply came into standby, where no power-down pin does that. May take 0.5 s.
  void park();
  bool running() const { return running_; }
  /// Restarts the sensor if it went silent, or did not come back from a change. Network task.
  void revive(uint64_t now_ms);

 private:
  [[noreturn]] static void task(void* self);
  [[noreturn]] void run();
  bool grab();
  bool start_sensor(const Settings& settings);
  void stop_sensor();
  bool open(const Settings& settings);
  void set_registers(const Settings& settings);

  Camera* camera_ = nullptr;
  BoardIo* board_ = nullptr;
  bool has_psram_ = false;
  Settings settings_;
  bool wanted_ = false;                   // between start() and stop()
  uint64_t retry_ms_ = 0;
  std::atomic<bool> running_{false};
  std::atomic<uint8_t> silent_{0};        // grabs in a row that gave no frame
  SemaphoreHandle_t driver_ = nullptr;    // held while a frame is out of the driver, and while it starts or stops
  StaticSemaphore_t driver_memory_;
  TaskHandle_t task_ = nullptr;
};

}  // namespace magicpi
