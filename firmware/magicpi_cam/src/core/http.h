// The client side of HTTP/1.1 that a camera needs: one request per connection, a response with Content-Length.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace magicpi {

/// Builds a request head. Values are written as they are: the caller vouches that they hold no CR or LF.
class HttpRequest {
 public:
  HttpRequest(char* out, size_t cap, const char* method, const char* path, const char* host);
  HttpRequest& header(const char* name, const char* value);
  HttpRequest& header(const char* name, uint32_t value);
  /// Ends the head, appends a body; whole length, 0 if it did not fit.
  size_t finish(const char* body = nullptr, size_t n = 0);

 private:
  void raw(const char* s, size_t n);
  void raw(const char* s);
  char* out_;
  size_t cap_;
  size_t n_ = 0;
  bool overflow_ = false;
};

/// Parses a response head in whatever pieces it comes; over-long lines and unknown headers are skipped.
class HttpResponse {
 public:
  enum class Stage : uint8_t { Head, Body, Error };

  void reset();
  /// Consumes head bytes only: everything from the return value on is body (or the upgraded protocol).
  size_t feed(const uint8_t* data, size_t n);
  Stage stage() const { return stage_; }

  int status = 0;
  bool has_length = false;
  uint32_t content_length = 0;
  uint32_t range_start = 0;      ///< of Content-Range, 0 if absent
  uint32_t retry_after_s = 0;
  bool upgrade_websocket = false;
  bool connection_upgrade = false;
  char accept[32] = {0};         ///< Sec-WebSocket-Accept
  char protocol[32] = {0};       ///< Sec-WebSocket-Protocol
  bool extensions = false;       ///< the server claims an extension nobody asked for

 private:
  bool line();
  Stage stage_ = Stage::Head;
  char line_[192];
  uint16_t length_ = 0;
  uint16_t total_ = 0;
  bool first_ = true;
};

/// Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2); `out` holds 29 bytes.
bool websocket_accept(const char* key, char* out, size_t cap);

}  // namespace magicpi
