#include "protocol.h"

#include <string.h>

#include "codec.h"

namespace magicpi {

const char* state_name(State s) {
  static const char* const kNames[] = {"boot",   "setup",   "registering", "idle",    "linking",  "connecting",
                                       "online", "backoff", "updating",    "closing", "settling", "sleeping"};
  return kNames[static_cast<size_t>(s)];
}

void frame_header(const FrameInfo& info, uint8_t flags, uint8_t out[kFrameHeader]) {
  out[0] = 1;
  out[1] = flags;
  put_be16(out + 2, info.event);
  put_be32(out + 4, info.seq);
  put_be64(out + 8, info.t_ms);
  put_be32(out + 16, info.crc);
  put_be32(out + 20, info.length);
}

bool parse_frame_header(const uint8_t* data, size_t n, FrameInfo* info) {
  if (n < kFrameHeader || data[0] != 1) return false;
  info->flags = data[1];
  info->event = get_be16(data + 2);
  info->seq = get_be32(data + 4);
  info->t_ms = get_be64(data + 8);
  info->crc = get_be32(data + 16);
  info->length = get_be32(data + 20);
  return info->length == n - kFrameHeader && info->length <= kMaxJpeg;
}

size_t encode_hello(char* out, size_t cap, const Hello& h) {
  json::Writer w(out, cap);
  w.begin().str("type", "hello").num("proto", 1).str("id", h.id).str("fw", h.fw).str("model", h.model);
  w.num("boot", h.boot).str("reason", h.reason).num("uptime_ms", static_cast<int64_t>(h.uptime_ms));
  if (h.rssi) w.num("rssi", h.rssi);   // a cable has none
  if (h.battery_mv >= 0) w.num("battery_mv", h.battery_mv).num("battery_pct", h.battery_pct);
  w.num("heap", h.heap).num("config_rev", h.config_rev);
  w.begin("timing").num("wifi_ms", h.wifi_ms).num("tls_ms", h.tls_ms).num("first_frame_ms", h.first_frame_ms).end();
  w.num("backlog", h.backlog).num("lost", h.lost);
  if (h.charging >= 0) w.boolean("charging", h.charging != 0);
  if (h.dropped) w.num("dropped", h.dropped);
  if (h.caps) write_features(w, *h.caps);
  if (const Spent* s = h.spent) {
    w.begin("spent").num("pir", s->pir).num("timer", s->timer).num("ring", s->ring).num("other", s->other);
    w.num("awake_s", s->awake_s).num("radio_s", s->radio_s).num("sensor_s", s->sensor_s).end();
  }
  w.end();
  return w.finish();
}

size_t encode_motion(char* out, size_t cap, uint16_t event, bool active, uint64_t t, const char* source) {
  json::Writer w(out, cap);
  w.begin().str("type", "motion").num("event", event).boolean("active", active).num("t", static_cast<int64_t>(t));
  w.str("source", source).end();
  return w.finish();
}

size_t encode_event_end(char* out, size_t cap, uint16_t event, uint64_t t, uint32_t frames, uint32_t lost) {
  json::Writer w(out, cap);
  w.begin().str("type", "event_end").num("event", event).num("t", static_cast<int64_t>(t));
  w.num("frames", frames).num("lost", lost).end();
  return w.finish();
}

size_t encode_heartbeat(char* out, size_t cap, uint64_t uptime_ms, int rssi, int battery_mv, int charging, uint32_t heap, uint32_t backlog) {
  json::Writer w(out, cap);
  w.begin().str("type", "heartbeat").num("uptime_ms", static_cast<int64_t>(uptime_ms));
  if (rssi) w.num("rssi", rssi);
  if (battery_mv >= 0) w.num("battery_mv", battery_mv);
  if (charging >= 0) w.boolean("charging", charging != 0);
  w.num("heap", heap).num("backlog", backlog).end();
  return w.finish();
}

size_t encode_config_ack(char* out, size_t cap, uint32_t rev, const Settings& settings, const SettingsChange& change,
                         json::Value request, const Caps& caps) {
  json::Writer w(out, cap);
  w.begin().str("type", "config_ack").num("rev", rev).begin("applied");
  settings_write(w, settings, change.applied);
  w.end().begin("rejected");
  for (size_t i = 0; i < kSettingsKeys; ++i) {
    if (change.rejected >> i & 1) w.str(settings_key(i), settings_refusal(i, request, caps));
  }
  w.end().end();
  return w.finish();
}

size_t encode_result(char* out, size_t cap, json::Value id, bool ok, const char* error) {
  json::Writer w(out, cap);
  w.begin().str("type", "result");
  // The gateway's id is echoed in the kind it came in.
  char text[64];
  uint64_t number = 0;
  if (id.to_string(text, sizeof text)) w.str("id", text);
  else if (id.to_u64(&number) && number <= INT64_MAX) w.num("id", static_cast<int64_t>(number));
  else w.null("id");
  w.boolean("ok", ok);
  if (!ok) w.str("error", error);
  w.end();
  return w.finish();
}

size_t encode_ota(char* out, size_t cap, const char* state, uint32_t percent, const char* error) {
  json::Writer w(out, cap);
  w.begin().str("type", "ota").str("state", state).num("percent", percent);
  if (error) w.str("error", error);
  w.end();
  return w.finish();
}

size_t encode_log(char* out, size_t cap, LogLevel level, const char* message) {
  static const char* const kLevels[] = {"debug", "info", "warning", "error"};
  json::Writer w(out, cap);
  w.begin().str("type", "log").str("level", kLevels[static_cast<size_t>(level)]).str("message", message).end();
  return w.finish();
}

size_t encode_bye(char* out, size_t cap, const char* reason, uint32_t next_wake_s) {
  json::Writer w(out, cap);
  w.begin().str("type", "bye").str("reason", reason).num("next_wake_s", next_wake_s).end();
  return w.finish();
}

void write_features(json::Writer& w, const Caps& caps) {
  w.begin_array("features");
  // A camera that never sleeps has no check-ins, and its radio is on before a picture could confirm anything.
  if (caps.sleep) w.element("checkin_picture");
  if (caps.sleep && caps.pir) w.element("confirm_motion");
  if (caps.ring) w.element("ring");
  if (caps.charging) w.element("charging");
  w.end_array();
}

void write_caps(json::Writer& w, const Caps& caps) {
  w.begin("caps").begin_array("resolutions");
  for (uint8_t i = 0; i < kResolutions; ++i) {
    if (caps.resolutions >> i & 1) w.element(resolution_name(static_cast<Resolution>(i)));
  }
  w.end_array().num("psram", caps.psram_bytes).boolean("battery", caps.battery).boolean("flash", caps.flash);
  w.boolean("sd", caps.sd).begin_array("motion");
  if (caps.pir) w.element("pir");
  w.end_array().boolean("sleep", caps.sleep).boolean("ota", caps.ota);
  write_features(w, caps);
  w.end();
}

MessageType parse_message(const char* text, size_t n, json::Value* object) {
  *object = json::parse(text, n);
  if (!object->is(json::Kind::Object)) return MessageType::Malformed;
  const json::Value type = object->get("type");
  if (type.equals("welcome")) return MessageType::Welcome;
  if (type.equals("config")) return MessageType::Config;
  if (type.equals("ack")) return MessageType::Ack;
  if (type.equals("command")) return MessageType::Command;
  if (type.equals("ota")) return MessageType::Ota;
  return MessageType::Unknown;
}

CommandName parse_command(json::Value command) {
  static const char* const kNames[] = {"stream_start", "stream_stop", "snapshot", "identify",
                                       "restart",      "sleep",       "rekey",    "forget"};
  const json::Value name = command.get("name");
  for (size_t i = 0; i < sizeof kNames / sizeof *kNames; ++i) {
    if (name.equals(kNames[i])) return static_cast<CommandName>(i + 1);
  }
  return CommandName::Unknown;
}

const char* reason_name(WakeCause cause, bool after_ota) {
  switch (cause) {
    case WakeCause::Pir: return "pir";
    case WakeCause::Timer: return "timer";
    case WakeCause::Brownout: return "brownout";
    case WakeCause::Watchdog: return "watchdog";
    case WakeCause::Button: return "button";
    case WakeCause::Crash: return "crash";
    case WakeCause::Software: return after_ota ? "ota" : "power";
    case WakeCause::Ring: return "ring";
    case WakeCause::Power: break;
  }
  return "power";
}

}  // namespace magicpi
