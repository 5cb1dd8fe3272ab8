// Does the picture agree with the PIR? A cheap sign: the coarse luma of its 8x8 blocks.
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

/// Frame by frame: does something move? The first `warm` frames are ignored (exposure still changes). Compared are the first
/// picture after them, and where it is known the scene as it is when nothing moves, without people who stand still.
/// Nothing is said only when the pictures can tell: an unreadable, a dark or a glaring picture, and a light that was switched
/// on, count as motion.
class MotionConfirm {
 public:
  enum class Verdict : uint8_t { Undecided, Motion, Nothing };
  struct Limits {
    uint8_t warm = 3;
    uint8_t frames = 12;           ///< undecided frames after which the verdict is Nothing
    uint8_t luma = 14;             ///< a cell has changed if its luma, less the common change, differs by more
    uint8_t cells = 4;             ///< changed cells that make motion
    uint8_t scene_margin = 8;      ///< the scene is older: it must differ by so much more
    uint8_t common = 40;           ///< a change of the whole picture by more is no exposure's
    uint8_t dark = 40, glaring = 235;      ///< mean luma beyond which a cheap sensor shows no differences
  };
  /// `sensitivity` 1..10, 5 as above.
  static Limits limits_for(uint8_t sensitivity);

  MotionConfirm() = default;
  explicit MotionConfirm(const Limits& limits) : limits_(limits) {}
  /// Starts over. `ignore`: kGridW x kGridH bits, or nullptr; `scene` may be nullptr. Both are copied.
  void begin(const Limits& limits, const uint8_t* ignore, const uint8_t* scene);
  void reset() { begin(limits_, nullptr, nullptr); }
  Verdict add(const uint8_t* jpeg, size_t n);
  Verdict verdict() const { return verdict_; }
  /// Keeps the grid of a picture as last(), without a verdict; false if it cannot be read.
  bool look(const uint8_t* jpeg, size_t n) { return luma_grid(jpeg, n, &last_); }
  /// The last picture that was compared.
  const LumaGrid& last() const { return last_; }

 private:
  bool watched(int cell) const { return !(ignore_[cell / 8] >> (7 - cell % 8) & 1); }
  bool differs(const LumaGrid& now, const LumaGrid& before, int luma) const;
  Limits limits_;
  LumaGrid first_, last_, scene_;
  uint8_t ignore_[kGridW * kGridH / 8] = {0};
  uint8_t seen_ = 0;
  bool have_first_ = false, have_scene_ = false;
  Verdict verdict_ = Verdict::Undecided;
};

}  // namespace magicpi
