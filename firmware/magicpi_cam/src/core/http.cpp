#include "http.h"

#include <string.h>

#include "codec.h"
#include "crypto.h"

namespace magicpi {

HttpRequest::HttpRequest(char* out, size_t cap, const char* method, const char* path, const char* host)
    : out_(out), cap_(cap) {
  raw(method);
  raw(" ");
  raw(path);
  raw(" HTTP/1.1\r\nHost: ");
  raw(host);
  raw("\r\n");
}

void HttpRequest::raw(const char* s, size_t n) {
  if (n > cap_ - n_) {
    overflow_ = true;
    return;
  }
  memcpy(out_ + n_, s, n);
  n_ += n;
}

void HttpRequest::raw(const char* s) { raw(s, strlen(s)); }

HttpRequest& HttpRequest::header(const char* name, const char* value) {
  raw(name);
  raw(": ");
  raw(value);
  raw("\r\n");
  return *this;
}

HttpRequest& HttpRequest::header(const char* name, uint32_t value) {
  char digits[11];
  size_t i = sizeof digits - 1;
  digits[i] = 0;
  do {
    digits[--i] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value);
  return header(name, digits + i);
}

size_t HttpRequest::finish(const char* body, size_t n) {
  if (body) header("Content-Length", static_cast<uint32_t>(n));
  raw("\r\n");
  if (body) raw(body, n);
  return overflow_ ? 0 : n_;
}

void HttpResponse::reset() { *this = HttpResponse(); }

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// Value behind "name:", without surrounding blanks, or nullptr. Ends the line at the last non-blank.
char* value_of(char* line, const char* name) {
  size_t i = 0;
  for (; name[i]; ++i) {
    if (lower(line[i]) != name[i]) return nullptr;
  }
  if (line[i] != ':') return nullptr;
  char* v = line + i + 1;
  while (*v == ' ' || *v == '\t') ++v;
  size_t n = strlen(v);
  while (n && (v[n - 1] == ' ' || v[n - 1] == '\t')) v[--n] = 0;
  return v;
}

bool contains(const char* text, const char* word) {
  const size_t n = strlen(word);
  for (; *text; ++text) {
    size_t i = 0;
    while (i < n && lower(text[i]) == word[i]) ++i;
    if (i == n) return true;
  }
  return false;
}

bool number(const char* text, uint32_t* out) {
  if (*text < '0' || *text > '9') return false;
  uint64_t v = 0;
  for (; *text >= '0' && *text <= '9'; ++text) {
    v = v * 10 + static_cast<uint64_t>(*text - '0');
    if (v > UINT32_MAX) return false;
  }
  *out = static_cast<uint32_t>(v);
  return true;
}

}  // namespace

bool HttpResponse::line() {
  line_[length_] = 0;
  if (first_) {
    first_ = false;
    // "HTTP/1.1 101 Switching Protocols"
    uint32_t code = 0;
    if (strncmp(line_, "HTTP/1.", 7) != 0 || line_[7] == 0 || line_[8] != ' ' || !number(line_ + 9, &code)) return false;
    if (code < 100 || code > 599) return false;
    status = static_cast<int>(code);
    return true;
  }
  const char* v = nullptr;
  if ((v = value_of(line_, "content-length"))) {
    if (has_length || !number(v, &content_length)) return false;
    has_length = true;
  } else if ((v = value_of(line_, "transfer-encoding"))) {
    // Our gateway answers with a length; a body of unknown framing is not worth a decoder.
    if (status != 101 && !contains(v, "identity")) return false;
  } else if ((v = value_of(line_, "content-range"))) {
    if (strncmp(v, "bytes ", 6) != 0 || !number(v + 6, &range_start)) return false;
  } else if ((v = value_of(line_, "retry-after"))) {
    number(v, &retry_after_s);
  } else if ((v = value_of(line_, "upgrade"))) {
    upgrade_websocket = contains(v, "websocket");
  } else if ((v = value_of(line_, "connection"))) {
    connection_upgrade = contains(v, "upgrade");
  } else if ((v = value_of(line_, "sec-websocket-accept"))) {
    copy_string(accept, sizeof accept, v);
  } else if ((v = value_of(line_, "sec-websocket-protocol"))) {
    copy_string(protocol, sizeof protocol, v);
  } else if (value_of(line_, "sec-websocket-extensions")) {
    extensions = true;
  }
  return true;
}

size_t HttpResponse::feed(const uint8_t* data, size_t n) {
  size_t used = 0;
  while (used < n && stage_ == Stage::Head) {
    const char c = static_cast<char>(data[used++]);
    if (++total_ > 8192) stage_ = Stage::Error;
    if (c != '\n') {
      if (length_ < sizeof line_ - 1) line_[length_++] = c;
      continue;
    }
    if (length_ && line_[length_ - 1] == '\r') --length_;
    if (length_ == 0) {
      if (first_) stage_ = Stage::Error;
      // 100 Continue and its kin are followed by the real head.
      else if (status >= 100 && status < 200 && status != 101) reset();
      else stage_ = Stage::Body;
    } else if (!line()) {
      stage_ = Stage::Error;
    }
    length_ = 0;
  }
  return used;
}

bool websocket_accept(const char* key, char* out, size_t cap) {
  static const char kGuid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  uint8_t joined[64];
  const size_t n = strlen(key);
  if (n + sizeof kGuid - 1 > sizeof joined) return false;
  memcpy(joined, key, n);
  memcpy(joined + n, kGuid, sizeof kGuid - 1);
  uint8_t digest[20];
  return sha1(joined, n + sizeof kGuid - 1, digest) && base64_encode(digest, sizeof digest, out, cap) != 0;
}

}  // namespace magicpi
