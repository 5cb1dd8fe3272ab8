#include "console.h"

#include <string.h>

namespace magicpi {

bool ConsoleQueue::put(const uint8_t* data, size_t n) {
  if (n > kBytes - used_) {
    ++dropped_;
    return false;
  }
  const size_t at = (head_ + used_) % kBytes;
  const size_t first = n < kBytes - at ? n : kBytes - at;
  memcpy(bytes_ + at, data, first);
  memcpy(bytes_, data + first, n - first);
  used_ += n;
  return true;
}

bool ConsoleQueue::put(const char* text) { return put(reinterpret_cast<const uint8_t*>(text), strlen(text)); }

size_t ConsoleQueue::pump(ConsolePort& port) {
  size_t moved = 0;
  while (used_) {
    size_t n = port.room();
    if (n > used_) n = used_;
    if (n > kBytes - head_) n = kBytes - head_;
    if (n == 0) break;
    port.write(bytes_ + head_, n);
    head_ = (head_ + n) % kBytes;
    used_ -= n;
    moved += n;
  }
  return moved;
}

}  // namespace magicpi
