#include "settings.h"

#include <string.h>

#include "codec.h"

namespace magicpi {

namespace {

constexpr uint8_t kBlobVersion = 1, kMoreVersion = 1;

const char* const kResolutionNames[kResolutions] = {"QVGA", "VGA", "SVGA", "XGA", "HD", "SXGA", "UXGA"};
const char* const kPowerNames[] = {"battery", "always_on"};
const char* const kFlashNames[] = {"off", "motion", "on"};

enum class Type : uint8_t { Integer, Boolean, Choice, Grid };

struct Row {
  const char* key;
  Type type;
  int32_t min, max;                    // of an integer, or number of choices in max
  const char* const* choices;
  int32_t (*get)(const Settings&);
  void (*set)(Settings&, int32_t);
};

#define MAGICPI_INT(name, lo, hi)                                              \
  {#name, Type::Integer, lo, hi, nullptr,                                      \
   [](const Settings& s) { return static_cast<int32_t>(s.name); },             \
   [](Settings& s, int32_t v) { s.name = static_cast<decltype(s.name)>(v); }}
#define MAGICPI_BOOL(name)                                                     \
  {#name, Type::Boolean, 0, 1, nullptr,                                        \
   [](const Settings& s) { return static_cast<int32_t>(s.name); },             \
   [](Settings& s, int32_t v) { s.name = v != 0; }}
#define MAGICPI_CHOICE(name, names)                                            \
  {#name, Type::Choice, 0, static_cast<int32_t>(sizeof names / sizeof *names) - 1, names, \
   [](const Settings& s) { return static_cast<int32_t>(s.name); },             \
   [](Settings& s, int32_t v) { s.name = static_cast<decltype(s.name)>(v); }}

const Row kRows[kSettingsKeys] = {
    MAGICPI_CHOICE(resolution, kResolutionNames),
    MAGICPI_INT(framerate, 1, 25),
    MAGICPI_INT(jpeg_quality, 4, 63),
    MAGICPI_INT(stream_duration_s, 3, 300),
    MAGICPI_INT(max_event_s, 10, 600),
    MAGICPI_BOOL(motion_enabled),
    MAGICPI_BOOL(pre_roll),
    MAGICPI_INT(heartbeat_interval_s, 60, 86400),
    MAGICPI_CHOICE(power_mode, kPowerNames),
    MAGICPI_CHOICE(flash, kFlashNames),
    MAGICPI_BOOL(vflip),
    MAGICPI_BOOL(hmirror),
    MAGICPI_INT(brightness, -2, 2),
    MAGICPI_INT(contrast, -2, 2),
    MAGICPI_INT(saturation, -2, 2),
    MAGICPI_INT(exposure, -2, 2),
    MAGICPI_BOOL(night_mode),
    MAGICPI_BOOL(checkin_picture),
    MAGICPI_BOOL(confirm_motion),
    MAGICPI_INT(confirm_sensitivity, 1, 10),
    {"ignore_grid", Type::Grid, 0, 0, nullptr, nullptr, nullptr},
};

bool grid_of(json::Value v, uint8_t out[kIgnoreBytes]) {
  char text[2 * kIgnoreBytes + 1];
  size_t n = 0;
  return v.to_string(text, sizeof text, &n) && n == 2 * kIgnoreBytes && hex_decode(text, out, kIgnoreBytes);
}

/// nullptr if the value is good, else why not.
const char* check(const Row& row, json::Value v, const Caps& caps, int32_t* out) {
  switch (row.type) {
    case Type::Grid: {
      uint8_t grid[kIgnoreBytes];
      if (!v.is(json::Kind::String)) return "type";
      return grid_of(v, grid) ? nullptr : "range";
    }
    case Type::Boolean: {
      bool b = false;
      if (!v.to_bool(&b)) return "type";
      *out = b;
      return nullptr;
    }
    case Type::Integer:
      if (!v.is(json::Kind::Number)) return "type";
      if (!v.to_i32(out) || *out < row.min || *out > row.max) return "range";
      return nullptr;
    case Type::Choice:
      if (!v.is(json::Kind::String)) return "type";
      for (*out = 0; *out <= row.max; ++*out) {
        if (!v.equals(row.choices[*out])) continue;
        if (row.choices == kResolutionNames && !(caps.resolutions >> *out & 1)) return "unsupported";
        if (row.choices == kPowerNames && *out == static_cast<int32_t>(PowerMode::Battery) && !caps.sleep) return "unsupported";
        return nullptr;
      }
      return "range";
  }
  return "type";
}

}  // namespace

const char* resolution_name(Resolution r) { return kResolutionNames[static_cast<size_t>(r) % kResolutions]; }

const char* settings_key(size_t index) { return kRows[index].key; }

SettingsChange settings_merge(Settings& settings, json::Value object, const Caps& caps) {
  SettingsChange change;
  for (size_t i = 0; i < kSettingsKeys; ++i) {
    const json::Value v = object.get(kRows[i].key);
    if (!v) continue;
    int32_t n = 0;
    if (check(kRows[i], v, caps, &n)) {
      change.rejected |= 1u << i;
      continue;
    }
    change.applied |= 1u << i;
    if (kRows[i].type == Type::Grid) {
      uint8_t grid[kIgnoreBytes];
      if (!grid_of(v, grid) || memcmp(grid, settings.ignore_grid, sizeof grid) == 0) continue;
      memcpy(settings.ignore_grid, grid, sizeof grid);
      change.changed |= 1u << i;
      continue;
    }
    if (n == kRows[i].get(settings)) continue;
    change.changed |= 1u << i;
    kRows[i].set(settings, n);
  }
  return change;
}

const char* settings_refusal(size_t index, json::Value object, const Caps& caps) {
  int32_t n = 0;
  const char* why = check(kRows[index], object.get(kRows[index].key), caps, &n);
  return why ? why : "";
}

void settings_copy(Settings& to, const Settings& from, uint32_t mask) {
  for (size_t i = 0; i < kSettingsKeys; ++i) {
    if (!(mask >> i & 1)) continue;
    if (kRows[i].type == Type::Grid) memcpy(to.ignore_grid, from.ignore_grid, sizeof to.ignore_grid);
    else kRows[i].set(to, kRows[i].get(from));
  }
}

void settings_write(json::Writer& out, const Settings& settings, uint32_t mask) {
  for (size_t i = 0; i < kSettingsKeys; ++i) {
    if (!(mask >> i & 1)) continue;
    if (kRows[i].type == Type::Grid) {
      char text[2 * kIgnoreBytes + 1];
      hex_encode(settings.ignore_grid, kIgnoreBytes, text);
      out.str(kRows[i].key, text);
      continue;
    }
    const int32_t v = kRows[i].get(settings);
    switch (kRows[i].type) {
      case Type::Grid: break;
      case Type::Boolean: out.boolean(kRows[i].key, v != 0); break;
      case Type::Integer: out.num(kRows[i].key, v); break;
      case Type::Choice: out.str(kRows[i].key, kRows[i].choices[v]); break;
    }
  }
}

size_t settings_save(const Settings& settings, uint8_t* out, size_t cap) {
  BlobWriter w(out, cap, kBlobVersion);
  w.u32(settings.rev);
  for (size_t i = 0; i < kFirstSettingsKeys; ++i) {
    const Row& row = kRows[i];
    if (row.max > 32767) w.u32(static_cast<uint32_t>(row.get(settings)));
    else w.u16(static_cast<uint16_t>(row.get(settings)));
  }
  return w.finish();
}

bool settings_load(Settings& settings, const uint8_t* data, size_t len, const Caps& caps) {
  BlobReader r(data, len, kBlobVersion);
  Settings loaded;
  loaded.rev = r.u32();
  for (size_t i = 0; i < kFirstSettingsKeys; ++i) {
    const Row& row = kRows[i];
    const int32_t v = row.max > 32767 ? static_cast<int32_t>(r.u32()) : static_cast<int16_t>(r.u16());
    if (!r.ok() || v < row.min || v > row.max) return false;
    row.set(loaded, v);
  }
  if (!r.done() || !(caps.resolutions >> static_cast<int>(loaded.resolution) & 1)) return false;
  settings = loaded;
  return true;
}

size_t settings_save_more(const Settings& settings, uint8_t* out, size_t cap) {
  BlobWriter w(out, cap, kMoreVersion);
  w.u32(settings.rev);
  w.u8(settings.checkin_picture);
  w.u8(settings.confirm_motion);
  w.u8(settings.confirm_sensitivity);
  w.bytes(settings.ignore_grid, sizeof settings.ignore_grid);
  return w.finish();
}

bool settings_load_more(Settings& settings, const uint8_t* data, size_t len) {
  BlobReader r(data, len, kMoreVersion);
  Settings loaded = settings;
  const bool same = r.u32() == settings.rev;
  loaded.checkin_picture = r.u8() != 0;
  loaded.confirm_motion = r.u8() != 0;
  loaded.confirm_sensitivity = r.u8();
  r.bytes(loaded.ignore_grid, sizeof loaded.ignore_grid);
  if (!r.done() || !same || loaded.confirm_sensitivity < 1 || loaded.confirm_sensitivity > 10) return false;
  settings = loaded;
  return true;
}

}  // namespace magicpi
