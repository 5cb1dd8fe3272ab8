// Frames between capture and acknowledgement, in memory the caller gives (PSRAM on the device).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "platform.h"

namespace magicpi {

/// Flags of a binary frame (protocol.md section 5).
enum FrameFlag : uint8_t { kPreRoll = 1, kStill = 2, kLast = 4, kWarming = 8, kLostBefore = 16 };

/// Description of one captured JPEG.
struct FrameInfo {
  uint32_t seq = 0;        ///< 1.. within this boot
  uint16_t event = 0;
  uint8_t flags = 0;       ///< FrameFlag bits, without kLostBefore
  uint64_t t_ms = 0;       ///< capture time since boot
  uint32_t length = 0;     ///< JPEG bytes
  uint32_t crc = 0;        ///< zlib crc32 of the JPEG
};

/// Keeps each frame in a chain of fixed blocks, so that any frame can be given up without moving another. Those without
/// an event go first, thinned out evenly: what is left has no gap longer than it must be. Then the oldest go. None
/// that is being sent goes, and none of an event for one without, unless it was sent. One task adds, another sends and releases;
/// metadata is changed under Platform::lock(), pixels are copied and masked outside it.
///
/// A frame lives: added -> taken by the sender (pinned) -> sent -> acknowledged (released). After a reconnect
/// rewind() makes the sent ones unsent again. One that was sent and given up is known, without its pixels, until the peer says
/// whether it arrived.
class FrameRing {
 public:
  static constexpr size_t kBlock = 2048;
  /// Payload bytes per WebSocket fragment: a pong can pass in between, and each has its own masking key.
  static constexpr size_t kFragment = 16384;
  static constexpr uint16_t kNone = 0xffff;

  /// Uses `bytes` of 4-aligned `memory`: per block kBlock + 2 bytes, per frame slot a descriptor of about 56.
  FrameRing(Platform& platform, uint8_t* memory, size_t bytes);

  /// Copies a JPEG in, giving up others if there is no room. False if nothing may go for it (the frame counts as
  /// lost). `info.length` and `info.crc` are set here. Capture task.
  bool add(FrameInfo info, const uint8_t* jpeg);

  /// The oldest unsent frame, pinned for sending, or kNone. Network task, as everything below.
  uint16_t take();
  const FrameInfo& info(uint16_t frame) const { return frames_[frame].info; }
  /// The masking key of one WebSocket fragment of a frame: unpredictable if `seed` is.
  static uint32_t mask_key(uint64_t seed, uint32_t fragment);
  /// Payload at `offset`, masked in place with the keys of `seed` (remembered, to undo it). `offset` grows from 0;
  /// the piece ends at a block's end at the latest and holds at most `limit` bytes: pointer, and *n bytes.
  const uint8_t* masked_piece(uint16_t frame, size_t offset, size_t limit, uint64_t seed, size_t* n);
  /// The pinned frame went out whole.
  void sent(uint16_t frame);
  /// The pinned frame did not go out (link died): restores its bytes and makes it unsent.
  void put_back(uint16_t frame);
  /// The pinned frame must not be tried again: counts it lost.
  void discard(uint16_t frame);
  /// Releases every frame with seq <= `seq`.
  void release(uint32_t seq);
  /// The peer has read all that was sent: releases it.
  void release_sent();
  /// The connection is gone: what was sent but not released becomes unsent (though it may have arrived).
  void rewind();
  /// The peer has said what it has (see release()): what is still here has not arrived, and is lost where it was given up.
  void not_arrived();
  /// Adds flags to the newest frame of `event` if it was not yet taken: true if done.
  bool flag_newest(uint16_t event, uint8_t flags);

  uint32_t backlog() const;        ///< frames held and not released
  uint32_t unsent() const;
  uint32_t unsent_of(uint16_t event) const;
  uint32_t held_of(uint16_t event) const;
  /// Unsent, and none of it on the wire.
  uint32_t ready_of(uint16_t event) const;
  uint32_t ready() const;
  size_t capacity_bytes() const { return size_t(blocks_) * kBlock; }
  size_t used_bytes() const;

  /// Frames that were given up and did not arrive; `seq` of the first.
  struct Loss { uint32_t seq; uint16_t event; uint32_t count; };
  /// Called under the lock.
  void on_loss(void (*hook)(void* context, const Loss&), void* context) { loss_ = hook; loss_context_ = context; }

 private:
  enum Status : uint8_t { Free, Filling, Ready, Pinned, Sent, GivenUp };
  struct Frame {
    FrameInfo info;
    uint64_t seed;          // of the masking keys
    union {
      uint32_t masked;      // bytes of the payload that are XORed now
      uint32_t first_seq;   // GivenUp: neighbors of one event are one, from here to info.seq
    };
    uint32_t given_up;      // how many that are
    uint16_t first, next, prev;
    Status status;
    bool was_sent;          // on this or an earlier connection, and nobody knows whether it arrived
  };
  struct Guard;

  uint8_t* block(uint16_t b) { return data_ + size_t(b) * kBlock; }
  static size_t blocks_for(size_t bytes) { return (bytes + kBlock - 1) / kBlock; }
  void mask_range(Frame& f, uint16_t block, size_t from, size_t to);
  void restore(Frame& f);
  void free_blocks(Frame& f);
  void free_frame(uint16_t frame);
  bool give_up_one(const FrameInfo& coming);
  uint16_t least_missed(const FrameInfo& coming) const;
  void lose(const FrameInfo& info, uint32_t count = 1);
  void remember(uint16_t frame);
  void lose_remembered(uint16_t frame);
  uint32_t count(bool (*pick)(const Frame&, uint16_t), uint16_t event) const;

  Platform& platform_;
  Frame* frames_ = nullptr;
  uint16_t* next_ = nullptr;
  uint8_t* data_ = nullptr;
  uint16_t blocks_ = 0, slots_ = 0;
  uint16_t free_blocks_ = 0, free_block_ = kNone, free_slot_ = kNone;
  uint16_t oldest_ = kNone, newest_ = kNone;
  uint16_t cursor_frame_ = kNone;   // where masked_piece() was last, so that it need not walk the chain again
  uint16_t cursor_block_ = kNone;
  size_t cursor_start_ = 0;
  void (*loss_)(void*, const Loss&) = nullptr;
  void* loss_context_ = nullptr;
};

}  // namespace magicpi
