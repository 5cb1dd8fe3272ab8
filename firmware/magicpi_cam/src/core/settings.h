// Settings a person may change: keys, ranges and defaults of protocol.md section 6.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "json.h"

namespace magicpi {

/// Frame sizes in pixels: 320x240, 640x480, 800x600, 1024x768, 1280x720, 1280x1024, 1600x1200.
enum class Resolution : uint8_t { QVGA, VGA, SVGA, XGA, HD, SXGA, UXGA };
constexpr uint8_t kResolutions = 7;
/// "QVGA".."UXGA", the spelling of the wire.
const char* resolution_name(Resolution r);

enum class PowerMode : uint8_t { Battery, AlwaysOn };
enum class FlashMode : uint8_t { Off, Motion, On };

/// What this board and build can do (`caps` of the wire).
struct Caps {
  uint8_t resolutions = 0x7f;    ///< bit n set: Resolution(n) works
  uint32_t psram_bytes = 0;
  bool battery = false;          ///< runs on a battery whose voltage can be read
  bool flash = false;            ///< has a white LED
  bool sd = false;
  bool pir = true;
  bool sleep = true;             ///< can sleep deeply and wake by PIR or timer
  bool ota = true;
  bool ring = false;             ///< has a doorbell button
  bool charging = false;         ///< a pin tells whether the cell is being charged
};

/// Cells of a picture that do not count as motion: 16 x 12 bits, row by row from the top left, highest bit first.
constexpr size_t kIgnoreBytes = 16 * 12 / 8;

struct Settings {
  uint32_t rev = 0;              ///< revision the gateway gave; 0 = factory defaults
  Resolution resolution = Resolution::SVGA;
  uint8_t framerate = 10;        ///< frames per second, 1..25
  uint8_t jpeg_quality = 12;     ///< 4..63, lower is better and bigger
  uint16_t stream_duration_s = 30;   ///< 3..300 after the last motion
  uint16_t max_event_s = 120;    ///< 10..600
  bool motion_enabled = true;
  bool pre_roll = true;          ///< capture before the link is up
  uint32_t heartbeat_interval_s = 3600;  ///< 60..86400 between timer wakes
  PowerMode power_mode = PowerMode::Battery;
  FlashMode flash = FlashMode::Off;
  bool vflip = false;
  bool hmirror = false;
  int8_t brightness = 0;         ///< -2..2, as the four below
  int8_t contrast = 0;
  int8_t saturation = 0;
  int8_t exposure = 0;
  bool night_mode = false;
  // Those below came after 0.1.0: a gateway sends them only to a camera that lists them among its features.
  bool checkin_picture = false;  ///< one picture at each timer wake
  bool confirm_motion = false;   ///< the picture must agree with the PIR before the radio starts
  uint8_t confirm_sensitivity = 5;   ///< 1..10, higher keeps more
  uint8_t ignore_grid[kIgnoreBytes] = {0};
};

constexpr size_t kSettingsKeys = 21;
constexpr size_t kFirstSettingsKeys = 17;   ///< those of 0.1.0
/// Wire name of key `index` (0..kSettingsKeys-1).
const char* settings_key(size_t index);

/// Outcome of merging one JSON object into Settings: bit n speaks of settings_key(n).
struct SettingsChange {
  uint32_t applied = 0;          ///< known, valid (whether or not the value differs)
  uint32_t changed = 0;          ///< the subset whose value is new
  uint32_t rejected = 0;         ///< known, but of wrong type, out of range or not in caps
};

/// Merges the known keys of `object`; an invalid value leaves its key as it was. `rev` is not touched.
SettingsChange settings_merge(Settings& settings, json::Value object, const Caps& caps);
/// Copies the keys in `mask` from another set.
void settings_copy(Settings& to, const Settings& from, uint32_t mask);
/// Writes `"key":value` members for the keys in `mask` into an open JSON object.
void settings_write(json::Writer& out, const Settings& settings, uint32_t mask);
/// Why key `index` can be refused: "type", "range" or "unsupported", for config_ack.rejected.
const char* settings_refusal(size_t index, json::Value object, const Caps& caps);

/// Serialized size bound for NVS, of the keys of 0.1.0: firmware of that age reads this blob after a rollback.
constexpr size_t kSettingsBlobMax = 64;
size_t settings_save(const Settings& settings, uint8_t* out, size_t cap);
/// False (and settings untouched) if the blob is not whole, of another version or out of range.
bool settings_load(Settings& settings, const uint8_t* data, size_t len, const Caps& caps);
/// The newer keys, in a blob of their own.
size_t settings_save_more(const Settings& settings, uint8_t* out, size_t cap);
/// False (and settings untouched) if the blob is not whole or out of range, or belongs to another revision: firmware that
/// does not know these keys has taken settings since.
bool settings_load_more(Settings& settings, const uint8_t* data, size_t len);

}  // namespace magicpi
