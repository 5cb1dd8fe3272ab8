// Does the picture agree with the PIR? Two cheap signs: the JPEG's size and the coarse luma of its 8x8 blocks.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace magicpi {

/// Mean luma (0..255) of a kGridW x kGridH grid, from the DC coefficients of a baseline JPEG without decoding pixels.
constexpr int kGridW = 16, kGridH = 12;
struct LumaGrid {
  uint8_t cell[kGridW * kGridH];
};
/// False if the JPEG is not baseline, 8-bit, with interleaved YCbCr or gray, or is damaged.
bool luma_grid(const uint8_t* jpeg, size_t n, LumaGrid* out);

/// Frame by frame: does something move? The first `warm` frames are ignored (exposure still changes).
class MotionConfirm {
 public:
  enum class Verdict : uint8_t { Undecided, Motion, Nothing };
  struct Limits {
    uint8_t warm = 3;
    uint8_t frames = 12;           ///< undecided frames after which the verdict is Nothing
    uint8_t luma = 14;             ///< a cell has changed if its luma, less the common change, differs by more
    uint8_t cells = 4;             ///< changed cells that make motion
    uint8_t size_percent = 8;      ///< change of JPEG size that makes motion
  };

  MotionConfirm() = default;
  explicit MotionConfirm(const Limits& limits) : limits_(limits) {}
  void reset() { seen_ = 0; verdict_ = Verdict::Undecided; have_grid_ = false; }
  Verdict add(const uint8_t* jpeg, size_t n);
  Verdict verdict() const { return verdict_; }

 private:
  Limits limits_;
  LumaGrid first_;
  size_t first_size_ = 0;
  uint8_t seen_ = 0;
  bool have_grid_ = false;
  Verdict verdict_ = Verdict::Undecided;
};

}  // namespace magicpi
