#include "http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

namespace magicpi {

namespace {

const char* reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 302: return "Found";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 429: return "Too Many Requests";
    default: return "Internal Server Error";
  }
}

int bound(int type, uint16_t* port) {
  const int fd = ::socket(AF_INET, type, 0);
  if (fd < 0) return -1;
  int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons(*port);
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0 ||
      ::getsockname(fd, reinterpret_cast<struct sockaddr*>(&address), &size) != 0) {
    ::close(fd);
    return -1;
  }
  *port = ntohs(address.sin_port);
  return fd;
}

/// Value of a header in the head that ends at `end`, copied; false if absent or too long.
bool header(const char* head, const char* end, const char* name, char* out, size_t cap) {
  const size_t n = strlen(name);
  for (const char* line = strstr(head, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n")) {
    const char* p = line + 2;
    if (strncasecmp(p, name, n) != 0 || p[n] != ':') continue;
    p += n + 1;
    while (*p == ' ' || *p == '\t') ++p;
    const size_t length = strcspn(p, "\r\n");
    if (length >= cap) return false;
    memcpy(out, p, length);
    out[length] = 0;
    return true;
  }
  return false;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

bool HttpServer::open(uint16_t port, Handler handler, void* context) {
  close();
  handler_ = handler;
  context_ = context;
  port_ = port;
  listener_ = bound(SOCK_STREAM, &port_);
  if (listener_ >= 0 && ::listen(listener_, 4) != 0) close();
  return listener_ >= 0;
}

void HttpServer::drop(Client& client) {
  if (client.fd >= 0) ::close(client.fd);
  // A request may have held a Wi-Fi password.
  if (client.in) memset(client.in, 0, kRequestMax + 1);
  free(client.in);
  free(client.out);
  client = Client();
}

void HttpServer::close() {
  for (Client& client : clients_) drop(client);
  if (listener_ >= 0) ::close(listener_);
  listener_ = -1;
}

bool HttpServer::idle() const {
  for (const Client& client : clients_) {
    if (client.fd >= 0 && client.out) return false;
  }
  return true;
}

void HttpServer::accept_one(uint64_t now_ms) {
  const int fd = ::accept(listener_, nullptr, nullptr);
  if (fd < 0) return;
  Client* place = nullptr;
  for (Client& client : clients_) {
    if (client.fd < 0) {
      place = &client;
      break;
    }
    // A connection that has said nothing yet gives way: browsers open them on suspicion.
    if (client.in_length == 0 && (!place || client.since_ms < place->since_ms)) place = &client;
  }
  if (!place) {
    ::close(fd);
    return;
  }
  drop(*place);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
  place->fd = fd;
  place->since_ms = now_ms;
}

void HttpServer::poll(uint64_t now_ms) {
  if (listener_ < 0) return;
  for (size_t i = 0; i < kClients; ++i) accept_one(now_ms);
  for (Client& client : clients_) {
    if (client.fd >= 0 && (!serve(client) || now_ms - client.since_ms > kClientMs)) drop(client);
  }
}

/// False when the connection is done.
bool HttpServer::serve(Client& client) {
  if (!client.in && !client.out) {
    char first = 0;
    const ssize_t n = ::recv(client.fd, &first, 1, MSG_PEEK);
    if (n == 0 || (n < 0 && !would_block())) return false;
    if (n < 0) return true;
    client.in = static_cast<char*>(calloc(1, kRequestMax + 1));
    if (!client.in) return false;
  }
  while (!client.out) {
    const ssize_t n = ::recv(client.fd, client.in + client.in_length, kRequestMax - client.in_length, 0);
    if (n == 0) return false;
    if (n < 0) return would_block();
    client.in_length += static_cast<size_t>(n);
    client.in[client.in_length] = 0;
    const char* end = strstr(client.in, "\r\n\r\n");
    if (!end) {
      if (client.in_length == kRequestMax) answer(client, HttpQuery{}, 413);
      continue;
    }
    HttpQuery query{};
    char host[64];
    char length[12];
    query.host = host;
    if (!header(client.in, end, "Host", host, sizeof host)) host[0] = 0;
    host[strcspn(host, ":")] = 0;
    const size_t head = static_cast<size_t>(end - client.in) + 4;
    if (header(client.in, end, "Transfer-Encoding", length, sizeof length)) {
      answer(client, query, 411);
      break;
    }
    if (header(client.in, end, "Content-Length", length, sizeof length)) {
      if (length[0] == 0 || strspn(length, "0123456789") != strlen(length) || strlen(length) > 9) {
        answer(client, query, 400);
        break;
      }
      query.body_length = strtoul(length, nullptr, 10);
    }
    if (query.body_length > kRequestMax - head) {
      answer(client, query, 413);
      break;
    }
    if (client.in_length - head < query.body_length) continue;
    // Request line in place: METHOD SP target SP version.
    char* line_end = strstr(client.in, "\r\n");
    *line_end = 0;
    char* target = strchr(client.in, ' ');
    char* version = target ? strchr(target + 1, ' ') : nullptr;
    if (!version || strncmp(version + 1, "HTTP/1.", 7) != 0) {
      answer(client, query, 400);
      break;
    }
    *target++ = 0;
    *version = 0;
    target[strcspn(target, "?#")] = 0;
    query.method = client.in;
    query.path = target;
    query.body = client.in + head;
    client.in[head + query.body_length] = 0;
    answer(client, query, 0);
  }
  if (!client.out) return false;
  while (client.out_sent < client.out_length) {
    const ssize_t n = ::send(client.fd, client.out + client.out_sent, client.out_length - client.out_sent, MSG_NOSIGNAL);
    if (n < 0) return would_block();
    client.out_sent += static_cast<size_t>(n);
  }
  ::shutdown(client.fd, SHUT_WR);
  return false;
}

void HttpServer::answer(Client& client, HttpQuery query, int status) {
  client.out = static_cast<char*>(malloc(kHeadMax + kReplyMax));
  if (!client.out) return;
  HttpReply reply;
  // The body is written where it will be once the head is known to be shorter than its room.
  reply.body = client.out + kHeadMax;
  reply.cap = kReplyMax;
  if (status) reply.status = status;
  else handler_(context_, query, reply);
  if (reply.status == 204) reply.length = 0;
  char head[kHeadMax];
  int n = snprintf(head, sizeof head,
                   "HTTP/1.1 %d %s\r\nConnection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
                   reply.status, reason(reply.status));
  if (reply.location) n += snprintf(head + n, sizeof head - static_cast<size_t>(n), "Location: %.100s\r\n", reply.location);
  if (reply.retry_after_s) {
    n += snprintf(head + n, sizeof head - static_cast<size_t>(n), "Retry-After: %u\r\n", reply.retry_after_s);
  }
  if (reply.status != 204) {
    n += snprintf(head + n, sizeof head - static_cast<size_t>(n), "Content-Type: %.60s\r\nContent-Length: %u\r\n",
                  reply.type, static_cast<unsigned>(reply.length));
  }
  n += snprintf(head + n, sizeof head - static_cast<size_t>(n), "\r\n");
  const size_t head_length = static_cast<size_t>(n);
  memmove(client.out + head_length, reply.body, reply.length);
  memcpy(client.out, head, head_length);
  client.out_length = head_length + reply.length;
}

bool form_value(const char* body, const char* name, char* out, size_t cap) {
  const size_t n = strlen(name);
  if (cap) out[0] = 0;
  for (const char* p = body; p && *p; p = strchr(p, '&'), p = p ? p + 1 : nullptr) {
    if (strncmp(p, name, n) != 0 || p[n] != '=') continue;
    p += n + 1;
    size_t length = 0;
    for (; *p && *p != '&'; ++p) {
      char c = *p == '+' ? ' ' : *p;
      if (*p == '%') {
        const int high = hex_digit(p[1]);
        const int low = high < 0 ? -1 : hex_digit(p[2]);
        if (low < 0) return false;
        c = static_cast<char>(high << 4 | low);
        p += 2;
      }
      if (c == 0 || length + 1 >= cap) return false;
      out[length++] = c;
    }
    if (!cap) return false;
    out[length] = 0;
    return true;
  }
  return false;
}

bool CaptiveDns::open(uint16_t port, const uint8_t address[4]) {
  close();
  memcpy(address_, address, sizeof address_);
  port_ = port;
  fd_ = bound(SOCK_DGRAM, &port_);
  return fd_ >= 0;
}

void CaptiveDns::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

size_t CaptiveDns::answer(const uint8_t* query, size_t n, const uint8_t address[4], uint8_t* out, size_t cap) {
  // One question of a standard query, its name uncompressed; everything behind it (EDNS) is left out of the answer.
  if (n < 17 || (query[2] & 0xf8) != 0 || query[4] != 0 || query[5] != 1) return 0;
  size_t at = 12;
  while (at < n && query[at] != 0) {
    if (query[at] > 63) return 0;
    at += query[at] + 1u;
  }
  const size_t question_end = at + 5;
  if (question_end > n) return 0;
  const bool is_a = query[at + 1] == 0 && query[at + 2] == 1 && query[at + 3] == 0 && query[at + 4] == 1;
  const size_t length = question_end + (is_a ? 16 : 0);
  if (length > cap) return 0;
  memcpy(out, query, question_end);
  out[2] = static_cast<uint8_t>(0x84 | (query[2] & 1));
  out[3] = 0;
  out[6] = 0;
  out[7] = is_a ? 1 : 0;
  memset(out + 8, 0, 4);
  if (is_a) {
    const uint8_t record[12] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4};
    memcpy(out + question_end, record, sizeof record);
    memcpy(out + question_end + sizeof record, address, 4);
  }
  return length;
}

void CaptiveDns::poll() {
  uint8_t query[512];
  uint8_t reply[512];
  for (int i = 0; fd_ >= 0 && i < 8; ++i) {
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    const ssize_t n = ::recvfrom(fd_, query, sizeof query, 0, reinterpret_cast<struct sockaddr*>(&from), &size);
    if (n <= 0) return;
    const size_t length = answer(query, static_cast<size_t>(n), address_, reply, sizeof reply);
    if (length) ::sendto(fd_, reply, length, 0, reinterpret_cast<struct sockaddr*>(&from), size);
  }
}

}  // namespace magicpi
