#include "mdns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

namespace magicpi {

namespace {

enum : uint16_t { kA = 1, kPtr = 12, kTxt = 16, kSrv = 33, kAny = 255, kIn = 1, kFlush = 0x8000 };
constexpr uint32_t kTtl = 120;
const char kMeta[] = "_services._dns-sd._udp.local";

uint16_t u16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }

void add16(std::vector<uint8_t>* out, uint32_t v) {
  out->push_back(static_cast<uint8_t>(v >> 8));
  out->push_back(static_cast<uint8_t>(v));
}

void add_label(std::vector<uint8_t>* out, const std::string& label) {
  out->push_back(static_cast<uint8_t>(label.size() & 63));
  out->insert(out->end(), label.begin(), label.begin() + static_cast<long>(label.size() & 63));
}

/// Dotted name; `first` is one label that may itself contain dots and blanks.
void add_name(std::vector<uint8_t>* out, const std::string& name, const std::string& first = "") {
  if (!first.empty()) add_label(out, first);
  for (size_t at = 0; at < name.size();) {
    const size_t dot = name.find('.', at);
    const size_t end = dot == std::string::npos ? name.size() : dot;
    add_label(out, name.substr(at, end - at));
    at = end + 1;
  }
  out->push_back(0);
}

void add_record(std::vector<uint8_t>* out, const std::vector<uint8_t>& name, uint16_t type, uint16_t klass, uint32_t ttl,
                const std::vector<uint8_t>& data) {
  out->insert(out->end(), name.begin(), name.end());
  add16(out, type);
  add16(out, klass);
  add16(out, ttl >> 16);
  add16(out, ttl & 0xffff);
  add16(out, static_cast<uint32_t>(data.size()));
  out->insert(out->end(), data.begin(), data.end());
}

/// Reads a name at *at as dotted text; false if it leaves the packet, loops or is too long.
bool read_name(const uint8_t* p, size_t n, size_t* at, std::string* out) {
  out->clear();
  size_t i = *at;
  bool jumped = false;
  for (int steps = 0; steps < 128; ++steps) {
    if (i >= n) return false;
    const uint8_t length = p[i];
    if (length == 0) {
      if (!jumped) *at = i + 1;
      return true;
    }
    if ((length & 0xc0) == 0xc0) {
      if (i + 1 >= n) return false;
      if (!jumped) *at = i + 2;
      jumped = true;
      const size_t to = static_cast<size_t>((length & 0x3f) << 8 | p[i + 1]);
      if (to >= i) return false;  // forward pointers could loop
      i = to;
      continue;
    }
    if (length & 0xc0 || i + 1 + length > n || out->size() + length > 255) return false;
    if (!out->empty()) out->push_back('.');
    out->append(reinterpret_cast<const char*>(p + i + 1), length);
    i += 1u + length;
  }
  return false;
}

bool same(const std::string& a, const std::string& b) { return strcasecmp(a.c_str(), b.c_str()) == 0; }

bool ends_with(const std::string& text, const std::string& tail) {
  return text.size() > tail.size() && same(text.substr(text.size() - tail.size()), tail);
}

std::vector<uint8_t> header(uint16_t id, uint16_t flags, uint16_t questions, uint16_t answers, uint16_t additional) {
  std::vector<uint8_t> out;
  add16(&out, id);
  add16(&out, flags);
  add16(&out, questions);
  add16(&out, answers);
  add16(&out, 0);
  add16(&out, additional);
  return out;
}

/// The four records in the order PTR, SRV, TXT, A.
std::vector<uint8_t> records(const MdnsService& s, uint32_t ttl) {
  std::vector<uint8_t> out, name, data;
  add_name(&name, s.type);
  add_name(&data, s.type, s.instance);
  add_record(&out, name, kPtr, kIn, ttl, data);
  const std::vector<uint8_t> instance = data;
  data.clear();
  add16(&data, 0);
  add16(&data, 0);
  add16(&data, s.port);
  add_name(&data, s.host);
  add_record(&out, instance, kSrv, kIn | kFlush, ttl, data);
  data.clear();
  for (const std::string& t : s.txt) {
    data.push_back(static_cast<uint8_t>(t.size()));
    data.insert(data.end(), t.begin(), t.end());
  }
  if (data.empty()) data.push_back(0);
  add_record(&out, instance, kTxt, kIn | kFlush, ttl, data);
  name.clear();
  add_name(&name, s.host);
  data.assign(s.address, s.address + 4);
  add_record(&out, name, kA, kIn | kFlush, ttl, data);
  return out;
}

}  // namespace

std::vector<uint8_t> MdnsService::announcement(uint32_t ttl) const {
  std::vector<uint8_t> out = header(0, 0x8400, 0, 4, 0);
  const std::vector<uint8_t> all = records(*this, ttl);
  out.insert(out.end(), all.begin(), all.end());
  return out;
}

std::vector<uint8_t> MdnsService::answer(const uint8_t* q, size_t n, bool legacy) const {
  if (n < 12 || (q[2] & 0x80)) return {};
  const uint16_t questions = u16(q + 4);
  size_t at = 12;
  bool wanted = false, meta = false;
  size_t question_end = 12;
  for (uint16_t i = 0; i < questions && i < 32; ++i) {
    std::string name;
    if (!read_name(q, n, &at, &name) || at + 4 > n) break;
    const uint16_t kind = u16(q + at), klass = u16(q + at + 2) & 0x7fff;
    at += 4;
    if (i == 0) question_end = at;
    if (klass != kIn && klass != kAny) continue;
    const bool any = kind == kAny;
    if (same(name, type) && (any || kind == kPtr)) wanted = true;
    if (same(name, instance + "." + type) && (any || kind == kSrv || kind == kTxt)) wanted = true;
    if (same(name, host) && (any || kind == kA)) wanted = true;
    if (same(name, kMeta) && (any || kind == kPtr)) meta = true;
  }
  if (!wanted && !meta) return {};
  std::vector<uint8_t> out = header(legacy ? u16(q) : uint16_t{0}, 0x8400, legacy ? 1 : 0,
                                    static_cast<uint16_t>((wanted ? 4 : 0) + (meta ? 1 : 0)), 0);
  if (legacy) out.insert(out.end(), q + 12, q + question_end);
  if (wanted) {
    const std::vector<uint8_t> all = records(*this, kTtl);
    out.insert(out.end(), all.begin(), all.end());
  }
  if (meta) {
    std::vector<uint8_t> name, data;
    add_name(&name, kMeta);
    add_name(&data, type);
    add_record(&out, name, kPtr, kIn, kTtl, data);
  }
  return out;
}

std::string MdnsFound::value(const std::string& key) const {
  for (const std::string& t : txt) {
    if (t.size() > key.size() && t[key.size()] == '=' && same(t.substr(0, key.size()), key)) return t.substr(key.size() + 1);
  }
  return "";
}

std::vector<uint8_t> mdns_question(const std::string& type) {
  std::vector<uint8_t> out = header(0, 0, 1, 0, 0);
  add_name(&out, type);
  add16(&out, kPtr);
  add16(&out, kIn);
  return out;
}

void mdns_collect(const uint8_t* p, size_t n, const std::string& type, std::vector<MdnsFound>* found) {
  if (n < 12 || !(p[2] & 0x80)) return;
  const size_t total = size_t{u16(p + 6)} + u16(p + 8) + u16(p + 10);
  size_t at = 12;
  std::string name;
  for (uint16_t i = u16(p + 4); i; --i) {
    if (!read_name(p, n, &at, &name) || at + 4 > n) return;
    at += 4;
  }
  auto instance = [&](const std::string& full) -> MdnsFound* {
    if (!ends_with(full, "." + type)) return nullptr;
    for (MdnsFound& f : *found) {
      if (same(f.instance, full)) return &f;
    }
    if (found->size() >= 16) return nullptr;
    found->emplace_back();
    found->back().instance = full;
    return &found->back();
  };
  // Addresses may come before the SRV that names their host, so two rounds.
  const size_t start = at;
  for (int round = 0; round < 2; ++round) {
    at = start;
    for (size_t i = 0; i < total; ++i) {
      if (!read_name(p, n, &at, &name) || at + 10 > n) return;
      const uint16_t kind = u16(p + at);
      const size_t length = u16(p + at + 8);
      at += 10;
      if (at + length > n) return;
      const size_t data = at;
      at += length;
      std::string target;
      size_t inner = data;
      if (round == 0 && kind == kPtr && same(name, type) && read_name(p, data + length, &inner, &target)) {
        instance(target);
      } else if (round == 0 && kind == kSrv && length > 6) {
        inner = data + 6;
        MdnsFound* f = instance(name);
        if (f && read_name(p, data + length, &inner, &target)) {
          f->port = u16(p + data + 4);
          f->host = target;
        }
      } else if (round == 0 && kind == kTxt) {
        MdnsFound* f = instance(name);
        if (!f) continue;
        f->txt.clear();
        for (size_t t = data; t < data + length && f->txt.size() < 16;) {
          const size_t size = p[t];
          if (t + 1 + size > data + length) break;
          f->txt.emplace_back(reinterpret_cast<const char*>(p + t + 1), size);
          t += 1 + size;
        }
      } else if (round == 1 && kind == kA && length == 4) {
        char text[16];
        inet_ntop(AF_INET, p + data, text, sizeof text);
        for (MdnsFound& f : *found) {
          bool known = !same(f.host, name) || f.addresses.size() >= 8;
          for (const std::string& a : f.addresses) known = known || a == text;
          if (!known) f.addresses.emplace_back(text);
        }
      }
    }
  }
}

int mdns_socket(const std::string& address) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int one = 1, ttl = 255;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  struct sockaddr_in local = {};
  local.sin_family = AF_INET;
  local.sin_port = htons(5353);
  local.sin_addr.s_addr = htonl(INADDR_ANY);
  struct ip_mreq group = {};
  inet_pton(AF_INET, "224.0.0.251", &group.imr_multiaddr);
  inet_pton(AF_INET, address.c_str(), &group.imr_interface);
  if (bind(fd, reinterpret_cast<struct sockaddr*>(&local), sizeof local) != 0 ||
      setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) != 0 ||
      setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group.imr_interface, sizeof group.imr_interface) != 0) {
    ::close(fd);
    return -1;
  }
  setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl);
  setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof one);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

bool mdns_send(int fd, const std::vector<uint8_t>& packet) {
  struct sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(5353);
  inet_pton(AF_INET, "224.0.0.251", &to.sin_addr);
  return sendto(fd, packet.data(), packet.size(), 0, reinterpret_cast<struct sockaddr*>(&to), sizeof to) >= 0;
}

}  // namespace magicpi
