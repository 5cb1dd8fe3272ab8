#include "setup_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../magicpi_cam/src/core/camera.h"

namespace magicpi {

namespace {

constexpr size_t kRequestMax = 16384;
constexpr size_t kClients = 8;

std::string reply(int status, const std::string& type, const std::string& body) {
  const char* text = status == 200 ? "OK" : status == 204 ? "No Content" : status == 400 ? "Bad Request"
                     : status == 403 ? "Forbidden" : status == 404 ? "Not Found" : status == 409 ? "Conflict"
                     : status == 410 ? "Gone" : status == 429 ? "Too Many Requests" : "Error";
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + text + "\r\nConnection: close\r\n";
  if (status == 429) out += "Retry-After: 60\r\n";
  if (status != 204) out += "Content-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  return out + "\r\n" + body;
}

/// Length of the body that the head announces, -1 if it is malformed.
long body_length(const std::string& request, size_t head) {
  for (size_t at = request.find("\r\n"); at != std::string::npos && at < head; at = request.find("\r\n", at + 2)) {
    if (strncasecmp(request.c_str() + at + 2, "content-length:", 15) != 0) continue;
    const long n = strtol(request.c_str() + at + 17, nullptr, 10);
    return n >= 0 && n <= static_cast<long>(kRequestMax) ? n : -1;
  }
  return 0;
}

}  // namespace

bool SetupServer::open(const std::string& bind_to, uint16_t port) {
  close();
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int one = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, bind_to.c_str(), &address.sin_addr);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<struct sockaddr*>(&address), size) != 0 || listen(listener_, 8) != 0 ||
      getsockname(listener_, reinterpret_cast<struct sockaddr*>(&address), &size) != 0) {
    close();
    return false;
  }
  port_ = ntohs(address.sin_port);
  return true;
}

void SetupServer::close() {
  if (listener_ >= 0) ::close(listener_);
  listener_ = -1;
  // Answers already written are in the kernel's hands.
  for (Client& c : clients_) ::close(c.fd);
  clients_.clear();
}

void SetupServer::descriptors(std::vector<int>* out) const {
  if (listener_ >= 0) out->push_back(listener_);
  for (const Client& c : clients_) out->push_back(c.fd);
}

std::string SetupServer::respond(Camera& camera, const std::string& request, size_t head) {
  const std::string line = request.substr(0, request.find("\r\n"));
  if (line.rfind("GET /setup ", 0) == 0) {
    char body[768];
    const int status = camera.setup_get(body, sizeof body);
    return reply(status, "application/json", body);
  }
  if (line.rfind("POST /setup ", 0) == 0) {
    const int status = camera.setup_post(request.data() + head, request.size() - head);
    return reply(status, "application/json", status == 204 ? "" : "{}");
  }
  if (line.rfind("GET / ", 0) == 0) {
    return reply(200, "text/html; charset=utf-8",
                 std::string("<!doctype html><title>MagicPi camera</title><h1>Setup code</h1><p>") + camera.setup_code());
  }
  return reply(404, "text/plain", "not here\n");
}

void SetupServer::poll(Camera& camera) {
  if (listener_ < 0) return;
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) break;
    if (clients_.size() >= kClients) ::close(fd);
    else clients_.push_back({fd, "", ""});
  }
  for (size_t i = 0; i < clients_.size();) {
    Client& c = clients_[i];
    bool done = false;
    char block[4096];
    ssize_t n = 0;
    while (c.out.empty() && (n = recv(c.fd, block, sizeof block, 0)) > 0) {
      c.in.append(block, static_cast<size_t>(n));
      const size_t end = c.in.find("\r\n\r\n");
      if (c.in.size() > kRequestMax) c.out = reply(400, "text/plain", "too long\n");
      if (end == std::string::npos) continue;
      const long body = body_length(c.in, end);
      if (body < 0) c.out = reply(400, "text/plain", "length\n");
      else if (c.in.size() >= end + 4 + static_cast<size_t>(body)) {
        c.in.resize(end + 4 + static_cast<size_t>(body));
        c.out = respond(camera, c.in, end + 4);
      }
    }
    if (c.out.empty() && (n == 0 || (n < 0 && errno != EAGAIN))) done = true;
    if (!c.out.empty()) {
      n = send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
      if (n > 0) c.out.erase(0, static_cast<size_t>(n));
      if (c.out.empty() || (n < 0 && errno != EAGAIN)) done = true;
    }
    if (done) {
      ::close(c.fd);
      clients_.erase(clients_.begin() + static_cast<long>(i));
    } else {
      ++i;
    }
  }
}

}  // namespace magicpi
