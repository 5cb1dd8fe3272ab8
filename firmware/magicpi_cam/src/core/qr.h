// A QR code (ISO/IEC 18004) of one size: version 6, error correction L, byte mode, mask 0. Enough for the link that claims.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace magicpi {

class QrCode {
 public:
  static constexpr int kSize = 41;          ///< modules a side, without the quiet zone of 4
  static constexpr size_t kMaxText = 134;   ///< bytes

  /// False if the text is too long.
  bool encode(const char* text);
  bool dark(int x, int y) const { return modules_[index(x, y) / 8] >> (index(x, y) % 8) & 1; }

 private:
  static size_t index(int x, int y) { return static_cast<size_t>(y) * kSize + static_cast<size_t>(x); }
  void set(int x, int y, bool dark);
  void finder(int x, int y);
  static bool reserved(int x, int y);
  void functions();
  uint8_t modules_[(kSize * kSize + 7) / 8];
};

/// The link of the setup page: opens the dialog that adds a camera, and carries id and setup code where no server sees them.
/// 128 bytes are enough; false if it does not fit.
bool setup_link(const char* id, const char* code, char* out, size_t cap);

}  // namespace magicpi
