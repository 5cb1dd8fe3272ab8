#include "improv.h"

#include <string.h>

namespace magicpi {

namespace {

const uint8_t kMagic[] = {'I', 'M', 'P', 'R', 'O', 'V', 1};

size_t packet(uint8_t* out, ImprovPacket type, size_t n) {
  memcpy(out, kMagic, sizeof kMagic);
  out[7] = static_cast<uint8_t>(type);
  out[8] = static_cast<uint8_t>(n);
  uint8_t sum = 0;
  for (size_t i = 0; i < 9 + n; ++i) sum = static_cast<uint8_t>(sum + out[i]);
  out[9 + n] = sum;
  out[10 + n] = '\n';
  return 11 + n;
}

}  // namespace

ImprovParser::Event ImprovParser::text(uint8_t byte) {
  if (byte == '\n' || byte == '\r') {
    const bool some = line_n_ != 0;
    line_[line_n_] = 0;
    line_n_ = 0;
    return some ? Event::Line : Event::None;
  }
  if (byte < 0x20 || byte > 0x7e) return Event::None;
  if (line_n_ < sizeof line_ - 1) line_[line_n_++] = static_cast<char>(byte);
  return Event::None;
}

ImprovParser::Event ImprovParser::feed(uint8_t byte) {
  if (n_ < sizeof kMagic) {
    if (byte == kMagic[n_]) {
      packet_[n_++] = byte;
      return Event::None;
    }
    // What looked like a packet was a person's line.
    const uint16_t matched = n_;
    n_ = 0;
    for (uint16_t i = 0; i < matched; ++i) text(packet_[i]);
    if (byte == kMagic[0]) {
      packet_[n_++] = byte;
      return Event::None;
    }
    return text(byte);
  }
  packet_[n_++] = byte;
  if (n_ < 10 || n_ < 10u + packet_[8]) return Event::None;
  const size_t length = packet_[8];
  n_ = 0;
  line_n_ = 0;
  uint8_t sum = 0;
  for (size_t i = 0; i < 9 + length; ++i) sum = static_cast<uint8_t>(sum + packet_[i]);
  if (sum != packet_[9 + length]) return Event::Bad;
  // Other types are ours to send; an echo of them is no error.
  if (packet_[7] != static_cast<uint8_t>(ImprovPacket::Rpc)) return Event::None;
  if (length < 2 || packet_[10] != length - 2) return Event::Bad;
  return Event::Rpc;
}

bool improv_wifi(const uint8_t* data, size_t n, char ssid[33], char password[65]) {
  if (n < 2) return false;
  const size_t s = data[0];
  if (s > 32 || s + 2 > n) return false;
  const size_t p = data[1 + s];
  if (p > 64 || s + p + 2 != n) return false;
  memcpy(ssid, data + 1, s);
  ssid[s] = 0;
  memcpy(password, data + 2 + s, p);
  password[p] = 0;
  return strlen(ssid) == s && strlen(password) == p;
}

size_t improv_state(uint8_t* out, ImprovState state) {
  out[9] = static_cast<uint8_t>(state);
  return packet(out, ImprovPacket::State, 1);
}

size_t improv_error(uint8_t* out, ImprovError error) {
  out[9] = static_cast<uint8_t>(error);
  return packet(out, ImprovPacket::Error, 1);
}

size_t improv_result(uint8_t* out, ImprovCommand command, const char* const* strings, size_t count) {
  size_t n = 2;
  for (size_t i = 0; i < count; ++i) {
    const size_t length = strlen(strings[i]);
    if (n + 1 + length > 255) break;
    out[9 + n++] = static_cast<uint8_t>(length);
    memcpy(out + 9 + n, strings[i], length);
    n += length;
  }
  out[9] = static_cast<uint8_t>(command);
  out[10] = static_cast<uint8_t>(n - 2);
  return packet(out, ImprovPacket::RpcResult, n);
}

}  // namespace magicpi
