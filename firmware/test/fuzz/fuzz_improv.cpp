// The serial console of an unclaimed camera: Improv packets and lines.
#include "fuzz.h"

using namespace sim;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ImprovParser p;
  for (size_t i = 0; i < size; ++i) {
    switch (p.feed(data[i])) {
      case ImprovParser::Event::Rpc: {
        char ssid[33], password[65];
        if (improv_wifi(p.data(), p.length(), ssid, password)) MUST(strlen(ssid) <= 32 && strlen(password) <= 64);
        break;
      }
      case ImprovParser::Event::Line: MUST(strlen(p.line()) <= 31); break;
      default: break;
    }
  }
  // The same as a packet whose checksum is right.
  if (size > 200) return 0;
  Bytes packet{'I', 'M', 'P', 'R', 'O', 'V', 1, 3, static_cast<uint8_t>(size)};
  packet.insert(packet.end(), data, data + size);
  uint8_t sum = 0;
  for (uint8_t b : packet) sum = static_cast<uint8_t>(sum + b);
  packet.push_back(sum);
  World w;
  w.options.wifi = WifiCredentials();
  w.boot(WakeCause::Power);
  for (uint8_t b : packet) w.camera().console_byte(b);
  w.run(50);
  return 0;
}
