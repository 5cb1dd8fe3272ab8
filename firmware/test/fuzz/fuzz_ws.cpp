// WebSocket frames and the HTTP head before them, in pieces chosen by the input.
#include "fuzz.h"

using namespace sim;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t step = 1 + data[0] % 64;
  HttpResponse response;
  char buffer[300];
  WsReader reader(buffer, sizeof buffer);
  const bool with_head = data[1] & 1;
  size_t at = 2;
  while (with_head && at < size && response.stage() == HttpResponse::Stage::Head) {
    at += response.feed(data + at, std::min(step, size - at));
  }
  while (at < size) {
    WsReader::Event e = WsReader::Event::None;
    const size_t used = reader.feed(data + at, std::min(step, size - at), &e);
    MUST(used > 0 && used <= size - at);
    at += used;
    if (e == WsReader::Event::Text) MUST(reader.text_length() < sizeof buffer && reader.text()[reader.text_length()] == 0);
    if (e == WsReader::Event::Ping) MUST(reader.control_length() <= 125);
  }
  return 0;
}
