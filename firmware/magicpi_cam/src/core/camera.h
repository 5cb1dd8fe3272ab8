// The camera: everything between a PIR edge and an acknowledged frame. docs/design/firmware.md draws the states.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "backoff.h"
#include "battery.h"
#include "claim.h"
#include "confirm.h"
#include "frame_ring.h"
#include "http.h"
#include "improv.h"
#include "ota.h"
#include "pir.h"
#include "platform.h"
#include "protocol.h"
#include "rtc_state.h"
#include "settings.h"
#include "setup.h"
#include "ws.h"

namespace magicpi {

/// Facts of the board and the build; the strings must live as long as the Camera.
struct Identity {
  char id[18];               ///< "AA:BB:CC:DD:EE:FF", upper case
  const char* model;         ///< "AI-Thinker ESP32-CAM"
  const char* fw;            ///< "1.2.3"
  const char* setup_name;    ///< access point name, "MagicPi-EEFF"
  Caps caps;
};

/// Compile-time choices of a shell; every field has a working default.
struct Options {
  Settings settings;                     ///< factory settings
  WifiCredentials wifi;                  ///< used when NVS has none
  const uint8_t* ota_key = nullptr;      ///< P-256 public point, 65 bytes 04|x|y: images must be signed. nullptr: not asked
  BatteryCurve battery;                  ///< thresholds in mV
  PirPolicy::Limits pir;
  bool confirm_motion = false;           ///< hold the radio until the picture confirms a PIR alarm
  uint32_t camera_lead_ms = 400;         ///< the radio starts after the first frame, or this long after camera_start
};

/// One per process. Shell's loop: `begin()` once, then `poll()` for ever, waiting at most the returned time (less when
/// the PIR pin changes or a socket becomes ready; early calls are harmless).
class Camera {
 public:
  /// `ring_memory`: 4-aligned, at least 64 KiB to be of use (PSRAM), lives as long as the Camera. `ws` carries the
  /// WebSocket and registration, `https` firmware images and PUT /device/config while the WebSocket is open.
  Camera(Platform& platform, Transport& ws, Transport& https, const Identity& identity, const Options& options,
         uint8_t* ring_memory, size_t ring_bytes);

  /// Loads RTC memory and NVS, starts the sensor at once after a PIR wake (may take 0.5 s).
  void begin();
  /// Advances everything. Returns the longest useful wait in ms, 0..1000.
  uint32_t poll();

  // --- capture task -------------------------------------------------------
  /// Milliseconds until the next frame is wanted; 0 = now, UINT32_MAX = capture is off (ask again in 20 ms).
  uint32_t frame_due();
  /// Hands over one whole JPEG (SOI..EOI) captured at `t_ms`, Platform::now_ms() time. The bytes are copied: the
  /// driver's buffer may be returned at once. Never waits for the network.
  void frame(const uint8_t* jpeg, size_t n, uint64_t t_ms);

  // --- setup mode, network task -------------------------------------------
  /// "ABCD-EFGH-JKMN-PQRS", from NVS, made at the first begin().
  const char* setup_code() const { return code_.grouped(); }
  /// Answers GET /setup: HTTP status, and the JSON body in `out` (192 bytes are enough... 512 to be safe).
  int setup_get(char* out, size_t cap);
  /// Answers POST /setup: HTTP status 204, 400, 403, 409, 410 or 429. The body may be any bytes.
  int setup_post(const char* body, size_t n);
  /// Wi-Fi credentials from the portal; joins and leaves access-point mode. False if malformed.
  bool set_wifi(const char* ssid, const char* password);
  /// A setting changed at the camera (portal page): merged, stored, reported by PUT /device/config.
  /// JSON object of protocol.md section 6 keys. False if nothing in it was valid.
  bool change_settings(const char* object, size_t n);

  // --- hands on the device, network task ----------------------------------
  /// One byte from the serial console: Improv Serial packets, or the lines `code`, `status`, `reset claim`.
  void console_byte(uint8_t byte);
  /// Network in sight, answering Platform::wifi_scan().
  void improv_network(const char* ssid, int rssi, bool secured);
  void improv_network_end();
  /// State of the button, whenever it changes: 1..5 s opens the Wi-Fi portal for ten minutes, 5 s and more forgets claim and Wi-Fi.
  void button(bool pressed);
  /// Forgets claim and Wi-Fi (the setup code stays) and restarts into setup mode.
  void factory_reset();

  // --- facts --------------------------------------------------------------
  State state() const { return state_; }
  bool claimed() const { return claim_.claimed(); }
  const Settings& settings() const { return settings_; }
  const Identity& identity() const { return identity_; }
  uint32_t boot() const { return boot_; }
  /// Frames given up in this boot.
  uint32_t frames_lost() const { return lost_; }
  uint32_t frames_captured() const { return seq_; }
  bool capturing() const { return capture_on_; }

 private:
};

}  // namespace magicpi
