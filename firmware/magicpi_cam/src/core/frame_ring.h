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

/// Keeps each frame in a chain of fixed blocks, so that any frame can be given up (the oldest that is not being
/// sent goes first) without moving another. One task adds, another sends and releases; metadata is changed under
/// Platform::lock(), pixels are copied and masked outside it.
///
/// A frame lives: added -> taken by the sender (pinned) -> sent -> acknowledged (released). After a reconnect
/// rewind() makes the sent ones unsent again.
class FrameRing {
 public:
  static constexpr size_t kBlock = 2048;
  static constexpr uint16_t kNone = 0xffff;

  /// Uses `bytes` of 4-aligned `memory`: per block kBlock + 2 bytes, per frame slot a descriptor of about 56.
  FrameRing(Platform& platform, uint8_t* memory, size_t bytes);

  /// Copies a JPEG in, giving up older frames if there is no room. False if it can never fit (the frame counts as
  /// lost). `info.length` and `info.crc` are set here. Capture task.
  bool add(FrameInfo info, const uint8_t* jpeg);

  /// The oldest unsent frame, pinned for sending, or kNone. Network task, as everything below.
  uint16_t take();
  const FrameInfo& info(uint16_t frame) const { return frames_[frame].info; }
  /// XORs payload bytes [from, to) with the 4-byte `key` (phase 0 at byte 0); remembered for unmask().
  /// Returns the longest contiguous piece at `offset`, at most up to the block's end: pointer and *n bytes.
  const uint8_t* masked_piece(uint16_t frame, size_t offset, size_t limit, const uint8_t key[4], size_t* n);
  /// The pinned frame went out whole.
  void sent(uint16_t frame);
  /// The pinned frame did not go out (link died): restores its bytes and makes it unsent.
  void put_back(uint16_t frame);
  /// The pinned frame must not be tried again: counts it lost.
  void discard(uint16_t frame);
  /// Releases every frame with seq <= `seq`.
  void release(uint32_t seq);
  /// After a reconnect: what was sent but not released becomes unsent, bytes restored.
  void rewind();
  /// Adds flags to the newest frame of `event` if it was not yet taken: true if done.
  bool flag_newest(uint16_t event, uint8_t flags);

  uint32_t backlog() const;        ///< frames held and not released
  uint32_t unsent() const;
  uint32_t unsent_of(uint16_t event) const;
  size_t capacity_bytes() const { return size_t(blocks_) * kBlock; }
  size_t used_bytes() const;

  /// Frames given up, in order of giving up; `sent` = it had been sent and may have arrived.
  struct Loss { uint32_t seq; uint16_t event; bool sent; };
  /// Called under the lock for each frame given up by add().
  void on_loss(void (*hook)(void* context, const Loss&), void* context) { loss_ = hook; loss_context_ = context; }

 private:
  enum Status : uint8_t { Free, Filling, Ready, Pinned, Sent };
  struct Frame {
    FrameInfo info;
    uint32_t masked;        // bytes of the payload now XORed with key
    uint16_t first, next, prev;
    Status status;
    uint8_t key[4];
  };
  struct Guard;

  uint8_t* block(uint16_t b) { return data_ + size_t(b) * kBlock; }
  void restore(Frame& f);
  void unlink(uint16_t frame);
  bool give_up_one();

  Platform& platform_;
  Frame* frames_ = nullptr;
  uint16_t* next_ = nullptr;
  uint8_t* data_ = nullptr;
  uint16_t blocks_ = 0, slots_ = 0;
  uint16_t free_blocks_ = 0, free_block_ = kNone, free_slot_ = kNone;
  uint16_t oldest_ = kNone, newest_ = kNone;
  uint16_t cursor_block_ = kNone;   // last block served by masked_piece
  size_t cursor_offset_ = 0;
  uint16_t cursor_frame_ = kNone;
  void (*loss_)(void*, const Loss&) = nullptr;
  void* loss_context_ = nullptr;
};

}  // namespace magicpi
