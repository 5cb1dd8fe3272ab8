// From radio off to acknowledged frames: dialling, upgrade, messages, close codes, and the second connection.
#include "camera.h"

#include <string.h>

#include "codec.h"

namespace magicpi {

namespace {
constexpr uint32_t kJoinMs = 20000;
constexpr uint32_t kWelcomeMs = 10000;
constexpr uint32_t kClosingMs = 1500;
constexpr uint32_t kStillMs = 8000;
constexpr uint32_t kStreamMaxS = 600;
constexpr uint32_t kKeepMaxMs = 600 * 1000;   // without a link
constexpr uint32_t kKeepAskedMs = 30 * 1000;  // after a welcome, until the gateway asks for pictures again
constexpr uint32_t kPolicyPauseMs = 600000;
constexpr uint32_t kReplacedPauseMs = 300000;
constexpr uint32_t kPutRetryMs = 10000;
constexpr uint32_t kIdentifyMs = 5000;
}  // namespace

bool Camera::undelivered() {
  if (capture_.confirming) return false;
  for (const Event& e : events_) {
    if (e.id) return true;
  }
  return ring_.backlog() != 0;
}

bool Camera::wants_link() {
  if (quiet_wake_ || brownout_rest_ || now_ < no_link_until_ms_) return false;
  if (registering()) return true;
  if (!claim_.claimed()) return false;
  if (!sleepy() || hello_due_ || confirm_image_ || streaming() || now_ < stay_until_ms_) return true;
  if (capture_.confirming) return false;
  return open_event() != nullptr || undelivered();
}

void Camera::tick_session() {
  switch (state_) {
    case State::Idle: {
      if (!wants_link()) return;
      // The sensor's and the radio's inrush must not meet, and the first frame must not wait for the radio.
      if (!radio_ && camera_on_ && now_ - camera_started_ms_ < options_.camera_lead_ms && shared(capture_.first_frame_ms) == 0) return;
      if (radio_) dial_next();
      else begin_link();
      return;
    }
    case State::Linking:
      switch (platform_.wifi_status()) {
        case LinkStatus::Up:
          wifi_ms_ = static_cast<uint32_t>(now_ - link_began_ms_);
          candidate_ = 0;
          dial_next();
          return;
        case LinkStatus::Failed:
        case LinkStatus::BadPassword: break;
        default:
          if (now_ - link_began_ms_ < kJoinMs) return;
      }
      turn_radio_off();
      link_failed();
      return;
    case State::Connecting:
    case State::Registering: tick_connecting(); return;
    case State::Online: tick_online(); return;
    case State::Backoff:
      if (registering() && now_ > register_until_ms_) {
        registration_failed(true);
        return;
      }
      if (now_ < retry_at_ms_ || !wants_link()) return;
      if (!radio_) {
        begin_link();
      } else if (platform_.wifi_status() != LinkStatus::Up) {
        turn_radio_off();
        begin_link();
      } else {
        dial_next();
      }
      return;
    default: return;
  }
}

void Camera::begin_link() {
  if (!wifi_.present() && !identity_.wired) {
    // Claimed, but the Wi-Fi was forgotten by hand: only a hand can help.
    no_link_until_ms_ = now_ + kPolicyPauseMs;
    enter(State::Idle);
    return;
  }
  link_began_ms_ = now_;
  turn_radio_on();
  platform_.wifi_begin(wifi_, &rtc_->wifi);
  enter(State::Linking);
}

void Camera::link_failed() {
  first_.reset();
  candidate_ = 0;
  retry_at_ms_ = now_ + backoff_.next(random32());
  enter(State::Backoff);
}

bool Camera::next_candidate(const char** host, uint16_t* port) {
  for (;;) {
    const uint8_t i = candidate_++;
    if (i == 0) {
      if (!rtc_->gateway_host[0] || registering()) continue;
      *host = rtc_->gateway_host;
      *port = rtc_->gateway_port;
      return true;
    }
    if (i <= kMaxHosts) {
      if (i > claim_.hosts) continue;
      *host = claim_.host[i - 1];
      *port = claim_.port;
      if (!registering() && strcmp(*host, rtc_->gateway_host) == 0 && *port == rtc_->gateway_port) continue;
      return true;
    }
    const uint8_t found = static_cast<uint8_t>(i - kMaxHosts - 1);
    if (found >= found_n_) {
      --candidate_;
      return false;
    }
    *host = found_[found].host;
    *port = found_[found].port;
    return true;
  }
}

bool Camera::dial(Exchange& exchange, const char* host, uint16_t port, bool resume) {
  if (!ca_load(platform_, exchange.buffer(), exchange.capacity())) return false;
  Dial d;
  d.host = host;
  d.port = port;
  d.server_name = claim_.name;
  d.ca_pem = exchange.buffer();
  resume = resume && rtc_->session_len;
  d.session = resume ? rtc_->session : nullptr;
  d.session_len = resume ? rtc_->session_len : 0;
  return exchange.dial(d);
}

void Camera::dial_next() {
  const Exchange::Phase second = second_.phase();
  if (second == Exchange::Phase::Dialing || second == Exchange::Phase::Ready || second == Exchange::Phase::Writing) {
    retry_at_ms_ = now_ + 500;  // both build their requests in the same buffer
    enter(State::Backoff);
    return;
  }
  const char* host = nullptr;
  uint16_t port = 0;
  while (next_candidate(&host, &port)) {
    if (host != dialed_host_) copy_string(dialed_host_, sizeof dialed_host_, host);
    dialed_port_ = port;
    used_session_ = rtc_->session_len != 0;
    if (!dial(first_, host, port, true)) continue;
    link_ = Link::Exchange;
    enter(registering() ? State::Registering : State::Connecting);
    return;
  }
  if (found_n_ == 0 && now_ >= next_lookup_ms_) {
    next_lookup_ms_ = now_ + kLookupMs;
    looking_up_ = true;
    platform_.mdns_find_begin(claim_.ca16);
    enter(registering() ? State::Registering : State::Connecting);
    return;
  }
  found_n_ = 0;
  link_failed();
}

void Camera::build_upgrade() {
  uint8_t nonce[16];
  platform_.random(nonce, sizeof nonce);
  base64_encode(nonce, sizeof nonce, websocket_key_, sizeof websocket_key_);
  char authorization[kKeyMax + 8] = "Bearer ";
  copy_string(authorization + 7, kKeyMax, api_key());
  HttpRequest r(first_.buffer(), first_.capacity(), "GET", "/ws", claim_.name);
  r.header("Upgrade", "websocket").header("Connection", "Upgrade").header("Sec-WebSocket-Version", "13");
  r.header("Sec-WebSocket-Key", websocket_key_).header("Sec-WebSocket-Protocol", "magicpi.v1");
  r.header("Authorization", authorization).header("X-Camera-Id", identity_.id);
  first_.send(r.finish());
}

void Camera::tick_connecting() {
  if (looking_up_) {
    const int n = platform_.mdns_find_poll(found_, sizeof found_ / sizeof *found_);
    if (n < 0) return;
    looking_up_ = false;
    found_n_ = static_cast<uint8_t>(n);
    if (n == 0) {
      link_failed();
      return;
    }
    candidate_ = kMaxHosts + 1;
    dial_next();
    return;
  }
  if (link_ == Link::Greeting) {
    uint16_t sent = FrameRing::kNone;
    if (writer_.pump(ws_, &sent) == WsWriter::Progress::Dead || now_ - state_since_ms_ > kWelcomeMs) {
      connection_lost(0);
      return;
    }
    read_socket();
    return;
  }
  const Exchange::Phase phase = first_.poll();
  resync();  // public-key maths
  switch (phase) {
    case Exchange::Phase::Ready: {
      tls_ms_ = first_.handshake_ms();
      note(Note::TlsReady, ws_.resumed(), tls_ms_);
      rtc_->session_len = static_cast<uint16_t>(ws_.save_session(rtc_->session, sizeof rtc_->session));
      if (registering()) build_registration();
      else build_upgrade();
      return;
    }
    case Exchange::Phase::Body:
      if (registering()) finish_registering();
      else on_upgraded();
      return;
    case Exchange::Phase::Failed: {
      const IoError error = ws_.error();
      log(LogLevel::Warning, error == IoError::Certificate ? "gateway certificate refused" : "gateway not reached");
      // A session the gateway no longer accepts must not look like a dead gateway.
      if (used_session_ && error == IoError::Handshake && candidate_) --candidate_;
      if (error == IoError::Handshake || error == IoError::Certificate) rtc_->session_len = 0;
      first_.reset();
      dial_next();
      return;
    }
    default: return;
  }
}

void Camera::on_upgraded() {
  const HttpResponse& r = first_.response();
  if (r.status == 401 || r.status == 403) {
    first_.reset();
    // While a new key is unproven, either may be the one the gateway knows.
    if (claim_.new_key[0] && !tried_other_key_) {
      tried_other_key_ = true;
      use_new_key_ = !use_new_key_;
      if (candidate_) --candidate_;
      dial_next();
    } else {
      refused();
    }
    return;
  }
  char accept[32];
  websocket_accept(websocket_key_, accept, sizeof accept);
  if (r.status != 101 || !r.upgrade_websocket || !r.connection_upgrade || strcmp(r.accept, accept) != 0 ||
      strcmp(r.protocol, "magicpi.v1") != 0 || r.extensions) {
    const uint32_t wait_s = r.retry_after_s > 3600 ? 3600 : r.retry_after_s;
    log(LogLevel::Warning, "gateway refused the WebSocket");
    backoff_.at_least(3);
    link_failed();
    if (now_ + wait_s * 1000ull > retry_at_ms_) retry_at_ms_ = now_ + wait_s * 1000ull;
    return;
  }
  first_.release();
  reader_.reset();
  writer_.reset();
  link_ = Link::Greeting;
  state_since_ms_ = last_rx_ms_ = last_tx_ms_ = now_;
  send_hello();
}

bool Camera::send(size_t n) { return n && writer_.text(text_, n); }

void Camera::send_hello() {
  Hello h;
  h.id = identity_.id;
  h.fw = identity_.fw;
  h.model = identity_.model;
  h.boot = boot_;
  h.reason = reason_name(cause_, after_ota_);
  h.uptime_ms = platform_.now_ms();
  h.rssi = platform_.rssi();
  h.battery_mv = battery_mv_;
  h.battery_pct = battery_percent(battery_mv_);
  h.heap = platform_.free_heap();
  h.config_rev = settings_.rev;
  h.wifi_ms = wifi_ms_;
  h.tls_ms = tls_ms_;
  h.first_frame_ms = static_cast<uint32_t>(shared(capture_.first_frame_ms));
  h.backlog = ring_.backlog();
  h.lost = frames_lost() + rtc_->lost_before;
  h.caps = &identity_.caps;
  h.charging = identity_.caps.charging ? platform_.charging() : -1;
  h.dropped = rtc_->alarms_dropped;
  const uint16_t* by = rtc_->wakes_by;
  const Spent spent = {by[kWakePir], by[kWakeTimer], by[kWakeRing], by[kWakeOther], rtc_->awake_ms / 1000, rtc_->radio_ms / 1000,
                       rtc_->sensor_ms / 1000};
  h.spent = rtc_->awake_ms ? &spent : nullptr;
  if (!send(encode_hello(text_, sizeof text_, h))) connection_lost(0);
}

void Camera::refused() {
  log(LogLevel::Error, "the gateway refuses this camera's key; the claim is kept");
  rtc_->refused = 1;
  connection_lost(0);
  no_link_until_ms_ = now_ + kRefusedS * 1000ull;
  enter(State::Idle);
}

void Camera::connection_lost(uint16_t code) {
  note(Note::Closed, code);
  // The answer to our close proves that what went out before it was read.
  if (state_ == State::Closing && bye_sent_ && code == kCloseNormal) ring_.release_sent();
  const uint16_t in_flight = writer_.frame_in_flight();
  // 1009 means the frame being sent, or the last one that went out whole.
  if (code == kCloseTooBig && in_flight != FrameRing::kNone) {
    writer_.reset();
    const uint16_t again = ring_.take();
    if (again != FrameRing::kNone) ring_.discard(again);
  } else {
    writer_.reset();
    ring_.rewind();
    if (code == kCloseTooBig) {
      const uint16_t again = ring_.take();
      if (again != FrameRing::kNone) ring_.discard(again);
    }
  }
  ring_.rewind();
  reader_.reset();
  first_.reset();
  // Nobody watches any more; who still wants to will ask again.
  if (streaming()) begin_keeping();
  stream_until_ms_ = 0;
  update_capture();
  for (Event& e : events_) e.start_told = e.active_told = e.ring_told = e.end_told = e.pinged = e.pong = false;
  candidate_ = 0;
  switch (code) {
    case kCloseGoingAway: backoff_.at_least(3); break;
    case kClosePolicy:
    case kCloseProtocol:
      // Saying hello again will not please it either.
      no_link_until_ms_ = now_ + kPolicyPauseMs;
      tell("closed by policy");
      break;
    case kCloseTooBig:
      if (quality_step_ < 40) quality_step_ = static_cast<uint8_t>(quality_step_ + 4);
      break;
    case kCloseReplaced:
      // Two cameras of one id would throw each other out for ever.
      no_link_until_ms_ = now_ + kReplacedPauseMs;
      tell("replaced by another connection");
      break;
    case kCloseRevoked:
      rtc_->refused = 1;
      no_link_until_ms_ = now_ + kRefusedS * 1000ull;
      log(LogLevel::Error, "key revoked; the claim is kept");
      break;
    default: break;
  }
  if (state_ == State::Closing) return;
  retry_at_ms_ = now_ + (code == kCloseIdle ? 0 : backoff_.next(random32()));
  enter(State::Backoff);
}

// --- online ----------------------------------------------------------------

bool Camera::read_socket() {
  uint8_t bytes[512];
  for (int i = 0; i < 16; ++i) {
    size_t n = first_.take_leftover(bytes, sizeof bytes);
    if (n == 0) {
      const int r = ws_.read(bytes, sizeof bytes);
      if (r == 0) return true;
      if (r < 0) {
        connection_lost(0);
        return false;
      }
      n = static_cast<size_t>(r);
    }
    last_rx_ms_ = now_;
    for (size_t at = 0; at < n;) {
      WsReader::Event event = WsReader::Event::None;
      at += reader_.feed(bytes + at, n - at, &event);
      switch (event) {
        case WsReader::Event::Text: {
          const State before = state_;
          on_text();
          // A message may have ended the connection: what follows in the buffer belongs to nobody.
          if (state_ != before && state_ != State::Online && state_ != State::Closing) return false;
          break;
        }
        case WsReader::Event::Skipped: log(LogLevel::Warning, "message from the gateway skipped"); break;
        case WsReader::Event::Ping: writer_.control(WsOp::Pong, reader_.control(), reader_.control_length()); break;
        case WsReader::Event::Pong:
          if (reader_.control_length() == 3 && reader_.control()[0] == 'E') {
            if (Event* e = event_by_id(get_be16(reader_.control() + 1))) e->pong = e->end_told;
          }
          break;
        case WsReader::Event::Close:
        case WsReader::Event::Error: {
          const uint16_t code = reader_.close_code();
          const bool violated = event == WsReader::Event::Error;
          // Echoed if it fits at once; the stream is closed either way.
          if (!bye_sent_) {
            uint16_t sent = FrameRing::kNone;
            if (writer_.close(code == 1005 ? static_cast<uint16_t>(kCloseNormal) : code, "") &&
                writer_.frame_in_flight() == FrameRing::kNone) {
              writer_.pump(ws_, &sent);
            }
          }
          connection_lost(violated ? 0 : code);
          return false;
        }
        case WsReader::Event::None: break;
      }
    }
  }
  return true;
}

void Camera::on_text() {
  json::Value m;
  const MessageType type = parse_message(reader_.text(), reader_.text_length(), &m);
  switch (type) {
    case MessageType::Welcome: on_welcome(m); return;
    case MessageType::Ack: {
      uint32_t boot = 0, seq = 0;
      if (!m.get("boot").to_u32(&boot) || boot != boot_ || !m.get("seq").to_u32(&seq)) return;
      ring_.release(seq);
      if (seq > acked_seq_) {
        acked_seq_ = seq;
        last_ack_ms_ = now_;
        note(Note::Acked, seq);
      }
      return;
    }
    case MessageType::Config:
      on_config(m);
      linger_until_ms_ = now_ + kLingerMs;
      return;
    case MessageType::Command:
      linger_until_ms_ = now_ + kLingerMs;
      on_command(m);
      return;
    case MessageType::Ota:
      linger_until_ms_ = now_ + kLingerMs;
      on_ota(m);
      return;
    case MessageType::Malformed: log(LogLevel::Warning, "message is no JSON object"); return;
    case MessageType::Unknown: return;
  }
}

void Camera::on_welcome(json::Value m) {
  if (state_ != State::Connecting) return;
  uint32_t have = 0, stay_s = 0;
  m.get("have").to_u32(&have);
  m.get("stay_awake_s").to_u32(&stay_s);
  // A gateway that claims more than was ever captured speaks of another boot.
  if (have > frames_captured()) have = 0;
  ring_.release(have);
  ring_.not_arrived();
  // Frames dropped as a false alarm before they were reported leave no gap.
  last_sent_seq_ = have > dismissed_seq_ ? have : dismissed_seq_;
  acked_seq_ = have > acked_seq_ ? have : acked_seq_;

  {
    Lock lock(platform_);
    welcomed_ = true;
  }
  hello_due_ = false;
  tried_other_key_ = false;
  backoff_.reset();
  rtc_->lost_before = 0;
  rtc_->alarms_dropped = 0;
  memset(rtc_->wakes_by, 0, sizeof rtc_->wakes_by);
  rtc_->awake_ms = rtc_->radio_ms = rtc_->sensor_ms = 0;
  rtc_->timer_failures = rtc_->event_failures = rtc_->brownouts = rtc_->refused = 0;
  copy_string(rtc_->gateway_host, sizeof rtc_->gateway_host, dialed_host_);
  rtc_->gateway_port = dialed_port_;
  bool known = false;
  for (uint8_t i = 0; i < claim_.hosts; ++i) known = known || strcmp(claim_.host[i], dialed_host_) == 0;
  bool changed = !known || claim_.port != dialed_port_;
  if (changed) {
    claim_.prefer(dialed_host_);
    claim_.port = dialed_port_;
  }
  if (use_new_key_) {
    memcpy(claim_.api_key, claim_.new_key, sizeof claim_.api_key);
    changed = true;
  } else if (claim_.new_key[0]) {
    changed = true;  // the gateway still goes by the old key: the new one was never taken up
  }
  if (changed) {
    claim_.new_key[0] = 0;
    use_new_key_ = false;
    claim_save(platform_, claim_);
  }
  found_n_ = 0;
  candidate_ = 0;
  if (confirm_image_) {
    confirm_image_ = false;
    ota_.confirmed();
    tell("new image confirmed");
  }
  welcomed_at_ms_ = last_ack_ms_ = last_beat_ms_ = now_;
  linger_until_ms_ = now_ + kLingerMs;
  if (stay_s > kStreamMaxS) stay_s = kStreamMaxS;
  if (now_ + stay_s * 1000ull > stay_until_ms_) stay_until_ms_ = now_ + stay_s * 1000ull;
  if (keep_until_ms_ > now_ + kKeepAskedMs) keep_until_ms_ = now_ + kKeepAskedMs;
  enter(State::Online);
  const json::Value config = m.get("config");
  if (config.is(json::Kind::Object)) on_config(config);
  update_capture();
}

void Camera::on_config(json::Value message) {
  json::Value config = message.get("config");
  if (!config.is(json::Kind::Object)) config = message;
  uint32_t rev = 0;
  if (!config.get("rev").to_u32(&rev)) {
    log(LogLevel::Warning, "config without rev");
    return;
  }
  const Settings mine = settings_;
  const SettingsChange change = settings_merge(settings_, config, identity_.caps);
  // A setting changed by hand here waits to be reported and must not be undone by an older desired value.
  settings_copy(settings_, mine, dirty_keys_);
  const bool new_rev = settings_.rev != rev;
  settings_.rev = rev;
  if (change.changed || new_rev) save_settings();
  apply_settings(change);
  note(Note::ConfigApplied, rev);
  send(encode_config_ack(text_, sizeof text_, rev, settings_, change, config, identity_.caps));
}

void Camera::save_settings() {
  uint8_t blob[kSettingsBlobMax];
  const size_t n = settings_save(settings_, blob, sizeof blob);
  platform_.store_set("config", blob, n);
  const size_t more = settings_save_more(settings_, blob, sizeof blob);
  platform_.store_set("config2", blob, more);
}

void Camera::apply_settings(const SettingsChange& change) {
  if (!change.changed) return;
  if (camera_on_) {
    platform_.camera_apply(settings_);
    resync();
  }
  update_capture();
}

void Camera::on_command(json::Value m) {
  const json::Value id = m.get("id"), args = m.get("args");
  const char* error = nullptr;
  uint32_t number = 0;
  switch (parse_command(m)) {
    case CommandName::StreamStart:
      if (battery_ == BatteryLevel::Critical) {
        error = "battery";
        break;
      }
      if (!args.get("duration_s").to_u32(&number) || number == 0) number = 60;
      if (number > kStreamMaxS) number = kStreamMaxS;
      stream_until_ms_ = now_ + number * 1000ull;
      keep_until_ms_ = 0;
      if (!args.get("keep_ms").to_u32(&keep_ms_)) keep_ms_ = 0;
      update_capture();
      if (!camera_on_) error = "camera";
      break;
    case CommandName::StreamStop:
      stream_until_ms_ = keep_until_ms_ = 0;
      update_capture();
      // Nobody looks any more: what else the gateway has to say comes at once.
      linger_until_ms_ = now_ + kStopLingerMs;
      break;
    case CommandName::Snapshot: {
      if (battery_ == BatteryLevel::Critical) error = "battery";
      else if (still_id_[0]) error = "busy";
      else if (!id.copy_raw(still_id_, sizeof still_id_)) error = "id";
      if (error) break;
      {
        Lock lock(platform_);
        capture_.still = true;
        capture_.still_seq = 0;
      }
      still_until_ms_ = now_ + kStillMs;
      update_capture();
      return;  // answered when the frame is there
    }
    case CommandName::Identify: platform_.identify(kIdentifyMs); break;
    case CommandName::Restart:
      send(encode_result(text_, sizeof text_, id, true, nullptr));
      say_bye(After::Restart, "restart", 0);
      return;
    case CommandName::Sleep:
      if (!sleepy()) {
        error = "always_on";
        break;
      }
      send(encode_result(text_, sizeof text_, id, true, nullptr));
      stay_until_ms_ = stream_until_ms_ = 0;
      dismiss_unsent();
      say_bye(After::Sleep, "sleep", next_wake_s());
      return;
    case CommandName::Rekey: {
      char key[kKeyMax];
      if (!args.get("api_key").to_string(key, sizeof key) || !key_valid(key)) {
        error = "malformed";
        break;
      }
      memcpy(claim_.new_key, key, sizeof key);
      if (!claim_save(platform_, claim_)) {
        claim_.new_key[0] = 0;
        error = "storage";
        break;
      }
      // Proven at the next connection; until then the old one stays in reserve.
      use_new_key_ = true;
      break;
    }
    case CommandName::Forget:
      send(encode_result(text_, sizeof text_, id, true, nullptr));
      say_bye(After::Forget, "restart", 0);
      return;
    case CommandName::Unknown: error = "unknown_command"; break;
  }
  note(Note::CommandDone, error == nullptr);
  send(encode_result(text_, sizeof text_, id, error == nullptr, error));
}

void Camera::queue_messages() {
  constexpr size_t kRoom = 256;
  if (pending_log_ && writer_.room(kRoom) && send(encode_log(text_, sizeof text_, LogLevel::Warning, pending_log_))) {
    pending_log_ = nullptr;
  }
  if (still_id_[0]) {
    uint32_t seq = 0;
    {
      Lock lock(platform_);
      seq = capture_.still_seq;
      if (now_ > still_until_ms_) capture_.still = false;
    }
    if (seq || now_ > still_until_ms_) {
      const json::Value id = json::parse(still_id_, strlen(still_id_));
      if (send(encode_result(text_, sizeof text_, id, seq != 0, "camera"))) {
        note(Note::CommandDone, seq != 0);
        still_id_[0] = 0;
        update_capture();
      }
    }
  }
  // A frame that is counted but not in the ring yet may be the last of its event.
  const bool busy = shared(capture_.busy);
  // Oldest event first, or a gateway would see them out of order after a reconnect.
  uint16_t after = 0;
  for (size_t i = 0; i < kEvents; ++i) {
    Event* e = nullptr;
    for (Event& c : events_) {
      if (c.id > after && (!e || c.id < e->id)) e = &c;
    }
    if (!e) break;
    after = e->id;
    if ((e->open && capture_.confirming) || !writer_.room(3 * kRoom)) continue;
    // Within an event that began with the doorbell, movement is the PIR's.
    const char* source = source_name(e->source == Source::Ring ? Source::Pir : e->source);
    if (!e->start_told) {
      e->start_told = send(encode_motion(text_, sizeof text_, e->id, true, e->start_ms, source_name(e->source)));
      e->active_told = e->start_told && e->source != Source::Ring;
      if (e->source == Source::Ring && e->ring_ms == e->start_ms) e->ring_told = e->start_told;
    }
    if (e->ring_ms && !e->ring_told) {
      e->ring_told = send(encode_motion(text_, sizeof text_, e->id, true, e->ring_ms, source_name(Source::Ring)));
    }
    if (e->active_told != e->active && send(encode_motion(text_, sizeof text_, e->id, e->active, e->change_ms, source))) {
      e->active_told = e->active;
    }
    if (!e->open && !e->end_told && !busy && ring_.unsent_of(e->id) == 0) {
      const Event counted = shared(*e);
      e->end_told = send(encode_event_end(text_, sizeof text_, e->id, e->end_ms, counted.frames, counted.lost));
    }
    if (e->end_told && e->pong && ring_.held_of(e->id) == 0) {
      Lock lock(platform_);
      *e = Event();
    }
  }
  if (now_ - last_beat_ms_ >= kHeartbeatMs && writer_.room(kRoom)) {
    last_beat_ms_ = now_;
    send(encode_heartbeat(text_, sizeof text_, now_, platform_.rssi(), battery_mv_,
                          identity_.caps.charging ? platform_.charging() : -1, platform_.free_heap(), ring_.backlog()));
    writer_.control(WsOp::Ping, nullptr, 0);
  }
}

void Camera::queue_frame() {
  if (!writer_.idle_for_frame() || capture_.confirming) return;
  const uint16_t f = ring_.take();
  if (f == FrameRing::kNone) return;
  const FrameInfo& info = ring_.info(f);
  const bool gap = info.seq > last_sent_seq_ + 1;
  last_sent_seq_ = info.seq;
  uint8_t header[kFrameHeader];
  frame_header(info, static_cast<uint8_t>(info.flags | (gap ? kLostBefore : 0)), header);
  writer_.frame(f, header);
}

void Camera::tick_online() {
  if (platform_.wifi_status() != LinkStatus::Up) {
    connection_lost(0);
    return;
  }
  if (!read_socket() || !online()) return;
  queue_messages();
  // Bounded, so that one fast stretch of network does not keep motion and battery waiting.
  for (int budget = 8; budget; --budget) {
    queue_frame();
    if (writer_.empty()) last_tx_ms_ = now_;
    uint16_t sent = FrameRing::kNone;
    const WsWriter::Progress p = writer_.pump(ws_, &sent);
    if (p == WsWriter::Progress::Dead) {
      connection_lost(0);
      return;
    }
    if (p == WsWriter::Progress::Wrote) last_tx_ms_ = now_;
    if (sent == FrameRing::kNone) break;
    note(Note::FrameSent, ring_.info(sent).seq);
    ring_.sent(sent);
  }
  // The pong proves that what went out before the ping was read. Control frames overtake queued text, so the ping
  // waits until that text is out.
  if (writer_.text_out()) {
    for (Event& e : events_) {
      if (!e.id || !e.end_told || e.pinged) continue;
      uint8_t payload[3] = {'E'};
      put_be16(payload + 1, e.id);
      e.pinged = writer_.control(WsOp::Ping, payload, sizeof payload);
    }
  }
  if (now_ - last_tx_ms_ > kStallMs || now_ - last_rx_ms_ > kSilenceMs) {
    log(LogLevel::Warning, "connection stalled");
    connection_lost(0);
  }
}

void Camera::begin_keeping() {
  if (!keep_ms_ || sleepy()) return;
  keep_until_ms_ = now_ + kKeepMaxMs;
  Lock lock(platform_);
  // At once: of the pictures before, not each was recorded.
  capture_.next_ms = 0;
}

void Camera::say_bye(After after, const char* reason, uint32_t next_wake) {
  after_ = after;
  stop_camera();
  stream_until_ms_ = keep_until_ms_ = 0;
  if (open_event()) close_event();
  bye_reason_ = reason;
  bye_wake_s_ = next_wake;
  bye_due_ = true;
  bye_sent_ = close_queued_ = false;
  enter(State::Closing);
  send_bye();
}

/// What is known of an event is said before bye, and waits for the frame that is on the wire.
void Camera::send_bye() {
  if (writer_.frame_in_flight() != FrameRing::kNone && now_ - state_since_ms_ < kClosingMs / 2) return;
  queue_messages();
  send(encode_bye(text_, sizeof text_, bye_reason_, bye_wake_s_));
  bye_due_ = false;
  bye_sent_ = true;
}

void Camera::dismiss_unsent() {
  stop_camera();
  if (open_event()) close_event();
  uint32_t all = 0;
  {
    // Frames of an event that nobody wants are neither kept nor lost.
    for (Event& e : events_) {
      const uint32_t n = e.id ? ring_.ready_of(e.id) : 0;
      Lock lock(platform_);
      e.frames -= n < e.frames ? n : e.frames;
      all += n;
    }
  }
  if (all == 0) return;
  ring_.release(UINT32_MAX);
  dismissed_seq_ = frames_captured();
  last_sent_seq_ = dismissed_seq_;
  note(Note::Dismissed, all);
}

void Camera::tick_closing() {
  bool done = now_ - state_since_ms_ > kClosingMs;
  if (!done && (bye_sent_ || bye_due_)) {
    uint16_t sent = FrameRing::kNone;
    const WsWriter::Progress p = writer_.pump(ws_, &sent);
    if (sent != FrameRing::kNone) ring_.sent(sent);
    if (p == WsWriter::Progress::Dead) done = true;
    if (bye_due_) send_bye();
    if (bye_sent_ && writer_.text_out() && !close_queued_) close_queued_ = writer_.close(kCloseNormal, "");
    // False means that the peer's close came, or the stream ended.
    if (!done && !read_socket()) done = true;
  }
  if (!done) return;
  bye_sent_ = bye_due_ = false;
  switch (after_) {
    case After::Sleep: go_to_sleep(); return;
    case After::Forget: factory_reset(); return;
    case After::Ota: rtc_->restart_for_ota = 1; break;
    case After::Restart: break;
  }
  first_.reset();
  second_.reset();
  account();
  rtc_->lost_before += ring_.unsent();
  rtc_seal(rtc_);
  enter(State::Sleeping);
  platform_.restart();
}

// --- the second connection: settings reported, images fetched ---------------

void Camera::tick_second() {
  if (put_running_) {
    finish_put();
    return;
  }
  if (ota_phase_ == OtaPhase::Fetching) {
    tick_fetch();
    return;
  }
  if (!online()) return;
  if (settings_dirty_ && now_ >= put_retry_ms_ && ota_phase_ == OtaPhase::None && !(options_.scarce_memory && camera_on_)) {
    start_put();
  } else if (ota_phase_ == OtaPhase::Waiting && !open_event() && !undelivered()) {
    start_fetch();
  }
}

void Camera::start_put() {
  put_retry_ms_ = now_ + kPutRetryMs;
  put_running_ = dial(second_, dialed_host_, dialed_port_, true);
}

void Camera::finish_put() {
  const Exchange::Phase phase = second_.poll();
  resync();
  switch (phase) {
    case Exchange::Phase::Ready: {
      json::Writer w(text_, sizeof text_);
      w.begin().num("rev", settings_.rev);
      settings_write(w, settings_, dirty_keys_);
      w.end();
      const size_t n = w.finish();
      char authorization[kKeyMax + 8] = "Bearer ";
      copy_string(authorization + 7, kKeyMax, claim_.api_key);
      HttpRequest r(second_.buffer(), second_.capacity(), "PUT", "/device/config", claim_.name);
      r.header("Authorization", authorization).header("X-Camera-Id", identity_.id);
      r.header("Content-Type", "application/json").header("Connection", "close");
      put_body_ = 0;
      second_.send(r.finish(text_, n));
      return;
    }
    case Exchange::Phase::Body: {
      for (;;) {
        const size_t room = second_.capacity() - 1 - put_body_;
        uint8_t* to = reinterpret_cast<uint8_t*>(second_.buffer()) + put_body_;
        const int n = room ? second_.read_body(to, room) : -2;
        if (n > 0) {
          put_body_ += static_cast<size_t>(n);
          continue;
        }
        if (n == 0) return;
        const int status = second_.response().status;
        const json::Value body = n == -1 ? json::parse(second_.buffer(), put_body_) : json::Value();
        put_running_ = false;
        if (status == 200 && body.is(json::Kind::Object)) {
          settings_dirty_ = false;
          dirty_keys_ = 0;
          platform_.store_erase("dirty");
          on_config(body);
        } else if (status == 400) {
          // It will be refused again; the gateway's desired value stands.
          settings_dirty_ = false;
          dirty_keys_ = 0;
          platform_.store_erase("dirty");
        }
        second_.reset();
        return;
      }
    }
    case Exchange::Phase::Failed:
    case Exchange::Phase::Idle:
      second_.reset();
      put_running_ = false;
      return;
    default: return;
  }
}

void Camera::on_ota(json::Value m) {
  if (ota_phase_ == OtaPhase::Fetching) return;
  const char* error = identity_.caps.ota ? ota_.offer(m, identity_.fw, options_.battery, battery_mv_) : "unsupported";
  if (error) {
    report_ota("failed", 0, error);
    return;
  }
  ota_phase_ = OtaPhase::Waiting;
}

void Camera::report_ota(const char* state, uint32_t percent, const char* error) {
  note(Note::OtaProgress, percent);
  if (online()) send(encode_ota(text_, sizeof text_, state, percent, error));
}

void Camera::ota_failed(const char* slug) {
  second_.reset();
  ota_.abort();
  ota_phase_ = OtaPhase::None;
  log(LogLevel::Error, slug);
  report_ota("failed", 0, slug);
  linger_until_ms_ = now_ + kLingerMs;
}

void Camera::start_fetch() {
  stop_camera();
  stream_until_ms_ = keep_until_ms_ = 0;
  ota_phase_ = OtaPhase::Fetching;
  last_percent_ = 0;
  const bool open = ota_.start();
  resync();
  if (!open) {
    ota_failed("slot");
    return;
  }
  report_ota("downloading", 0, nullptr);
  // A failed dial shows as Phase::Failed at the next tick and counts as a try.
  dial(second_, dialed_host_, dialed_port_, true);
}

void Camera::tick_fetch() {
  const Exchange::Phase phase = second_.poll();
  resync();
  if (phase == Exchange::Phase::Ready) {
    char authorization[kKeyMax + 8] = "Bearer ";
    copy_string(authorization + 7, kKeyMax, claim_.api_key);
    HttpRequest r(second_.buffer(), second_.capacity(), "GET", ota_.offered().path, claim_.name);
    r.header("Authorization", authorization).header("X-Camera-Id", identity_.id).header("Connection", "close");
    if (ota_.received()) {
      char range[24] = "bytes=";
      char digits[12];
      size_t n = 0;
      for (uint32_t v = ota_.received(); v; v /= 10) digits[n++] = static_cast<char>('0' + v % 10);
      size_t k = 6;
      while (n) range[k++] = digits[--n];
      range[k++] = '-';
      range[k] = 0;
      r.header("Range", range);
    }
    second_.send(r.finish());
    fetch_checked_ = false;
    return;
  }
  bool again = phase == Exchange::Phase::Failed || phase == Exchange::Phase::Idle;
  if (phase == Exchange::Phase::Body) {
    const HttpResponse& r = second_.response();
    if (!fetch_checked_) {
      fetch_checked_ = true;
      if (r.status == 200 && ota_.received()) {
        // The server does not do ranges: from the beginning.
        ota_.abort();
        if (!ota_.start()) {
          ota_failed("slot");
          return;
        }
      } else if (r.status == 206 && r.range_start != ota_.received()) {
        ota_failed("range");
        return;
      } else if (r.status != 200 && r.status != 206) {
        ota_failed(r.status == 404 ? "not_found" : "http");
        return;
      }
      if (r.has_length && r.content_length != ota_.offered().size - ota_.received()) {
        ota_failed("size");
        return;
      }
    }
    uint8_t chunk[1024];
    for (int i = 0; i < 16; ++i) {
      const int n = second_.read_body(chunk, sizeof chunk);
      if (n == 0) break;
      if (n < 0) {
        again = true;
        break;
      }
      if (!ota_.write(chunk, static_cast<size_t>(n))) {
        ota_failed("slot");
        return;
      }
      if (ota_.complete()) break;
    }
    if (ota_.complete()) {
      second_.reset();
      report_ota("verifying", 100, nullptr);
      const char* error = ota_.finish();
      resync();
      if (error) {
        ota_failed(error);
        return;
      }
      report_ota("installed", 100, nullptr);
      ota_phase_ = OtaPhase::None;
      say_bye(After::Ota, "ota", 0);
      return;
    }
    if (ota_.percent() >= last_percent_ + 10) {
      last_percent_ = ota_.percent() / 10 * 10;
      report_ota("downloading", last_percent_, nullptr);
    }
  }
  if (!again) return;
  second_.reset();
  if (first_.phase() != Exchange::Phase::Idle) return;  // it is building its request in the shared buffer
  if (!ota_.start()) {
    ota_failed("download");
    return;
  }
  dial(second_, dialed_host_, dialed_port_, true);
}

}  // namespace magicpi
