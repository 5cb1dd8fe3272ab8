#include "codec.h"

namespace magicpi {

namespace {

// Sixteen entries (one nibble) instead of 256: 1 KB of flash less, and PSRAM is slower than the table either way.
const uint32_t kCrcNibble[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};

const char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

char base64_char(uint32_t v, const char* last_two) { return v < 62 ? kBase64[v] : last_two[v - 62]; }

size_t encode64(const uint8_t* data, size_t n, char* out, size_t cap, const char* last_two, bool pad) {
  const size_t whole = (n + 2) / 3 * 4;
  const size_t need = pad ? whole : (n * 4 + 2) / 3;
  if (need + 1 > cap) {
    if (cap) out[0] = 0;
    return 0;
  }
  size_t k = 0;
  for (size_t i = 0; i < n; i += 3) {
    const size_t rest = n - i;
    const uint32_t v = static_cast<uint32_t>(data[i]) << 16 | static_cast<uint32_t>(rest > 1 ? data[i + 1] : 0) << 8 |
                       (rest > 2 ? data[i + 2] : 0u);
    out[k++] = base64_char(v >> 18, last_two);
    out[k++] = base64_char(v >> 12 & 63, last_two);
    if (rest > 1) out[k++] = base64_char(v >> 6 & 63, last_two);
    else if (pad) out[k++] = '=';
    if (rest > 2) out[k++] = base64_char(v & 63, last_two);
    else if (pad) out[k++] = '=';
  }
  out[k] = 0;
  return k;
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

uint32_t crc32(const uint8_t* data, size_t n, uint32_t crc) {
  crc = ~crc;
  for (size_t i = 0; i < n; ++i) {
    crc = kCrcNibble[(crc ^ data[i]) & 15] ^ (crc >> 4);
    crc = kCrcNibble[(crc ^ (data[i] >> 4)) & 15] ^ (crc >> 4);
  }
  return ~crc;
}

size_t base64_encode(const uint8_t* data, size_t n, char* out, size_t cap) {
  return encode64(data, n, out, cap, "+/", true);
}

size_t base64url_encode(const uint8_t* data, size_t n, char* out, size_t cap) {
  return encode64(data, n, out, cap, "-_", false);
}

bool base64_decode(const char* text, size_t n, uint8_t* out, size_t cap, size_t* length) {
  size_t digits = n;
  while (digits && text[digits - 1] == '=') --digits;
  const size_t padding = n - digits;
  if (padding > 2 || (padding && n % 4) || digits % 4 == 1) return false;
  const size_t bytes = digits * 3 / 4;
  if (bytes > cap) return false;
  uint32_t bits = 0;
  unsigned count = 0;
  size_t k = 0;
  for (size_t i = 0; i < digits; ++i) {
    const int v = base64_value(text[i]);
    if (v < 0) return false;
    bits = (bits << 6 | static_cast<uint32_t>(v)) & 0xffffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out[k++] = static_cast<uint8_t>(bits >> count);
    }
  }
  // Left-over bits must be zero, so that one value has one spelling.
  if (bits & ((1u << count) - 1)) return false;
  *length = k;
  return true;
}

void hex_encode(const uint8_t* data, size_t n, char* out) {
  static const char kHex[] = "0123456789abcdef";
  for (size_t i = 0; i < n; ++i) {
    out[2 * i] = kHex[data[i] >> 4];
    out[2 * i + 1] = kHex[data[i] & 15];
  }
  out[2 * n] = 0;
}

bool hex_decode(const char* text, uint8_t* out, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const int hi = hex_value(text[2 * i]);
    if (hi < 0) return false;
    const int lo = hex_value(text[2 * i + 1]);
    if (lo < 0) return false;
    out[i] = static_cast<uint8_t>(hi << 4 | lo);
  }
  return true;
}

bool copy_string(char* out, size_t cap, const char* text) {
  const size_t n = strlen(text);
  if (n >= cap) {
    if (cap) out[0] = 0;
    return false;
  }
  memcpy(out, text, n + 1);
  return true;
}

bool equal_constant_time(const uint8_t* a, const uint8_t* b, size_t n) {
  uint8_t difference = 0;
  for (size_t i = 0; i < n; ++i) difference = static_cast<uint8_t>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

int compare_versions(const char* a, const char* b) {
  for (;;) {
    uint32_t x = 0, y = 0;
    while (*a >= '0' && *a <= '9') x = x * 10 + static_cast<uint32_t>(*a++ - '0');
    while (*b >= '0' && *b <= '9') y = y * 10 + static_cast<uint32_t>(*b++ - '0');
    if (x != y) return x < y ? -1 : 1;
    const bool more_a = *a == '.', more_b = *b == '.';
    if (more_a || more_b) {
      if (more_a) ++a;
      else if (*a) return -1;
      if (more_b) ++b;
      else if (*b) return 1;
      continue;
    }
    // 1.2.0-beta comes before 1.2.0; two suffixes differ only by their text.
    if (*a == 0 && *b == 0) return 0;
    if (*a == 0) return 1;
    if (*b == 0) return -1;
    const int order = strcmp(a, b);
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
}

BlobReader::BlobReader(const uint8_t* data, size_t n, uint8_t version) : data_(data), left_(0), ok_(false) {
  if (n < 5 || data[0] != version || get_be32(data + n - 4) != crc32(data, n - 4)) return;
  ok_ = true;
  data_ = data + 1;
  left_ = n - 5;
}

}  // namespace magicpi
