#include "confirm.h"

#include <string.h>

namespace magicpi {

namespace {

/// Canonical Huffman decoding by code length; tables of T.81 annex C built on the fly.
struct Huffman {
  uint16_t first_code[17];
  uint16_t first_index[17];
  uint8_t count[17];
  const uint8_t* symbols = nullptr;
};

struct Component {
  uint8_t id = 0, h = 1, v = 1, dc = 0, ac = 0;
  uint8_t quant = 0;
};

class Decoder {
 public:
  Decoder(const uint8_t* p, size_t n) : p_(p), end_(p + n) {}
  bool run(LumaGrid* out);

 private:
  bool segment(uint8_t marker, const uint8_t* s, size_t n);
  bool start_of_scan(const uint8_t* s, size_t n);
  bool scan(LumaGrid* out);
  int bit();
  int symbol(const Huffman& h);
  bool block(const Component& c, int32_t* dc);

  const uint8_t* p_;
  const uint8_t* end_;
  Huffman dc_[2], ac_[2];
  uint16_t quant_dc_[4] = {0, 0, 0, 0};
  Component parts_[3];
  uint8_t components_ = 0;
  uint16_t width_ = 0, height_ = 0, restart_ = 0;
  uint32_t bits_ = 0;
  int left_ = 0;
};

int Decoder::bit() {
  if (left_ == 0) {
    if (p_ >= end_) return -1;
    const uint8_t b = *p_++;
    if (b == 0xff) {
      if (p_ >= end_ || *p_ != 0) {
        --p_;  // a marker: the scan is over
        return -1;
      }
      ++p_;
    }
    bits_ = b;
    left_ = 8;
  }
  --left_;
  return static_cast<int>(bits_ >> left_ & 1);
}

int Decoder::symbol(const Huffman& h) {
  uint32_t code = 0;
  for (int length = 1; length <= 16; ++length) {
    const int b = bit();
    if (b < 0) return -1;
    code = code << 1 | static_cast<uint32_t>(b);
    if (h.count[length] && code >= h.first_code[length] && code - h.first_code[length] < h.count[length]) {
      return h.symbols[h.first_index[length] + code - h.first_code[length]];
    }
  }
  return -1;
}

bool Decoder::block(const Component& c, int32_t* dc) {
  const int size = symbol(dc_[c.dc]);
  if (size < 0 || size > 11) return false;
  int32_t difference = 0;
  for (int i = 0; i < size; ++i) {
    const int b = bit();
    if (b < 0) return false;
    difference = difference << 1 | b;
  }
  if (size && difference < (1 << (size - 1))) difference -= (1 << size) - 1;
  *dc += difference;
  if (*dc < -32768 || *dc > 32767) return false;
  for (int k = 1; k < 64; ++k) {
    const int rs = symbol(ac_[c.ac]);
    if (rs < 0) return false;
    const int zeros = rs >> 4, extra = rs & 15;
    if (extra == 0) {
      if (zeros != 15) break;
      k += 15;
      continue;
    }
    k += zeros;
    for (int i = 0; i < extra; ++i) {
      if (bit() < 0) return false;
    }
  }
  return true;
}

bool Decoder::segment(uint8_t marker, const uint8_t* s, size_t n) {
  switch (marker) {
    case 0xdb:  // DQT: only the DC entry matters
      while (n >= 65) {
        const bool wide = s[0] >> 4;
        const size_t size = wide ? 129 : 65;
        if ((s[0] & 15) > 3 || n < size) return false;
        quant_dc_[s[0] & 3] = static_cast<uint16_t>(wide ? s[1] << 8 | s[2] : s[1]);
        s += size;
        n -= size;
      }
      return n == 0;
    case 0xc4:  // DHT
      while (n >= 17) {
        if ((s[0] & 15) > 1 || s[0] >> 4 > 1) return false;
        Huffman& h = s[0] >> 4 ? ac_[s[0] & 1] : dc_[s[0] & 1];
        uint32_t code = 0;
        size_t total = 0;
        for (int length = 1; length <= 16; ++length) {
          h.count[length] = s[length];
          h.first_code[length] = static_cast<uint16_t>(code);
          h.first_index[length] = static_cast<uint16_t>(total);
          code = (code + s[length]) << 1;
          total += s[length];
        }
        if (total > 256 || n < 17 + total) return false;
        h.symbols = s + 17;
        s += 17 + total;
        n -= 17 + total;
      }
      return n == 0;
    case 0xc0:  // SOF0
    case 0xc1:
      if (n < 6 || s[0] != 8 || (s[5] != 1 && s[5] != 3) || n < 6 + 3u * s[5]) return false;
      height_ = static_cast<uint16_t>(s[1] << 8 | s[2]);
      width_ = static_cast<uint16_t>(s[3] << 8 | s[4]);
      components_ = s[5];
      for (uint8_t i = 0; i < components_; ++i) {
        parts_[i].id = s[6 + 3 * i];
        parts_[i].h = s[7 + 3 * i] >> 4;
        parts_[i].v = s[7 + 3 * i] & 15;
        parts_[i].quant = s[8 + 3 * i] & 3;
        if (parts_[i].h < 1 || parts_[i].h > 4 || parts_[i].v < 1 || parts_[i].v > 4) return false;
      }
      return width_ && height_;
    case 0xdd:  // DRI
      if (n < 2) return false;
      restart_ = static_cast<uint16_t>(s[0] << 8 | s[1]);
      return true;
    default:
      // Progressive, lossless and arithmetic frames have no DC in one pass.
      return !(marker >= 0xc2 && marker <= 0xcf && marker != 0xc8 && marker != 0xcc) && marker != 0xcc;
  }
}

bool Decoder::start_of_scan(const uint8_t* s, size_t n) {
  if (components_ == 0 || n < 1 || s[0] != components_ || n < 1 + 2u * components_) return false;
  for (uint8_t i = 0; i < components_; ++i) {
    if (s[1 + 2 * i] != parts_[i].id) return false;
    parts_[i].dc = s[2 + 2 * i] >> 4;
    parts_[i].ac = s[2 + 2 * i] & 15;
    if (parts_[i].dc > 1 || parts_[i].ac > 1) return false;
    if (!dc_[parts_[i].dc].symbols || !ac_[parts_[i].ac].symbols) return false;
  }
  return true;
}

bool Decoder::scan(LumaGrid* out) {
  const Component& y = parts_[0];
  const int h_max = components_ == 1 ? 1 : y.h, v_max = components_ == 1 ? 1 : y.v;
  const int columns = (width_ + 8 * h_max - 1) / (8 * h_max);
  const int rows = (height_ + 8 * v_max - 1) / (8 * v_max);
  const int blocks_w = columns * h_max, blocks_h = rows * v_max;
  uint32_t sum[kGridW * kGridH] = {0};
  uint32_t number[kGridW * kGridH] = {0};
  int32_t dc[3] = {0, 0, 0};
  uint32_t until_restart = restart_;
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      if (restart_ && until_restart == 0) {
        left_ = 0;
        if (end_ - p_ < 2 || p_[0] != 0xff || (p_[1] & 0xf8) != 0xd0) return false;
        p_ += 2;
        dc[0] = dc[1] = dc[2] = 0;
        until_restart = restart_;
      }
      --until_restart;
      for (uint8_t i = 0; i < components_; ++i) {
        const int h = components_ == 1 ? 1 : parts_[i].h, v = components_ == 1 ? 1 : parts_[i].v;
        for (int b = 0; b < h * v; ++b) {
          if (!block(parts_[i], &dc[i])) return false;
          if (i != 0) continue;
          const int x = (column * h + b % h) * kGridW / blocks_w;
          const int row_cell = (row * v + b / h) * kGridH / blocks_h;
          // DC is eight times the block's mean, around 128.
          int32_t mean = 128 + dc[0] * quant_dc_[y.quant] / 8;
          if (mean < 0) mean = 0;
          if (mean > 255) mean = 255;
          const int cell = row_cell * kGridW + x;
          sum[cell] += static_cast<uint32_t>(mean);
          ++number[cell];
        }
      }
    }
  }
  for (int i = 0; i < kGridW * kGridH; ++i) out->cell[i] = static_cast<uint8_t>(number[i] ? sum[i] / number[i] : 0);
  return true;
}

bool Decoder::run(LumaGrid* out) {
  if (end_ - p_ < 4 || p_[0] != 0xff || p_[1] != 0xd8) return false;
  p_ += 2;
  for (;;) {
    if (end_ - p_ < 4 || p_[0] != 0xff) return false;
    if (p_[1] == 0xff) {
      ++p_;
      continue;
    }
    const uint8_t marker = p_[1];
    const size_t n = static_cast<size_t>(p_[2] << 8 | p_[3]);
    if (n < 2 || static_cast<size_t>(end_ - p_ - 2) < n) return false;
    const uint8_t* s = p_ + 4;
    p_ += 2 + n;
    if (marker == 0xda) return start_of_scan(s, n - 2) && scan(out);
    if (!segment(marker, s, n - 2)) return false;
  }
}

}  // namespace

bool luma_grid(const uint8_t* jpeg, size_t n, LumaGrid* out) { return Decoder(jpeg, n).run(out); }

MotionConfirm::Limits MotionConfirm::limits_for(uint8_t sensitivity) {
  Limits l;
  if (sensitivity < 1) sensitivity = 1;
  if (sensitivity > 10) sensitivity = 10;
  l.luma = static_cast<uint8_t>(24 - 2 * sensitivity);
  l.cells = static_cast<uint8_t>(sensitivity < 7 ? 9 - sensitivity : 2);
  return l;
}

void MotionConfirm::begin(const Limits& limits, const uint8_t* ignore, const uint8_t* scene) {
  limits_ = limits;
  seen_ = 0;
  have_first_ = false;
  verdict_ = Verdict::Undecided;
  if (ignore) memcpy(ignore_, ignore, sizeof ignore_);
  else memset(ignore_, 0, sizeof ignore_);
  have_scene_ = scene != nullptr;
  if (scene) memcpy(scene_.cell, scene, sizeof scene_.cell);
}

bool MotionConfirm::differs(const LumaGrid& now, const LumaGrid& before, int luma) const {
  // Exposure shifts the whole picture; movement shifts some cells against the rest.
  int32_t common = 0, watching = 0;
  for (int i = 0; i < kGridW * kGridH; ++i) {
    if (!watched(i)) continue;
    common += now.cell[i] - before.cell[i];
    ++watching;
  }
  if (watching == 0) return true;
  common /= watching;
  if (common > limits_.common || common < -limits_.common) return true;
  int changed = 0;
  for (int i = 0; i < kGridW * kGridH; ++i) {
    int32_t d = now.cell[i] - before.cell[i] - common;
    if (d < 0) d = -d;
    if (watched(i) && d > luma) ++changed;
  }
  return changed >= limits_.cells;
}

MotionConfirm::Verdict MotionConfirm::add(const uint8_t* jpeg, size_t n) {
  if (verdict_ != Verdict::Undecided) return verdict_;
  ++seen_;
  if (seen_ <= limits_.warm) return verdict_;
  if (!luma_grid(jpeg, n, &last_)) return verdict_ = Verdict::Motion;
  uint32_t mean = 0;
  for (int i = 0; i < kGridW * kGridH; ++i) mean += last_.cell[i];
  mean /= kGridW * kGridH;
  if (mean < limits_.dark || mean > limits_.glaring) return verdict_ = Verdict::Motion;
  if (have_scene_ && differs(last_, scene_, limits_.luma + limits_.scene_margin)) return verdict_ = Verdict::Motion;
  if (!have_first_) {
    have_first_ = true;
    first_ = last_;
    return verdict_;
  }
  if (differs(last_, first_, limits_.luma)) return verdict_ = Verdict::Motion;
  if (seen_ >= limits_.warm + limits_.frames) verdict_ = Verdict::Nothing;
  return verdict_;
}

}  // namespace magicpi
