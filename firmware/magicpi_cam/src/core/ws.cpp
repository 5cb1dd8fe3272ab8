#include "ws.h"

#include <string.h>

#include "codec.h"

namespace magicpi {

bool valid_utf8(const uint8_t* p, size_t n) {
  const uint8_t* end = p + n;
  while (p < end) {
    const uint8_t c = *p++;
    if (c < 0x80) continue;
    int more = 0;
    uint8_t low = 0x80, high = 0xbf;
    if (c >= 0xc2 && c <= 0xdf) more = 1;
    else if (c >= 0xe0 && c <= 0xef) more = 2;
    else if (c >= 0xf0 && c <= 0xf4) more = 3;
    else return false;
    if (c == 0xe0) low = 0xa0;
    if (c == 0xed) high = 0x9f;
    if (c == 0xf0) low = 0x90;
    if (c == 0xf4) high = 0x8f;
    for (; more; --more) {
      if (p == end || *p < low || *p > high) return false;
      ++p;
      low = 0x80;
      high = 0xbf;
    }
  }
  return true;
}

void WsReader::reset() {
  length_ = 0;
  left_ = 0;
  header_length_ = 0;
  header_need_ = 2;
  control_length_ = 0;
  close_code_ = 0;
  in_payload_ = in_message_ = message_text_ = overflow_ = dead_ = false;
}

WsReader::Event WsReader::fail(uint16_t code) {
  dead_ = true;
  close_code_ = code;
  return Event::Error;
}

WsReader::Event WsReader::header_done() {
  const uint8_t b0 = header_[0];
  const uint8_t short_length = header_[1] & 0x7f;
  if (b0 & 0x70) return fail(kCloseProtocol);       // no extension was negotiated
  if (header_[1] & 0x80) return fail(kCloseProtocol);  // a server must not mask
  fin_ = (b0 & 0x80) != 0;
  const uint8_t opcode = b0 & 0x0f;
  if ((opcode > 2 && opcode < 8) || opcode > 10) return fail(kCloseProtocol);
  op_ = static_cast<WsOp>(opcode);
  if (short_length == 126) {
    left_ = get_be16(header_ + 2);
    if (left_ < 126) return fail(kCloseProtocol);
  } else if (short_length == 127) {
    left_ = get_be64(header_ + 2);
    if (left_ < 65536 || left_ >> 63) return fail(kCloseProtocol);
  } else {
    left_ = short_length;
  }
  if (opcode >= 8) {
    if (!fin_ || left_ > 125) return fail(kCloseProtocol);
    control_length_ = 0;
  } else if (op_ == WsOp::Continuation) {
    if (!in_message_) return fail(kCloseProtocol);
  } else {
    if (in_message_) return fail(kCloseProtocol);
    in_message_ = true;
    message_text_ = op_ == WsOp::Text;
    overflow_ = false;
    length_ = 0;
  }
  in_payload_ = true;
  return left_ == 0 ? frame_done() : Event::None;
}

WsReader::Event WsReader::frame_done() {
  in_payload_ = false;
  header_length_ = 0;
  header_need_ = 2;
  switch (op_) {
    case WsOp::Ping: return Event::Ping;
    case WsOp::Pong: return Event::Pong;
    case WsOp::Close: {
      dead_ = true;
      close_code_ = 1005;  // "no status received", never on the wire
      if (control_length_ == 1) return fail(kCloseProtocol);
      if (control_length_ >= 2) {
        const uint16_t code = get_be16(control_);
        const bool known = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
        if (!known) return fail(kCloseProtocol);
        if (!valid_utf8(control_ + 2, static_cast<size_t>(control_length_ - 2))) return fail(kCloseInvalidData);
        close_code_ = code;
      }
      control_[control_length_] = 0;
      return Event::Close;
    }
    default: break;
  }
  if (!fin_) return Event::None;
  in_message_ = false;
  if (!message_text_ || overflow_) return Event::Skipped;
  buffer_[length_] = 0;
  if (!valid_utf8(reinterpret_cast<const uint8_t*>(buffer_), length_)) return fail(kCloseInvalidData);
  return Event::Text;
}

size_t WsReader::feed(const uint8_t* data, size_t n, Event* event) {
  *event = Event::None;
  if (dead_) return n;
  size_t used = 0;
  while (used < n) {
    if (!in_payload_) {
      header_[header_length_++] = data[used++];
      if (header_length_ == 2) {
        const uint8_t length = header_[1] & 0x7f;
        header_need_ = length == 126 ? 4 : length == 127 ? 10 : 2;
      }
      if (header_length_ < header_need_) continue;
      *event = header_done();
      if (*event != Event::None) return used;
      continue;
    }
    size_t take = n - used;
    if (take > left_) take = static_cast<size_t>(left_);
    if (static_cast<uint8_t>(op_) >= 8) {
      memcpy(control_ + control_length_, data + used, take);
      control_length_ = static_cast<uint8_t>(control_length_ + take);
    } else if (message_text_ && !overflow_) {
      if (length_ + take < cap_) {
        memcpy(buffer_ + length_, data + used, take);
        length_ += take;
      } else {
        overflow_ = true;
      }
    }
    used += take;
    left_ -= take;
    if (left_ == 0) {
      *event = frame_done();
      if (*event != Event::None) return used;
    }
  }
  return used;
}

void WsWriter::reset() {
  if (frame_ != FrameRing::kNone) ring_.put_back(frame_);
  frame_ = FrameRing::kNone;
  control_length_ = text_length_ = out_length_ = out_sent_ = text_front_ = 0;
  frame_offset_ = fragment_left_ = 0;
}

size_t WsWriter::encode(uint8_t* out, WsOp op, bool fin, const uint8_t* payload, size_t n) {
  uint8_t key[4];
  platform_.random(key, sizeof key);
  size_t k = 0;
  out[k++] = static_cast<uint8_t>((fin ? 0x80 : 0) | static_cast<uint8_t>(op));
  if (n < 126) {
    out[k++] = static_cast<uint8_t>(0x80 | n);
  } else {
    out[k++] = 0x80 | 126;
    put_be16(out + k, static_cast<uint16_t>(n));
    k += 2;
  }
  memcpy(out + k, key, 4);
  k += 4;
  for (size_t i = 0; i < n; ++i) out[k + i] = payload[i] ^ key[i & 3];
  return k + n;
}

bool WsWriter::text(const char* message, size_t n) {
  if (!room(n)) return false;
  text_length_ += encode(text_ + text_length_, WsOp::Text, true, reinterpret_cast<const uint8_t*>(message), n);
  return true;
}

bool WsWriter::control(WsOp op, const uint8_t* payload, size_t n) {
  if (n > 125 || control_length_ + n + kHeaderMax > sizeof control_) return false;
  control_length_ += encode(control_ + control_length_, op, true, payload, n);
  return true;
}

bool WsWriter::close(uint16_t code, const char* reason) {
  uint8_t payload[125];
  size_t n = strlen(reason);
  if (n > sizeof payload - 2) n = sizeof payload - 2;
  put_be16(payload, code);
  memcpy(payload + 2, reason, n);
  return control(WsOp::Close, payload, n + 2);
}

void WsWriter::frame(uint16_t frame, const uint8_t header[24]) {
  frame_ = frame;
  memcpy(frame_header_, header, 24);
  frame_length_ = ring_.info(frame).length;
  frame_offset_ = 0;
  fragment_left_ = 0;
  frame_begun_ = false;
  platform_.random(reinterpret_cast<uint8_t*>(&seed_), sizeof seed_);
}

WsWriter::Progress WsWriter::pump(Transport& transport, uint16_t* frame_sent) {
  *frame_sent = FrameRing::kNone;
  bool wrote = false;
  for (;;) {
    int n = 0;
    if (out_length_) {
      n = transport.write(out_ + out_sent_, out_length_ - out_sent_);
      if (n > 0) {
        out_sent_ += static_cast<size_t>(n);
        if (out_sent_ == out_length_) out_length_ = out_sent_ = 0;
      }
    } else if (fragment_left_) {
      size_t piece = 0;
      const uint8_t* p = ring_.masked_piece(frame_, frame_offset_, fragment_left_, seed_, &piece);
      n = transport.write(p, piece);
      if (n > 0) {
        frame_offset_ += static_cast<uint32_t>(n);
        fragment_left_ -= static_cast<uint32_t>(n);
      }
    } else if (text_front_) {
      n = transport.write(text_, text_front_);
      if (n > 0) {
        text_front_ -= static_cast<size_t>(n);
        text_length_ -= static_cast<size_t>(n);
        memmove(text_, text_ + n, text_length_);
      }
    } else if (frame_ != FrameRing::kNone && frame_begun_ && frame_offset_ == frame_length_) {
      *frame_sent = frame_;
      frame_ = FrameRing::kNone;
      return Progress::Wrote;
    } else if (control_length_) {
      // Length of the first queued control frame: 2 header bytes, 4 of key, payload.
      const size_t whole = 6 + static_cast<size_t>(control_[1] & 0x7f);
      memcpy(out_, control_, whole);
      out_length_ = whole;
      out_sent_ = 0;
      control_length_ -= whole;
      memmove(control_, control_ + whole, control_length_);
      continue;
    } else if (frame_ != FrameRing::kNone) {
      const uint32_t rest = frame_length_ - frame_offset_;
      const uint32_t payload = rest < FrameRing::kFragment ? rest : static_cast<uint32_t>(FrameRing::kFragment);
      const uint32_t length = payload + (frame_begun_ ? 0 : 24);
      size_t k = 0;
      out_[k++] = static_cast<uint8_t>((payload == rest ? 0x80 : 0) |
                                       static_cast<uint8_t>(frame_begun_ ? WsOp::Continuation : WsOp::Binary));
      if (length < 126) {
        out_[k++] = static_cast<uint8_t>(0x80 | length);
      } else {
        out_[k++] = 0x80 | 126;
        put_be16(out_ + k, static_cast<uint16_t>(length));
        k += 2;
      }
      // The 24 bytes in front are a multiple of 4, so the payload's mask starts at phase 0 in every fragment.
      const uint32_t word = FrameRing::mask_key(seed_, frame_offset_ / static_cast<uint32_t>(FrameRing::kFragment));
      uint8_t key[4];
      memcpy(key, &word, 4);
      memcpy(out_ + k, key, 4);
      k += 4;
      if (!frame_begun_) {
        for (size_t i = 0; i < 24; ++i) out_[k + i] = frame_header_[i] ^ key[i & 3];
        k += 24;
      }
      frame_begun_ = true;
      fragment_left_ = payload;
      out_length_ = k;
      out_sent_ = 0;
      continue;
    } else if (text_length_) {
      text_front_ = 6 + (text_[1] & 0x7f);
      if ((text_[1] & 0x7f) == 126) text_front_ = 8 + static_cast<size_t>(get_be16(text_ + 2));
      continue;
    } else {
      return wrote ? Progress::Wrote : Progress::Idle;
    }
    if (n < 0) return Progress::Dead;
    if (n == 0) return wrote ? Progress::Wrote : Progress::Stalled;
    wrote = true;
  }
}

}  // namespace magicpi
