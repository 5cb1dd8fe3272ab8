#include "exchange.h"

#include <string.h>

namespace magicpi {

bool Exchange::dial(const Dial& dial) {
  response_.reset();
  leftover_n_ = leftover_at_ = n_ = at_ = 0;
  body_read_ = 0;
  handshake_ms_ = 0;
  since_ms_ = platform_.now_ms();
  phase_ = transport_.dial(dial) ? Phase::Dialing : Phase::Failed;
  return phase_ == Phase::Dialing;
}

void Exchange::send(size_t n) {
  n_ = n;
  at_ = 0;
  since_ms_ = platform_.now_ms();
  phase_ = n ? Phase::Writing : Phase::Failed;
}

Exchange::Phase Exchange::fail() {
  transport_.close();
  return phase_ = Phase::Failed;
}

void Exchange::reset() {
  transport_.close();
  phase_ = Phase::Idle;
}

Exchange::Phase Exchange::poll() {
  const uint64_t now = platform_.now_ms();
  const uint64_t waited = now - since_ms_;
  switch (phase_) {
    case Phase::Dialing:
      switch (transport_.poll()) {
        case IoStatus::Open:
          handshake_ms_ = static_cast<uint32_t>(waited);
          return phase_ = Phase::Ready;
        case IoStatus::Connecting: return waited > kConnectMs ? fail() : phase_;
        case IoStatus::Handshaking: return waited > kHandshakeMs ? fail() : phase_;
        default: return fail();
      }
    case Phase::Writing:
      while (at_ < n_) {
        const int w = transport_.write(reinterpret_cast<const uint8_t*>(buffer_) + at_, n_ - at_);
        if (w < 0) return fail();
        if (w == 0) return waited > kAnswerMs ? fail() : phase_;
        at_ += static_cast<size_t>(w);
        since_ms_ = now;
      }
      return phase_ = Phase::Head;
    case Phase::Head: {
      const int r = transport_.read(leftover_, sizeof leftover_);
      if (r < 0) return fail();
      if (r == 0) return waited > kAnswerMs ? fail() : phase_;
      since_ms_ = now;
      leftover_at_ = response_.feed(leftover_, static_cast<size_t>(r));
      leftover_n_ = static_cast<size_t>(r);
      if (response_.stage() == HttpResponse::Stage::Error) return fail();
      if (response_.stage() == HttpResponse::Stage::Body) phase_ = Phase::Body;
      return phase_;
    }
    case Phase::Body: return waited > kAnswerMs ? fail() : phase_;
    default: return phase_;
  }
}

size_t Exchange::take_leftover(uint8_t* out, size_t cap) {
  size_t n = leftover_n_ - leftover_at_;
  if (n > cap) n = cap;
  memcpy(out, leftover_ + leftover_at_, n);
  leftover_at_ += n;
  return n;
}

int Exchange::read_body(uint8_t* out, size_t cap) {
  if (phase_ != Phase::Body) return -2;
  if (response_.has_length) {
    const uint32_t left = response_.content_length - body_read_;
    if (left == 0) return -1;
    if (cap > left) cap = left;
  }
  int n = static_cast<int>(take_leftover(out, cap));
  if (n == 0) n = transport_.read(out, cap);
  if (n < 0) return response_.has_length ? -2 : -1;
  if (n > 0) {
    body_read_ += static_cast<uint32_t>(n);
    since_ms_ = platform_.now_ms();
  }
  return n;
}

}  // namespace magicpi
