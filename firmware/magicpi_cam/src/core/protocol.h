// Messages of the camera protocol, version 1: binary frame header, text messages out, typed text messages in.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "frame_ring.h"
#include "json.h"
#include "settings.h"

namespace magicpi {

constexpr size_t kFrameHeader = 24;
constexpr uint32_t kMaxJpeg = 512 * 1024;
constexpr uint16_t kGatewayPort = 3443;

/// `!BBHIQII`: version 1, flags, event, seq, t, crc32, length.
void frame_header(const FrameInfo& info, uint8_t flags, uint8_t out[kFrameHeader]);
/// Checks version and length of a header; for tests and tools.
bool parse_frame_header(const uint8_t* data, size_t n, FrameInfo* info);

/// What earlier boots did that was not reported to a gateway yet.
struct Spent {
  uint16_t pir, timer, ring, other;        ///< wakes
  uint32_t awake_s, radio_s, sensor_s;
};

struct Hello {
  const char* id;
  const char* fw;
  const char* model;
  uint32_t boot;
  const char* reason;
  uint64_t uptime_ms;
  int rssi;
  int battery_mv;          ///< < 0: left out, with battery_pct
  int battery_pct;
  uint32_t heap;
  uint32_t config_rev;
  uint32_t wifi_ms, tls_ms, first_frame_ms;  ///< durations; first_frame_ms since boot
  uint32_t backlog;
  uint32_t lost;
  // Since 0.2, left out where there is nothing to tell.
  const Caps* caps;        ///< nullptr: no features
  int charging;            ///< < 0: left out
  uint32_t dropped;        ///< alarms
  const Spent* spent;      ///< nullptr: left out
};

/// Each writes one JSON text into `out`; length, 0 if it did not fit.
size_t encode_hello(char* out, size_t cap, const Hello& h);
size_t encode_motion(char* out, size_t cap, uint16_t event, bool active, uint64_t t, const char* source);
size_t encode_event_end(char* out, size_t cap, uint16_t event, uint64_t t, uint32_t frames, uint32_t lost);
size_t encode_heartbeat(char* out, size_t cap, uint64_t uptime_ms, int rssi, int battery_mv, int charging, uint32_t heap, uint32_t backlog);
/// `request` is the config object that `change` came from.
size_t encode_config_ack(char* out, size_t cap, uint32_t rev, const Settings& settings, const SettingsChange& change,
                         json::Value request, const Caps& caps);
size_t encode_result(char* out, size_t cap, json::Value id, bool ok, const char* error);
size_t encode_ota(char* out, size_t cap, const char* state, uint32_t percent, const char* error);
size_t encode_log(char* out, size_t cap, LogLevel level, const char* message);
size_t encode_bye(char* out, size_t cap, const char* reason, uint32_t next_wake_s);
/// `features` as a member: what came after 0.1.0 and this camera can do.
void write_features(json::Writer& out, const Caps& caps);
/// `caps` as a member of the object under construction.
void write_caps(json::Writer& out, const Caps& caps);

enum class MessageType : uint8_t { Unknown, Malformed, Welcome, Config, Ack, Command, Ota };
/// Type of a text message and its object.
MessageType parse_message(const char* text, size_t n, json::Value* object);

enum class CommandName : uint8_t { Unknown, StreamStart, StreamStop, Snapshot, Identify, Restart, Sleep, Rekey, Forget };
CommandName parse_command(json::Value command);

/// Name with which a wake is reported: Software becomes "ota" or "power".
const char* reason_name(WakeCause cause, bool after_ota);

}  // namespace magicpi
