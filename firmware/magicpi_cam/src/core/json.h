// Bounded JSON without heap. Own code instead of cJSON because cJSON allocates per node and the same messages are
// read while frames stream; 300 lines that are fuzzed are cheaper than a bounded allocator behind cJSON's hooks.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace magicpi {
namespace json {

constexpr int kMaxDepth = 8;

enum class Kind : uint8_t { Invalid, Null, False, True, Number, String, Array, Object };

/// A view of one value inside a text that parse() has checked whole; valid while that text is.
class Value {
 public:
  Value() = default;
  Kind kind() const { return kind_; }
  bool is(Kind k) const { return kind_ == k; }
  explicit operator bool() const { return kind_ != Kind::Invalid; }

  /// Member of an object; Invalid if this is none or has no such key. The first of equal keys counts.
  Value get(const char* key) const;
  /// Element of an array; Invalid past the end.
  Value at(size_t index) const;

  /// Integers only: fractions, exponents and overflow are refused.
  bool to_u64(uint64_t* out) const;
  bool to_u32(uint32_t* out) const;
  bool to_i32(int32_t* out) const;
  bool to_bool(bool* out) const;
  /// Unescaped UTF-8 with terminating NUL; false if it does not fit `cap` or contains U+0000.
  bool to_string(char* out, size_t cap, size_t* length = nullptr) const;
  /// Unescapes inside the parsed text itself, which must be writable; this value and its parents are spent afterwards.
  bool to_string_in_place(char** out, size_t* length);
  /// The value's own JSON text with NUL, to be parsed again later; false if it does not fit.
  bool copy_raw(char* out, size_t cap) const;
  /// Same text, in place of comparing a copy.
  bool equals(const char* text) const;

 private:
  friend Value parse(const char* text, size_t n);
  friend struct Scanner;
  Value(Kind kind, const char* begin, const char* end) : begin_(begin), end_(end), kind_(kind) {}
  const char* begin_ = nullptr;
  const char* end_ = nullptr;
  Kind kind_ = Kind::Invalid;
};

/// Checks the whole text (RFC 8259, depth <= kMaxDepth, nothing but white space after the value).
Value parse(const char* text, size_t n);

/// Writes compact JSON into a caller's buffer; on overflow everything after is dropped and finish() says 0.
class Writer {
 public:
  Writer(char* out, size_t cap) : out_(out), cap_(cap) {}
  Writer& begin();                           ///< {
  Writer& end();                             ///< }
  Writer& begin(const char* key);            ///< "key":{
  Writer& begin_array(const char* key);      ///< "key":[
  Writer& end_array();
  Writer& str(const char* key, const char* value);
  Writer& num(const char* key, int64_t value);
  Writer& boolean(const char* key, bool value);
  Writer& null(const char* key);
  Writer& element(const char* value);
  /// Length without NUL (a NUL is written), 0 if it did not fit.
  size_t finish();

 private:
  void put(char c);
  void raw(const char* s);
  void quoted(const char* s);
  void key(const char* k);
  char* out_;
  size_t cap_;
  size_t n_ = 0;
  bool comma_ = false;
  bool overflow_ = false;
};

}  // namespace json
}  // namespace magicpi
