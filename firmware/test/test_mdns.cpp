// The Linux shell's multicast DNS packets.
#include <doctest/doctest.h>

#include "../host/mdns.h"

using namespace magicpi;

namespace {

MdnsService service(const char* type) {
  MdnsService s;
  s.type = type;
  s.instance = "Front. door";
  s.host = "magicpi.local";
  s.port = 8080;
  const uint8_t address[4] = {127, 0, 0, 1};
  std::copy(address, address + 4, s.address);
  s.txt = {"id=AA", "proto=1", "ca=0011"};
  return s;
}

}  // namespace

TEST_CASE("mDNS: what one end announces the other end finds") {
  const MdnsService s = service("_x._tcp.local");
  const std::vector<uint8_t> question = mdns_question("_x._tcp.local");
  for (bool legacy : {false, true}) {
    const std::vector<uint8_t> answer = s.answer(question.data(), question.size(), legacy);
    REQUIRE(!answer.empty());
    std::vector<MdnsFound> found;
    mdns_collect(answer.data(), answer.size(), "_x._tcp.local", &found);
    mdns_collect(answer.data(), answer.size(), "_x._tcp.local", &found);
    REQUIRE(found.size() == 1);
    CHECK(found[0].port == 8080);
    CHECK(found[0].value("ca") == "0011");
    CHECK(found[0].value("nothing").empty());
    CHECK(found[0].addresses == std::vector<std::string>{"127.0.0.1"});
    for (size_t n = 0; n < answer.size(); ++n) {
      std::vector<MdnsFound> part;
      mdns_collect(answer.data(), n, "_x._tcp.local", &part);
    }
  }
  const std::vector<uint8_t> other = mdns_question("_y._tcp.local");
  CHECK(s.answer(other.data(), other.size(), false).empty());
  CHECK(s.answer(s.announcement(120).data(), s.announcement(120).size(), false).empty());
  const std::vector<uint8_t> meta = mdns_question("_services._dns-sd._udp.local");
  CHECK(!s.answer(meta.data(), meta.size(), false).empty());
  for (size_t n = 0; n < question.size(); ++n) s.answer(question.data(), n, true);
}
