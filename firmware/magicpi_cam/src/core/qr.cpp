#include "qr.h"

#include <string.h>

#include <initializer_list>

namespace magicpi {

namespace {

constexpr size_t kData = 136, kBlocks = 2, kBlockData = kData / kBlocks, kCheck = 18;
constexpr int kAlignment = 34;             // center of the one alignment pattern
// Level L (01) and mask 0 with their BCH check bits, masked as the standard says.
constexpr uint16_t kFormat = 0x77c4;

uint8_t multiply(uint8_t a, uint8_t b) {
  uint8_t product = 0;
  for (; b; b >>= 1) {
    if (b & 1) product = static_cast<uint8_t>(product ^ a);
    a = static_cast<uint8_t>(a << 1 ^ (a & 0x80 ? 0x1d : 0));
  }
  return product;
}

/// Reed-Solomon remainder of one block over GF(256), polynomial 0x11d.
void check_words(const uint8_t* data, uint8_t out[kCheck]) {
  // Product of (x - 2^i), highest coefficient left out.
  uint8_t generator[kCheck] = {0};
  generator[kCheck - 1] = 1;
  uint8_t root = 1;
  for (size_t i = 0; i < kCheck; ++i) {
    for (size_t k = 0; k < kCheck; ++k) {
      generator[k] = multiply(generator[k], root);
      if (k + 1 < kCheck) generator[k] = static_cast<uint8_t>(generator[k] ^ generator[k + 1]);
    }
    root = multiply(root, 2);
  }
  memset(out, 0, kCheck);
  for (size_t i = 0; i < kBlockData; ++i) {
    const uint8_t factor = static_cast<uint8_t>(data[i] ^ out[0]);
    memmove(out, out + 1, kCheck - 1);
    out[kCheck - 1] = 0;
    for (size_t k = 0; k < kCheck; ++k) out[k] = static_cast<uint8_t>(out[k] ^ multiply(generator[k], factor));
  }
}

}  // namespace

void QrCode::set(int x, int y, bool dark) {
  const uint8_t bit = static_cast<uint8_t>(1u << (index(x, y) % 8));
  uint8_t& byte = modules_[index(x, y) / 8];
  byte = static_cast<uint8_t>(dark ? byte | bit : byte & ~bit);
}

/// Everything that carries no data: finders with their separators and the format beside them, timing, alignment.
bool QrCode::reserved(int x, int y) {
  if (x == 6 || y == 6) return true;
  if ((x < 9 && y < 9) || (x < 9 && y >= kSize - 8) || (x >= kSize - 8 && y < 9)) return true;
  return x >= kAlignment - 2 && x <= kAlignment + 2 && y >= kAlignment - 2 && y <= kAlignment + 2;
}

void QrCode::finder(int left, int top) {
  for (int y = 0; y < 7; ++y) {
    for (int x = 0; x < 7; ++x) {
      const bool edge = x == 0 || x == 6 || y == 0 || y == 6;
      set(left + x, top + y, edge || (x >= 2 && x <= 4 && y >= 2 && y <= 4));
    }
  }
}

void QrCode::functions() {
  for (int i = 8; i < kSize - 8; ++i) {
    set(i, 6, i % 2 == 0);
    set(6, i, i % 2 == 0);
  }
  finder(0, 0);
  finder(kSize - 7, 0);
  finder(0, kSize - 7);
  for (int y = -2; y <= 2; ++y) {
    for (int x = -2; x <= 2; ++x) {
      const bool ring = x == -2 || x == 2 || y == -2 || y == 2;
      set(kAlignment + x, kAlignment + y, ring || (x == 0 && y == 0));
    }
  }
  // The format twice, highest bit first: around the first finder, and split between the other two.
  for (int i = 0; i < 15; ++i) {
    const bool bit = kFormat >> (14 - i) & 1;
    if (i < 6) set(i, 8, bit);
    else if (i < 8) set(i + 1, 8, bit);
    else if (i == 8) set(8, 7, bit);
    else set(8, 14 - i, bit);
    if (i < 7) set(8, kSize - 1 - i, bit);
    else set(kSize - 15 + i, 8, bit);
  }
  set(8, kSize - 8, true);
}

bool QrCode::encode(const char* text) {
  const size_t n = strlen(text);
  memset(modules_, 0, sizeof modules_);
  if (n > kMaxText) return false;
  // Mode 4 and the length are twelve bits: everything behind them is shifted by half a byte.
  uint8_t words[kData + kBlocks * kCheck];
  uint8_t data[kData] = {0};
  data[0] = static_cast<uint8_t>(0x40 | n >> 4);
  data[1] = static_cast<uint8_t>(n << 4);
  for (size_t i = 0; i < n; ++i) {
    const uint8_t c = static_cast<uint8_t>(text[i]);
    data[i + 1] = static_cast<uint8_t>(data[i + 1] | c >> 4);
    data[i + 2] = static_cast<uint8_t>(c << 4);
  }
  for (size_t i = n + 2; i < kData; ++i) data[i] = (i - n) % 2 ? 0x11 : 0xec;
  uint8_t check[kBlocks][kCheck];
  for (size_t b = 0; b < kBlocks; ++b) check_words(data + b * kBlockData, check[b]);
  size_t k = 0;
  for (size_t i = 0; i < kBlockData; ++i) {
    for (size_t b = 0; b < kBlocks; ++b) words[k++] = data[b * kBlockData + i];
  }
  for (size_t i = 0; i < kCheck; ++i) {
    for (size_t b = 0; b < kBlocks; ++b) words[k++] = check[b][i];
  }
  functions();
  // Two columns at a time from the right, up and down in turn, around the timing column.
  size_t bit = 0;
  for (int right = kSize - 1, up = 1; right > 0; right -= 2, up = !up) {
    if (right == 6) --right;
    for (int step = 0; step < kSize; ++step) {
      const int y = up ? kSize - 1 - step : step;
      for (int x = right; x > right - 2; --x) {
        if (reserved(x, y)) continue;
        const bool value = bit < 8 * sizeof words && (words[bit / 8] >> (7 - bit % 8) & 1);
        ++bit;
        set(x, y, value != ((x + y) % 2 == 0));
      }
    }
  }
  return true;
}

bool setup_link(const char* id, const char* code, char* out, size_t cap) {
  static const char kLink[] = "https://my.home-assistant.io/redirect/config_flow_start/?domain=magicpi_nvr#";
  size_t n = 0;
  for (const char* part : {kLink, id, "/", code}) {
    const size_t length = strlen(part);
    if (n + length + 1 > cap) return false;
    memcpy(out + n, part, length);
    n += length;
  }
  out[n] = 0;
  return true;
}

}  // namespace magicpi
