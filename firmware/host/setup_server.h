// The little HTTP server of setup mode: GET /, GET /setup, POST /setup.
#pragma once

#include <stdint.h>

#include <string>
#include <vector>

namespace magicpi {

class Camera;

class SetupServer {
 public:
  ~SetupServer() { close(); }
  /// Port 0 takes a free one; false if it cannot listen.
  bool open(const std::string& bind, uint16_t port);
  void close();
  bool is_open() const { return listener_ >= 0; }
  uint16_t port() const { return port_; }
  /// Serves what is ready, without waiting.
  void poll(Camera& camera);
  /// Descriptors to wait for.
  void descriptors(std::vector<int>* out) const;

 private:
  struct Client {
    int fd;
    std::string in, out;
  };
  static std::string respond(Camera& camera, const std::string& request, size_t head);
  int listener_ = -1;
  uint16_t port_ = 0;
  std::vector<Client> clients_;
};

}  // namespace magicpi
