// RFC 6455, client side: a frame parser for what the server sends, and a queue of what goes out.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "frame_ring.h"
#include "platform.h"

namespace magicpi {

enum class WsOp : uint8_t { Continuation = 0, Text = 1, Binary = 2, Close = 8, Ping = 9, Pong = 10 };

/// Close codes of RFC 6455 section 7.4.1 and of protocol.md.
enum WsClose : uint16_t {
  kCloseNone = 0,
  kCloseNormal = 1000,
  kCloseGoingAway = 1001,
  kCloseProtocol = 1002,
  kCloseUnsupported = 1003,
  kCloseInvalidData = 1007,
  kClosePolicy = 1008,
  kCloseTooBig = 1009,
  kCloseInternal = 1011,
  kCloseReplaced = 4001,
  kCloseRevoked = 4003,
  kCloseIdle = 4008
};

/// Parses the server's frames byte by byte, whatever pieces they come in.
class WsReader {
 public:
  enum class Event : uint8_t {
    None,      ///< needs more bytes
    Text,      ///< text(), text_length(): one whole message, valid UTF-8, NUL-terminated
    Skipped,   ///< a binary message, or a text longer than the buffer, was read and dropped
    Ping,      ///< control(), control_length()
    Pong,
    Close,     ///< close_code(), control() + 2 is the reason; nothing may follow
    Error      ///< protocol violation: fail the connection with close_code()
  };

  /// `buffer` holds one text message of at most cap - 1 bytes.
  WsReader(char* buffer, size_t cap) : buffer_(buffer), cap_(cap) {}
  void reset();
  /// Consumes up to n bytes, stops behind the frame that made an event. Returns the bytes consumed.
  size_t feed(const uint8_t* data, size_t n, Event* event);

  const char* text() const { return buffer_; }
  size_t text_length() const { return length_; }
  const uint8_t* control() const { return control_; }
  size_t control_length() const { return control_length_; }
  uint16_t close_code() const { return close_code_; }

 private:
  Event header_done();
  Event frame_done();
  Event fail(uint16_t code);

  char* buffer_;
  size_t cap_;
  size_t length_ = 0;
  uint64_t left_ = 0;
  uint8_t header_[10];
  uint8_t header_length_ = 0, header_need_ = 2;
  uint8_t control_[126];
  uint8_t control_length_ = 0;
  uint16_t close_code_ = 0;
  WsOp op_ = WsOp::Continuation;        // of the frame
  bool fin_ = false;
  bool in_payload_ = false;
  bool in_message_ = false;
  bool message_text_ = false;
  bool overflow_ = false;
  bool dead_ = false;
};

/// True if `text` is whole, well-formed UTF-8.
bool valid_utf8(const uint8_t* text, size_t n);

/// What goes out: control frames, text messages and JPEGs from the ring, masked in place, written as far as the stream
/// takes. JPEGs are split into RFC 6455 fragments of FrameRing::kFragment bytes so that a pong can pass in between.
class WsWriter {
 public:
  static constexpr size_t kTextQueue = 3072;

  enum class Progress : uint8_t { Idle, Wrote, Stalled, Dead };

  WsWriter(Platform& platform, FrameRing& ring) : platform_(platform), ring_(ring) {}
  /// Forgets everything queued; a half-sent frame goes back to the ring.
  void reset();
  /// Queues one message; false if there is no room now.
  bool text(const char* message, size_t n);
  /// Queues a control frame (payload <= 125); pings and pongs beyond the queue are dropped, which RFC 6455 allows.
  bool control(WsOp op, const uint8_t* payload, size_t n);
  bool close(uint16_t code, const char* reason);
  /// Starts a binary message: 24-byte `header`, then the pinned ring frame. Only when idle_for_frame().
  void frame(uint16_t frame, const uint8_t header[24]);
  bool idle_for_frame() const { return frame_ == FrameRing::kNone && text_length_ == 0; }
  bool empty() const { return frame_ == FrameRing::kNone && text_length_ == 0 && control_length_ == 0 && out_length_ == 0; }
  /// Every queued text is written.
  bool text_out() const { return text_length_ == 0; }
  /// Room for a text message of `n` bytes.
  bool room(size_t n) const { return text_length_ + n + kHeaderMax <= kTextQueue; }
  /// Writes what it can. *frame_sent is the ring frame completed by this call, or kNone.
  Progress pump(Transport& transport, uint16_t* frame_sent);
  /// Ring frame being sent, or kNone.
  uint16_t frame_in_flight() const { return frame_; }

 private:
  static constexpr size_t kHeaderMax = 14;
  size_t encode(uint8_t* out, WsOp op, bool fin, const uint8_t* payload, size_t n);

  Platform& platform_;
  FrameRing& ring_;
  uint8_t control_[3 * (125 + kHeaderMax)];
  size_t control_length_ = 0;
  uint8_t text_[kTextQueue];
  size_t text_length_ = 0;
  // The small frame or fragment header that is on the wire now; nothing else may be written before it is out.
  uint8_t out_[kHeaderMax + 125];
  size_t out_length_ = 0, out_sent_ = 0;
  size_t text_front_ = 0;         // bytes of the first queued text frame still to be written, 0 = not begun
  uint16_t frame_ = FrameRing::kNone;
  uint8_t frame_header_[24];
  uint32_t frame_length_ = 0;
  uint32_t frame_offset_ = 0;     // payload bytes written
  uint32_t fragment_left_ = 0;    // payload bytes of the open fragment still to be written
  bool frame_begun_ = false;
  uint64_t seed_ = 0;             // of the frame's masking keys
};

}  // namespace magicpi
