#include "frame_ring.h"

#include <string.h>

#include "codec.h"

namespace magicpi {

struct FrameRing::Guard {
  explicit Guard(Platform& p) : platform(p) { platform.lock(); }
  ~Guard() { platform.unlock(); }
  Platform& platform;
};

FrameRing::FrameRing(Platform& platform, uint8_t* memory, size_t bytes) : platform_(platform) {
  const size_t skew = (8 - reinterpret_cast<uintptr_t>(memory) % 8) % 8;
  if (bytes < skew + kBlock) return;
  bytes -= skew;
  memory += skew;
  // Half as many frame slots as blocks: no useful JPEG is smaller than two blocks.
  size_t slots = bytes / (2 * kBlock);
  if (slots < 4) slots = 4;
  if (slots > 1024) slots = 1024;
  const size_t table = slots * sizeof(Frame);
  if (bytes < table + kBlock + 2) return;
  size_t blocks = (bytes - table) / (kBlock + 2);
  if (blocks > kNone - 1) blocks = kNone - 1;
  slots_ = static_cast<uint16_t>(slots);
  blocks_ = static_cast<uint16_t>(blocks);
  frames_ = reinterpret_cast<Frame*>(memory);
  // Blocks before their table, to keep them 4-aligned for word-wise masking.
  data_ = memory + table;
  next_ = reinterpret_cast<uint16_t*>(data_ + blocks * kBlock);
  for (uint16_t i = 0; i < slots_; ++i) {
    frames_[i] = Frame();
    frames_[i].status = Free;
    frames_[i].next = static_cast<uint16_t>(i + 1 < slots_ ? i + 1 : kNone);
  }
  for (uint16_t i = 0; i < blocks_; ++i) next_[i] = static_cast<uint16_t>(i + 1 < blocks_ ? i + 1 : kNone);
  free_slot_ = 0;
  free_block_ = 0;
  free_blocks_ = blocks_;
}

namespace {

/// Of a live view, or kept for who is not there.
bool is_minor(const FrameInfo& info) { return info.event == 0 && !(info.flags & kStill); }

}  // namespace

void FrameRing::lose(const FrameInfo& info, uint32_t count) {
  if (loss_) loss_(loss_context_, Loss{info.seq, info.event, count});
}

void FrameRing::free_blocks(Frame& f) {
  for (uint16_t b = f.first; b != kNone;) {
    const uint16_t after = next_[b];
    next_[b] = free_block_;
    free_block_ = b;
    ++free_blocks_;
    b = after;
  }
  f.first = kNone;
}

void FrameRing::free_frame(uint16_t frame) {
  Frame& f = frames_[frame];
  (f.prev == kNone ? oldest_ : frames_[f.prev].next) = f.next;
  (f.next == kNone ? newest_ : frames_[f.next].prev) = f.prev;
  free_blocks(f);
  f.status = Free;
  f.next = free_slot_;
  free_slot_ = frame;
}

uint16_t FrameRing::least_missed(const FrameInfo& coming) const {
  uint16_t thinned = kNone, candidate = kNone, oldest_minor = kNone, oldest = kNone, before = kNone;
  uint64_t gap = UINT64_MAX, since = 0;
  for (uint16_t i = oldest_;; i = frames_[i].next) {
    if (i != kNone && frames_[i].status == GivenUp) continue;
    const uint64_t t = i == kNone ? coming.t_ms : frames_[i].info.t_ms;
    if (candidate != kNone && t - since < gap) {
      gap = t - since;
      thinned = candidate;
    }
    if (i == kNone) break;
    const Frame& f = frames_[i];
    const bool may_go = f.status == Ready || f.status == Sent;
    candidate = may_go && is_minor(f.info) && before != kNone ? i : kNone;
    if (candidate != kNone) since = frames_[before].info.t_ms;
    if (may_go && is_minor(f.info) && oldest_minor == kNone) oldest_minor = i;
    if ((f.status == Sent || (may_go && !is_minor(coming))) && oldest == kNone) oldest = i;
    before = i;
  }
  return thinned != kNone ? thinned : oldest_minor != kNone ? oldest_minor : oldest;
}

bool FrameRing::give_up_one(const FrameInfo& coming) {
  if (free_slot_ == kNone) {
    // One that is alone becomes one with the next; of more, whether the oldest arrived will not be known.
    uint16_t first = kNone, remembered = 0;
    for (uint16_t i = oldest_; i != kNone; i = frames_[i].next) {
      if (frames_[i].status == GivenUp && remembered++ == 0) first = i;
    }
    if (remembered > 1) {
      lose_remembered(first);
      return true;
    }
  }
  const uint16_t i = least_missed(coming);
  if (i == kNone) return false;
  Frame& f = frames_[i];
  if (f.was_sent) {
    remember(i);
  } else {
    lose(f.info);
    free_frame(i);
  }
  return true;
}

void FrameRing::lose_remembered(uint16_t frame) {
  Frame& f = frames_[frame];
  f.info.seq = f.first_seq;
  lose(f.info, f.given_up);
  free_frame(frame);
}

void FrameRing::remember(uint16_t frame) {
  Frame& f = frames_[frame];
  free_blocks(f);
  f.status = GivenUp;
  f.first_seq = f.info.seq;
  f.given_up = 1;
  const uint16_t beside[] = {f.prev, f.next};
  for (const uint16_t i : beside) {
    if (i == kNone || frames_[i].status != GivenUp || frames_[i].info.event != f.info.event) continue;
    const Frame& other = frames_[i];
    if (other.first_seq < f.first_seq) f.first_seq = other.first_seq;
    if (other.info.seq > f.info.seq) f.info.seq = other.info.seq;
    f.given_up += other.given_up;
    free_frame(i);
  }
}

bool FrameRing::add(FrameInfo info, const uint8_t* jpeg) {
  const size_t need = blocks_for(info.length);
  uint16_t frame = kNone;
  {
    Guard guard(platform_);
    bool possible = info.length > 0 && need <= blocks_;
    while (possible && (free_blocks_ < need || free_slot_ == kNone)) possible = give_up_one(info);
    if (!possible) {
      lose(info);
      return false;
    }
    frame = free_slot_;
    Frame& f = frames_[frame];
    free_slot_ = f.next;
    f.info = info;
    f.masked = 0;
    f.was_sent = false;
    f.status = Filling;
    f.first = free_block_;
    uint16_t last = free_block_;
    for (size_t i = 1; i < need; ++i) last = next_[last];
    free_block_ = next_[last];
    next_[last] = kNone;
    free_blocks_ = static_cast<uint16_t>(free_blocks_ - need);
    f.prev = newest_;
    f.next = kNone;
    (newest_ == kNone ? oldest_ : frames_[newest_].next) = frame;
    newest_ = frame;
  }
  Frame& f = frames_[frame];
  uint32_t crc = 0;
  uint16_t b = f.first;
  for (size_t at = 0; at < info.length; at += kBlock, b = next_[b]) {
    const size_t n = info.length - at < kBlock ? info.length - at : kBlock;
    memcpy(block(b), jpeg + at, n);
    crc = crc32(block(b), n, crc);
  }
  Guard guard(platform_);
  f.info.crc = crc;
  f.status = Ready;
  return true;
}

uint16_t FrameRing::take() {
  uint16_t i = kNone;
  {
    Guard guard(platform_);
    for (i = oldest_; i != kNone && frames_[i].status != Ready; i = frames_[i].next) {
    }
    if (i == kNone) return kNone;
    frames_[i].status = Pinned;
  }
  restore(frames_[i]);
  cursor_frame_ = kNone;
  return i;
}

uint32_t FrameRing::mask_key(uint64_t seed, uint32_t fragment) {
  // splitmix64: distinct, well mixed words from one random seed.
  uint64_t z = seed + (fragment + 1ull) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return static_cast<uint32_t>((z ^ (z >> 31)) >> 16);
}

// [from, to) are payload offsets inside one block, hence inside one fragment.
void FrameRing::mask_range(Frame& f, uint16_t b, size_t from, size_t to) {
  static_assert(kFragment % kBlock == 0 && kBlock % 4 == 0, "a block must lie within one fragment");
  const uint32_t word = mask_key(f.seed, static_cast<uint32_t>(from / kFragment));
  uint8_t key[4];
  memcpy(key, &word, 4);
  uint8_t* base = block(b);
  size_t i = from % kBlock;
  const size_t end = i + (to - from);
  for (; i < end && i % 4; ++i) base[i] ^= key[i & 3];
  for (; i + 4 <= end; i += 4) *reinterpret_cast<uint32_t*>(base + i) ^= word;
  for (; i < end; ++i) base[i] ^= key[i & 3];
}

const uint8_t* FrameRing::masked_piece(uint16_t frame, size_t offset, size_t limit, uint64_t seed, size_t* n) {
  Frame& f = frames_[frame];
  if (cursor_frame_ != frame) {
    cursor_frame_ = frame;
    cursor_block_ = f.first;
    cursor_start_ = 0;
  }
  while (offset >= cursor_start_ + kBlock) {
    cursor_block_ = next_[cursor_block_];
    cursor_start_ += kBlock;
  }
  size_t end = cursor_start_ + kBlock;
  if (end > f.info.length) end = f.info.length;
  if (end > offset + limit) end = offset + limit;
  f.seed = seed;
  if (f.masked < end) {
    mask_range(f, cursor_block_, f.masked > offset ? f.masked : offset, end);
    f.masked = static_cast<uint32_t>(end);
  }
  *n = end - offset;
  return block(cursor_block_) + (offset - cursor_start_);
}

void FrameRing::restore(Frame& f) {
  uint16_t b = f.first;
  for (size_t at = 0; at < f.masked; at += kBlock, b = next_[b]) {
    mask_range(f, b, at, f.masked < at + kBlock ? f.masked : at + kBlock);
  }
  f.masked = 0;
}

void FrameRing::sent(uint16_t frame) {
  Guard guard(platform_);
  frames_[frame].status = Sent;
  frames_[frame].was_sent = true;
}

void FrameRing::put_back(uint16_t frame) {
  Guard guard(platform_);
  frames_[frame].status = Ready;
}

void FrameRing::discard(uint16_t frame) {
  Guard guard(platform_);
  lose(frames_[frame].info);
  free_frame(frame);
}

void FrameRing::release(uint32_t seq) {
  Guard guard(platform_);
  for (uint16_t i = oldest_; i != kNone;) {
    Frame& f = frames_[i];
    const uint16_t after = f.next;
    if (f.info.seq > seq) {
      if (f.status == GivenUp && f.first_seq <= seq) {
        const uint32_t left = f.info.seq - seq;
        if (f.given_up > left) f.given_up = left;
        f.first_seq = seq + 1;
      }
      break;
    }
    if (f.status == Ready || f.status == Sent || f.status == GivenUp) free_frame(i);
    i = after;
  }
}

void FrameRing::release_sent() {
  Guard guard(platform_);
  for (uint16_t i = oldest_; i != kNone;) {
    const uint16_t after = frames_[i].next;
    if (frames_[i].status == Sent || frames_[i].status == GivenUp) free_frame(i);
    i = after;
  }
}

void FrameRing::rewind() {
  Guard guard(platform_);
  for (uint16_t i = oldest_; i != kNone; i = frames_[i].next) {
    if (frames_[i].status == Sent) frames_[i].status = Ready;
  }
}

void FrameRing::not_arrived() {
  Guard guard(platform_);
  for (uint16_t i = oldest_; i != kNone;) {
    Frame& f = frames_[i];
    const uint16_t after = f.next;
    f.was_sent = false;
    if (f.status == GivenUp) lose_remembered(i);
    i = after;
  }
}

bool FrameRing::flag_newest(uint16_t event, uint8_t flags) {
  Guard guard(platform_);
  for (uint16_t i = newest_; i != kNone; i = frames_[i].prev) {
    Frame& f = frames_[i];
    if (f.info.event != event) continue;
    if (f.status != Ready) return false;
    f.info.flags = static_cast<uint8_t>(f.info.flags | flags);
    return true;
  }
  return false;
}

uint32_t FrameRing::count(bool (*pick)(const Frame&, uint16_t), uint16_t event) const {
  Guard guard(platform_);
  uint32_t n = 0;
  for (uint16_t i = oldest_; i != kNone; i = frames_[i].next) {
    n += frames_[i].status != GivenUp && pick(frames_[i], event) ? 1u : 0u;
  }
  return n;
}

uint32_t FrameRing::backlog() const {
  return count([](const Frame&, uint16_t) { return true; }, 0);
}

uint32_t FrameRing::unsent() const {
  return count([](const Frame& f, uint16_t) { return f.status != Sent; }, 0);
}

uint32_t FrameRing::unsent_of(uint16_t event) const {
  return count([](const Frame& f, uint16_t e) { return f.status != Sent && f.info.event == e; }, event);
}

uint32_t FrameRing::held_of(uint16_t event) const {
  return count([](const Frame& f, uint16_t e) { return f.info.event == e; }, event);
}

uint32_t FrameRing::ready_of(uint16_t event) const {
  return count([](const Frame& f, uint16_t e) { return f.status == Ready && f.info.event == e; }, event);
}

uint32_t FrameRing::ready() const {
  return count([](const Frame& f, uint16_t) { return f.status == Ready; }, 0);
}

size_t FrameRing::used_bytes() const {
  Guard guard(platform_);
  return size_t(blocks_ - free_blocks_) * kBlock;
}

}  // namespace magicpi
