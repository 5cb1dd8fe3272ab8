// Just enough multicast DNS (RFC 6762, 6763) to announce one service and to find another, without a daemon.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

namespace magicpi {

/// One announced service on one IPv4 address.
struct MdnsService {
  std::string type;                ///< "_magicpi-cam._tcp.local"
  std::string instance;            ///< "MagicPi EEFF"
  std::string host;                ///< "magicpi-aabbccddeeff.local"
  uint16_t port = 0;
  uint8_t address[4] = {0, 0, 0, 0};
  std::vector<std::string> txt;    ///< "key=value"

  /// Unsolicited announcement; ttl 0 says goodbye.
  std::vector<uint8_t> announcement(uint32_t ttl) const;
  /// Answer to a packet, empty if nothing in it asks for us. `legacy`: the asker is no mDNS speaker (its source port
  /// is not 5353): id and question are echoed.
  std::vector<uint8_t> answer(const uint8_t* query, size_t n, bool legacy) const;
};

/// A service instance seen in responses.
struct MdnsFound {
  std::string instance, host;
  uint16_t port = 0;
  std::vector<std::string> txt;
  std::vector<std::string> addresses;   ///< dotted IPv4
  /// Value of a TXT key, empty if absent.
  std::string value(const std::string& key) const;
};

/// Question for all instances of `type`.
std::vector<uint8_t> mdns_question(const std::string& type);
/// Adds what a response says about instances of `type`.
void mdns_collect(const uint8_t* packet, size_t n, const std::string& type, std::vector<MdnsFound>* found);

/// UDP socket on 5353, joined to 224.0.0.251 on the interface that has `address`; -1 if that fails.
int mdns_socket(const std::string& address);
bool mdns_send(int fd, const std::vector<uint8_t>& packet);

}  // namespace magicpi
