// One HTTP exchange over a Transport: dial, handshake, request, response; never blocks.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "http.h"
#include "platform.h"

namespace magicpi {

class Exchange {
 public:
  enum class Phase : uint8_t {
    Idle,
    Dialing,   ///< TCP and TLS
    Ready,     ///< handshake done: build the request in buffer(), then send()
    Writing,
    Head,
    Body,      ///< head parsed: response() is filled, body bytes come from read_body()
    Failed
  };
  static constexpr uint32_t kConnectMs = 5000;      ///< TCP
  static constexpr uint32_t kHandshakeMs = 15000;   ///< TCP and TLS
  static constexpr uint32_t kAnswerMs = 15000;      ///< without a byte

  Exchange(Platform& platform, Transport& transport, char* buffer, size_t cap)
      : platform_(platform), transport_(transport), buffer_(buffer), cap_(cap) {}

  /// Work space for the CA (only during dial) and the request; free again from Phase::Head on.
  char* buffer() { return buffer_; }
  size_t capacity() const { return cap_; }

  bool dial(const Dial& dial);
  /// `n` bytes of buffer() are the request.
  void send(size_t n);
  Phase poll();
  Phase phase() const { return phase_; }
  /// Body bytes (1..cap), 0 = none now, -1 = whole body read, or closed where no length was given, -2 = broken.
  int read_body(uint8_t* out, size_t cap);
  const HttpResponse& response() const { return response_; }
  Transport& transport() { return transport_; }
  /// Time from dial() to the end of the handshake.
  uint32_t handshake_ms() const { return handshake_ms_; }
  /// What arrived behind the head and was not taken by read_body() (an upgraded stream): copies and forgets it.
  size_t take_leftover(uint8_t* out, size_t cap);
  /// Closes the stream.
  void reset();
  /// Leaves the stream open and in the hands of the caller.
  void release() { phase_ = Phase::Idle; }

 private:
  Phase fail();
  Platform& platform_;
  Transport& transport_;
  char* buffer_;
  size_t cap_;
  HttpResponse response_;
  uint8_t leftover_[256];
  size_t leftover_n_ = 0, leftover_at_ = 0;
  size_t n_ = 0, at_ = 0;
  uint32_t body_read_ = 0;
  uint64_t since_ms_ = 0;
  uint32_t handshake_ms_ = 0;
  Phase phase_ = Phase::Idle;
};

}  // namespace magicpi
