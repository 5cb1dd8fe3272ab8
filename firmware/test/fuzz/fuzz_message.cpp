// JSON reader and the text messages of the gateway, read and answered.
#include "fuzz.h"

using namespace sim;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  json::Value object;
  const MessageType type = parse_message(text.data(), size, &object);
  char out[512];
  uint64_t u = 0;
  int32_t i = 0;
  for (size_t k = 0; k < 4; ++k) {
    const json::Value v = object.at(k);
    v.to_u64(&u);
    v.to_i32(&i);
    v.copy_raw(out, sizeof out);
    if (v.to_string(out, 8)) MUST(strlen(out) < 8);
  }
  if (type == MessageType::Malformed) return 0;
  for (const char* key : {"id", "args", "config", "api_key", "a"}) {
    object.get(key).to_string(out, sizeof out);
    object.get(key).get(key).equals(key);
  }
  parse_command(object);
  size_t n = encode_result(out, sizeof out, object.get("id"), false, "x");
  MUST(n == 0 || json::parse(out, n));
  Settings s;
  Caps caps;
  const SettingsChange c = settings_merge(s, object, caps);
  char ack[2048];
  n = encode_config_ack(ack, sizeof ack, 1, s, c, object, caps);
  MUST(n != 0 && json::parse(ack, n));
  MUST(s.framerate >= 1 && s.framerate <= 25 && s.max_event_s <= 600 && s.jpeg_quality >= 4);
  return 0;
}
