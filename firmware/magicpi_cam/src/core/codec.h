// Byte-level helpers: big-endian integers, base64, hex, CRC-32, bounded strings, and blobs with a checksum.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace magicpi {

inline void put_be16(uint8_t* p, uint16_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
inline void put_be32(uint8_t* p, uint32_t v) {
  put_be16(p, static_cast<uint16_t>(v >> 16));
  put_be16(p + 2, static_cast<uint16_t>(v));
}
inline void put_be64(uint8_t* p, uint64_t v) {
  put_be32(p, static_cast<uint32_t>(v >> 32));
  put_be32(p + 4, static_cast<uint32_t>(v));
}
inline uint16_t get_be16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline uint32_t get_be32(const uint8_t* p) { return static_cast<uint32_t>(get_be16(p)) << 16 | get_be16(p + 2); }
inline uint64_t get_be64(const uint8_t* p) { return static_cast<uint64_t>(get_be32(p)) << 32 | get_be32(p + 4); }

/// zlib's crc32; pass the previous result to go on.
uint32_t crc32(const uint8_t* data, size_t n, uint32_t crc = 0);

/// Standard alphabet with padding (for Sec-WebSocket-Key). Characters without NUL; 0 if `cap` is too small.
size_t base64_encode(const uint8_t* data, size_t n, char* out, size_t cap);
/// base64url without padding.
size_t base64url_encode(const uint8_t* data, size_t n, char* out, size_t cap);
/// Either alphabet, padding optional; false on anything else or if it does not fit. out may be the text itself.
bool base64_decode(const char* text, size_t n, uint8_t* out, size_t cap, size_t* length);
/// Lower case, with NUL: `out` has 2 n + 1 bytes.
void hex_encode(const uint8_t* data, size_t n, char* out);
/// Exactly n bytes from 2 n digits.
bool hex_decode(const char* text, uint8_t* out, size_t n);

/// Copies with terminating NUL; false (and an empty string) if it does not fit.
bool copy_string(char* out, size_t cap, const char* text);
/// Compares without telling by time where they differ.
bool equal_constant_time(const uint8_t* a, const uint8_t* b, size_t n);

/// "1.10.2" against "1.9": < 0, 0, > 0 by numeric fields; a suffix after '-' or '+' is less than none.
int compare_versions(const char* a, const char* b);

/// Little blobs for NVS: version byte first, CRC-32 last.
class BlobWriter {
 public:
  BlobWriter(uint8_t* out, size_t cap, uint8_t version) : out_(out), cap_(cap) { u8(version); }
  void bytes(const void* p, size_t n) {
    if (n > cap_ - n_) {
      overflow_ = true;
      return;
    }
    memcpy(out_ + n_, p, n);
    n_ += n;
  }
  void u8(uint8_t v) { bytes(&v, 1); }
  void u16(uint16_t v) {
    uint8_t b[2];
    put_be16(b, v);
    bytes(b, 2);
  }
  void u32(uint32_t v) {
    uint8_t b[4];
    put_be32(b, v);
    bytes(b, 4);
  }
  /// At most 255 bytes.
  void string(const char* s) {
    const size_t n = strlen(s);
    if (n > 255) overflow_ = true;
    u8(static_cast<uint8_t>(n));
    bytes(s, n & 255);
  }
  /// Appends the CRC; whole length, 0 if it did not fit.
  size_t finish() {
    u32(crc32(out_, n_));
    return overflow_ ? 0 : n_;
  }

 private:
  uint8_t* out_;
  size_t cap_;
  size_t n_ = 0;
  bool overflow_ = false;
};

class BlobReader {
 public:
  /// ok() is false from the start if CRC or version differ.
  BlobReader(const uint8_t* data, size_t n, uint8_t version);
  bool ok() const { return ok_; }
  /// Everything was read and nothing too much.
  bool done() const { return ok_ && left_ == 0; }
  void bytes(void* out, size_t n) {
    if (!ok_ || n > left_) {
      ok_ = false;
      memset(out, 0, n);
      return;
    }
    memcpy(out, data_, n);
    data_ += n;
    left_ -= n;
  }
  uint8_t u8() {
    uint8_t v = 0;
    bytes(&v, 1);
    return v;
  }
  uint16_t u16() {
    uint8_t b[2];
    bytes(b, 2);
    return get_be16(b);
  }
  uint32_t u32() {
    uint8_t b[4];
    bytes(b, 4);
    return get_be32(b);
  }
  void string(char* out, size_t cap) {
    const size_t n = u8();
    if (n >= cap) ok_ = false;
    out[0] = 0;
    if (!ok_) return;
    bytes(out, n);
    out[ok_ ? n : 0] = 0;
  }

 private:
  const uint8_t* data_;
  size_t left_;
  bool ok_;
};

}  // namespace magicpi
