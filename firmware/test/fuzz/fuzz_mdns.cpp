// Packets to the Linux shell's responder and to its look-up.
#include "fuzz.h"

#include "../../host/mdns.h"

using namespace magicpi;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MdnsService s;
  s.type = "_magicpi-cam._tcp.local";
  s.instance = "MagicPi EEFF";
  s.host = "magicpi-eeff.local";
  s.port = 80;
  s.txt = {"id=AA:BB:CC:DD:EE:FF", "proto=1"};
  for (bool legacy : {false, true}) MUST(s.answer(data, size, legacy).size() < 2000);
  std::vector<MdnsFound> found;
  mdns_collect(data, size, "_magicpi-nvr._tcp.local", &found);
  MUST(found.size() <= 16);
  for (const MdnsFound& f : found) f.value("ca");
  return 0;
}
