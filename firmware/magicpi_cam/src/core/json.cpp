#include "json.h"

#include <string.h>

namespace magicpi {
namespace json {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Length of the well-formed UTF-8 sequence at p, 0 if there is none (RFC 3629: no surrogates, no overlong forms).
size_t utf8_length(const char* p, const char* end) {
  auto at = [&](size_t i) -> uint8_t { return p + i < end ? static_cast<uint8_t>(p[i]) : 0; };
  auto tail = [&](size_t i) { return (at(i) & 0xc0) == 0x80; };
  const uint8_t c = at(0);
  if (c < 0x80) return 1;
  if (c >= 0xc2 && c <= 0xdf) return tail(1) ? 2 : 0;
  if (c >= 0xe0 && c <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    if (c == 0xe0 && at(1) < 0xa0) return 0;
    if (c == 0xed && at(1) > 0x9f) return 0;
    return 3;
  }
  if (c >= 0xf0 && c <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (c == 0xf0 && at(1) < 0x90) return 0;
    if (c == 0xf4 && at(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

/// Cursor over a text; checks while it skips.
struct Scanner {
  const char* p;
  const char* end;

  void space() {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) ++p;
  }
  bool eat(char c) {
    if (p < end && *p == c) {
      ++p;
      return true;
    }
    return false;
  }
  bool word(const char* w) {
    const size_t n = strlen(w);
    if (static_cast<size_t>(end - p) < n || memcmp(p, w, n) != 0) return false;
    p += n;
    return true;
  }
  bool hex4(uint32_t* out) {
    if (end - p < 4) return false;
    uint32_t v = 0;
    for (int i = 0; i < 4; ++i) {
      const int d = hex_digit(p[i]);
      if (d < 0) return false;
      v = v << 4 | static_cast<uint32_t>(d);
    }
    p += 4;
    *out = v;
    return true;
  }
  /// One character of a string's inside as a code point; false at the closing quote or on error (*bad).
  bool character(uint32_t* code, bool* bad) {
    *bad = true;
    if (p >= end) return false;
    if (*p == '"') {
      *bad = false;
      return false;
    }
    const uint8_t c = static_cast<uint8_t>(*p);
    if (c < 0x20) return false;
    if (c != '\\') {
      const size_t n = utf8_length(p, end);
      if (n == 0) return false;
      uint32_t v = n == 1 ? c : c & (0xffu >> (n + 1));
      for (size_t i = 1; i < n; ++i) v = v << 6 | (static_cast<uint8_t>(p[i]) & 0x3fu);
      p += n;
      *code = v;
      *bad = false;
      return true;
    }
    if (++p >= end) return false;
    const char e = *p++;
    switch (e) {
      case '"': case '\\': case '/': *code = static_cast<uint8_t>(e); break;
      case 'b': *code = '\b'; break;
      case 'f': *code = '\f'; break;
      case 'n': *code = '\n'; break;
      case 'r': *code = '\r'; break;
      case 't': *code = '\t'; break;
      case 'u': {
        uint32_t v = 0;
        if (!hex4(&v)) return false;
        if (v >= 0xdc00 && v <= 0xdfff) return false;
        if (v >= 0xd800 && v <= 0xdbff) {
          uint32_t low = 0;
          if (!eat('\\') || !eat('u') || !hex4(&low) || low < 0xdc00 || low > 0xdfff) return false;
          v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
        }
        *code = v;
        break;
      }
      default: return false;
    }
    *bad = false;
    return true;
  }
  bool string() {
    if (!eat('"')) return false;
    uint32_t code = 0;
    bool bad = false;
    while (character(&code, &bad)) {
    }
    return !bad && eat('"');
  }
  bool number() {
    eat('-');
    if (p >= end || !is_digit(*p)) return false;
    if (*p == '0') ++p;
    else while (p < end && is_digit(*p)) ++p;
    if (eat('.')) {
      if (p >= end || !is_digit(*p)) return false;
      while (p < end && is_digit(*p)) ++p;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
      ++p;
      if (p < end && (*p == '+' || *p == '-')) ++p;
      if (p >= end || !is_digit(*p)) return false;
      while (p < end && is_digit(*p)) ++p;
    }
    return true;
  }
  Value value(int depth) {
    space();
    const char* from = p;
    if (p >= end || depth > kMaxDepth) return Value();
    Kind kind = Kind::Invalid;
    switch (*p) {
      case '{':
        ++p;
        space();
        if (!eat('}')) {
          do {
            space();
            if (!string()) return Value();
            space();
            if (!eat(':') || !value(depth + 1)) return Value();
            space();
          } while (eat(','));
          if (!eat('}')) return Value();
        }
        kind = Kind::Object;
        break;
      case '[':
        ++p;
        space();
        if (!eat(']')) {
          do {
            if (!value(depth + 1)) return Value();
            space();
          } while (eat(','));
          if (!eat(']')) return Value();
        }
        kind = Kind::Array;
        break;
      case '"':
        if (!string()) return Value();
        kind = Kind::String;
        break;
      case 't': if (word("true")) kind = Kind::True; break;
      case 'f': if (word("false")) kind = Kind::False; break;
      case 'n': if (word("null")) kind = Kind::Null; break;
      default:
        if (number()) kind = Kind::Number;
    }
    return Value(kind, from, p);
  }
};

Value parse(const char* text, size_t n) {
  Scanner s{text, text + n};
  const Value v = s.value(1);
  s.space();
  return s.p == s.end ? v : Value();
}

Value Value::get(const char* key) const {
  if (kind_ != Kind::Object) return Value();
  Scanner s{begin_ + 1, end_};
  s.space();
  while (s.p < s.end && *s.p == '"') {
    const char* from = s.p;
    s.string();
    const Value name(Kind::String, from, s.p);
    s.space();
    s.eat(':');
    const Value v = s.value(1);
    if (name.equals(key)) return v;
    s.space();
    s.eat(',');
    s.space();
  }
  return Value();
}

Value Value::at(size_t index) const {
  if (kind_ != Kind::Array) return Value();
  Scanner s{begin_ + 1, end_};
  s.space();
  for (size_t i = 0; s.p < s.end && *s.p != ']'; ++i) {
    const Value v = s.value(1);
    if (i == index) return v;
    s.space();
    s.eat(',');
    s.space();
  }
  return Value();
}

bool Value::to_u64(uint64_t* out) const {
  if (kind_ != Kind::Number) return false;
  uint64_t v = 0;
  for (const char* p = begin_; p < end_; ++p) {
    if (!is_digit(*p)) return false;
    const uint64_t d = static_cast<uint64_t>(*p - '0');
    if (v > (UINT64_MAX - d) / 10) return false;
    v = v * 10 + d;
  }
  *out = v;
  return true;
}

bool Value::to_u32(uint32_t* out) const {
  uint64_t v = 0;
  if (!to_u64(&v) || v > UINT32_MAX) return false;
  *out = static_cast<uint32_t>(v);
  return true;
}

bool Value::to_i32(int32_t* out) const {
  if (kind_ != Kind::Number) return false;
  const bool negative = *begin_ == '-';
  const Value magnitude(Kind::Number, begin_ + (negative ? 1 : 0), end_);
  uint64_t v = 0;
  if (!magnitude.to_u64(&v) || v > static_cast<uint64_t>(INT32_MAX)) return false;
  *out = negative ? -static_cast<int32_t>(v) : static_cast<int32_t>(v);
  return true;
}

bool Value::to_bool(bool* out) const {
  if (kind_ != Kind::True && kind_ != Kind::False) return false;
  *out = kind_ == Kind::True;
  return true;
}

bool Value::to_string(char* out, size_t cap, size_t* length) const {
  if (kind_ != Kind::String || cap == 0) return false;
  Scanner s{begin_ + 1, end_};
  size_t n = 0;
  uint32_t c = 0;
  bool bad = false;
  while (s.character(&c, &bad)) {
    char bytes[4];
    size_t k = 0;
    if (c == 0) return false;
    if (c < 0x80) {
      bytes[k++] = static_cast<char>(c);
    } else if (c < 0x800) {
      bytes[k++] = static_cast<char>(0xc0 | (c >> 6));
      bytes[k++] = static_cast<char>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
      bytes[k++] = static_cast<char>(0xe0 | (c >> 12));
      bytes[k++] = static_cast<char>(0x80 | (c >> 6 & 0x3f));
      bytes[k++] = static_cast<char>(0x80 | (c & 0x3f));
    } else {
      bytes[k++] = static_cast<char>(0xf0 | (c >> 18));
      bytes[k++] = static_cast<char>(0x80 | (c >> 12 & 0x3f));
      bytes[k++] = static_cast<char>(0x80 | (c >> 6 & 0x3f));
      bytes[k++] = static_cast<char>(0x80 | (c & 0x3f));
    }
    if (n + k >= cap) return false;
    memcpy(out + n, bytes, k);
    n += k;
  }
  out[n] = 0;
  if (length) *length = n;
  return true;
}

bool Value::to_string_in_place(char** out, size_t* length) {
  if (kind_ != Kind::String) return false;
  // Unescaped text is never longer than its source, and there are two quotes to spare for the NUL.
  *out = const_cast<char*>(begin_);
  return to_string(*out, static_cast<size_t>(end_ - begin_), length);
}

bool Value::copy_raw(char* out, size_t cap) const {
  if (kind_ == Kind::Invalid) return false;
  const size_t n = static_cast<size_t>(end_ - begin_);
  if (n >= cap) return false;
  memcpy(out, begin_, n);
  out[n] = 0;
  return true;
}

bool Value::equals(const char* text) const {
  if (kind_ != Kind::String) return false;
  Scanner s{begin_ + 1, end_};
  Scanner t{text, text + strlen(text)};
  uint32_t c = 0;
  bool bad = false;
  while (s.character(&c, &bad)) {
    // Keys and slugs that the core asks for are plain ASCII.
    if (t.p >= t.end || c != static_cast<uint8_t>(*t.p)) return false;
    ++t.p;
  }
  return t.p == t.end;
}

void Writer::put(char c) {
  if (n_ + 1 < cap_) out_[n_++] = c;
  else overflow_ = true;
}

void Writer::raw(const char* s) {
  while (*s) put(*s++);
}

void Writer::quoted(const char* s) {
  static const char kHex[] = "0123456789abcdef";
  const char* end = s + strlen(s);
  put('"');
  while (s < end) {
    const uint8_t c = static_cast<uint8_t>(*s);
    if (c == '"' || c == '\\') {
      put('\\');
      put(*s++);
    } else if (c < 0x20) {
      raw("\\u00");
      put(kHex[c >> 4]);
      put(kHex[c & 15]);
      ++s;
    } else {
      const size_t n = utf8_length(s, end);
      // A byte that is no UTF-8 would make the whole text frame invalid.
      if (n == 0) {
        put('?');
        ++s;
      }
      for (size_t i = 0; i < n; ++i) put(*s++);
    }
  }
  put('"');
}

void Writer::key(const char* k) {
  if (comma_) put(',');
  comma_ = true;
  quoted(k);
  put(':');
}

Writer& Writer::begin() {
  put('{');
  comma_ = false;
  return *this;
}

Writer& Writer::end() {
  put('}');
  comma_ = true;
  return *this;
}

Writer& Writer::begin(const char* k) {
  key(k);
  return begin();
}

Writer& Writer::begin_array(const char* k) {
  key(k);
  put('[');
  comma_ = false;
  return *this;
}

Writer& Writer::end_array() {
  put(']');
  comma_ = true;
  return *this;
}

Writer& Writer::str(const char* k, const char* value) {
  key(k);
  quoted(value);
  return *this;
}

Writer& Writer::num(const char* k, int64_t value) {
  key(k);
  char digits[20];
  size_t n = 0;
  uint64_t v = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  do {
    digits[n++] = static_cast<char>('0' + v % 10);
    v /= 10;
  } while (v);
  if (value < 0) put('-');
  while (n) put(digits[--n]);
  return *this;
}

Writer& Writer::boolean(const char* k, bool value) {
  key(k);
  raw(value ? "true" : "false");
  return *this;
}

Writer& Writer::null(const char* k) {
  key(k);
  raw("null");
  return *this;
}

Writer& Writer::element(const char* value) {
  if (comma_) put(',');
  comma_ = true;
  quoted(value);
  return *this;
}

size_t Writer::finish() {
  if (cap_ == 0) return 0;
  out_[n_] = 0;
  return overflow_ ? 0 : n_;
}

}  // namespace json
}  // namespace magicpi
