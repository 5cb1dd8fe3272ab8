// A small HTTP/1.1 server over BSD sockets for setup mode: several clients at once (phones open spare connections), never
// waits for one of them, bounded in connections, bytes and time. Compiles on Linux too, where it is tested.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace magicpi {

struct HttpQuery {
  const char* method;       ///< "GET", "POST"
  const char* path;         ///< without query string
  const char* host;         ///< Host header without port, "" if absent
  const char* body;         ///< NUL-terminated
  size_t body_length;
};

/// What a handler fills in.
struct HttpReply {
  int status = 200;
  const char* type = "text/plain; charset=utf-8";
  const char* location = nullptr;   ///< of a 302; copied
  uint16_t retry_after_s = 0;
  char* body;                       ///< room for `cap` bytes
  size_t cap;
  size_t length = 0;
};

class HttpServer {
 public:
  static constexpr size_t kClients = 6;
  static constexpr size_t kRequestMax = 6144;     ///< head and body; a setup bundle has about 3 KB
  static constexpr size_t kReplyMax = 8192;
  static constexpr uint32_t kClientMs = 10000;

  using Handler = void (*)(void* context, const HttpQuery& query, HttpReply& reply);

  ~HttpServer() { close(); }
  bool open(uint16_t port, Handler handler, void* context);
  /// Serves what is ready, never blocks.
  void poll(uint64_t now_ms);
  /// Everything that was answered has been written.
  bool idle() const;
  void close();
  uint16_t port() const { return port_; }

 private:
  struct Client {
    int fd = -1;
    uint64_t since_ms = 0;
    char* in = nullptr;      // kRequestMax + 1
    size_t in_length = 0;
    char* out = nullptr;     // kHeadMax + kReplyMax
    size_t out_length = 0, out_sent = 0;
  };
  static constexpr size_t kHeadMax = 512;

  void accept_one(uint64_t now_ms);
  bool serve(Client& client);
  void answer(Client& client, HttpQuery query, int status);
  static void drop(Client& client);

  Client clients_[kClients];
  int listener_ = -1;
  uint16_t port_ = 0;
  Handler handler_ = nullptr;
  void* context_ = nullptr;
};

/// Value of `name` in an application/x-www-form-urlencoded body, decoded into `out`; false if absent, broken or too long.
bool form_value(const char* body, const char* name, char* out, size_t cap);

/// Answers every A question on UDP port 53 with one address, so that a phone finds the setup page by itself.
class CaptiveDns {
 public:
  ~CaptiveDns() { close(); }
  bool open(uint16_t port, const uint8_t address[4]);
  void poll();
  void close();
  uint16_t port() const { return port_; }
  /// Length of the answer to `query` in `out`, 0 = none; for poll() and the tests.
  static size_t answer(const uint8_t* query, size_t n, const uint8_t address[4], uint8_t* out, size_t cap);

 private:
  int fd_ = -1;
  uint16_t port_ = 0;
  uint8_t address_[4] = {0};
};

}  // namespace magicpi
