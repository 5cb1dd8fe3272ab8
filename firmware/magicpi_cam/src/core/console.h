// Text and packets for the serial console: bounded, and never waiting for who should read them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace magicpi {

/// A serial port that says how much it takes at once.
class ConsolePort {
 public:
  /// Bytes that write() takes without waiting; 0 while nobody reads.
  virtual size_t room() = 0;
  /// At most room() bytes.
  virtual void write(const uint8_t* data, size_t n) = 0;

 protected:
  ~ConsolePort() = default;
};

/// Output between two turns of the loop. What does not fit is dropped whole: half a packet is worse than none.
class ConsoleQueue {
 public:
  static constexpr size_t kBytes = 4096;   ///< a QR code of half blocks is the longest

  /// All of it or nothing; false if it was dropped.
  bool put(const uint8_t* data, size_t n);
  bool put(const char* text);
  /// Hands over what the port takes now; bytes handed over.
  size_t pump(ConsolePort& port);
  bool empty() const { return used_ == 0; }
  uint32_t dropped() const { return dropped_; }   ///< pieces since the start

 private:
  uint8_t bytes_[kBytes];
  size_t head_ = 0, used_ = 0;
  uint32_t dropped_ = 0;
};

}  // namespace magicpi
