// A camera that belongs to nobody yet: portal, setup endpoint, registration, Improv Serial, and the button.
#include "camera.h"

#include <string.h>

#include "codec.h"
#include "crypto.h"
#include "qr.h"

namespace magicpi {

namespace {
constexpr uint32_t kRegisterMs = 10 * 60000;   // how long the token is good
constexpr uint32_t kPortalMs = 10 * 60000;
constexpr uint32_t kJoinMs = 25000;
constexpr uint32_t kReplyMs = 300;
constexpr uint32_t kButtonPortalMs = 1000, kButtonForgetMs = 5000;
}  // namespace

void Camera::print_code() {
  static const char kText[] = "\r\nSetup code: ";
  platform_.console_write(reinterpret_cast<const uint8_t*>(kText), sizeof kText - 1);
  platform_.console_write(reinterpret_cast<const uint8_t*>(code_.grouped()), 19);
  platform_.console_write(reinterpret_cast<const uint8_t*>("\r\n"), 2);
  char link[128];
  if (claim_.claimed() || !setup_link(identity_.id, code_.grouped(), link, sizeof link - 2)) return;
  const size_t n = strlen(link);
  memcpy(link + n, "\r\n", 2);
  platform_.console_write(reinterpret_cast<const uint8_t*>(link), n + 2);
  wipe(link, sizeof link);
}

void Camera::print_qr() {
  char link[128];
  QrCode qr;
  if (!setup_link(identity_.id, code_.grouped(), link, sizeof link) || !qr.encode(link)) return;
  wipe(link, sizeof link);
  // Two rows of modules are one line of half blocks, light on a dark console: what is dark is left out.
  constexpr int kQuiet = 4;
  auto light = [&qr](int x, int y) {
    return x < 0 || y < 0 || x >= QrCode::kSize || y >= QrCode::kSize || !qr.dark(x, y);
  };
  for (int y = -kQuiet; y < QrCode::kSize + kQuiet; y += 2) {
    char line[3 * (QrCode::kSize + 2 * kQuiet) + 2];
    size_t n = 0;
    for (int x = -kQuiet; x < QrCode::kSize + kQuiet; ++x) {
      const bool above = light(x, y), below = y + 1 < QrCode::kSize + kQuiet && light(x, y + 1);
      const char* block = above && below ? "\xe2\x96\x88" : above ? "\xe2\x96\x80" : below ? "\xe2\x96\x84" : " ";
      while (*block) line[n++] = *block++;
    }
    line[n++] = '\r';
    line[n++] = '\n';
    platform_.console_write(reinterpret_cast<const uint8_t*>(line), n);
  }
}

void Camera::begin_setup() {
  setup_until_ms_ = now_ + kSetupMs;
  enter(State::Setup);
  if (wifi_.present() || identity_.wired) join();
  else open_portal();
}

void Camera::open_portal() {
  turn_radio_off();
  turn_radio_on();
  setup_phase_ = SetupPhase::Portal;
  platform_.setup_open(true);
}

void Camera::join() {
  if (setup_phase_ == SetupPhase::Portal || setup_phase_ == SetupPhase::Serving) platform_.setup_close();
  turn_radio_off();
  setup_phase_ = SetupPhase::Joining;
  link_began_ms_ = now_;
  turn_radio_on();
  platform_.wifi_begin(wifi_, &rtc_->wifi);
}

void Camera::leave_setup() {
  if (setup_phase_ == SetupPhase::Portal || setup_phase_ == SetupPhase::Serving) platform_.setup_close();
  setup_phase_ = SetupPhase::None;
  by_hand_ = false;
}

void Camera::tick_setup() {
  if (registering() && now_ >= retry_at_ms_) {
    // The answer to POST /setup is out; the endpoint stays open until the key is here, should it be tried again.
    candidate_ = 0;
    dial_next();
    return;
  }
  if (setup_phase_ == SetupPhase::Joining) {
    const LinkStatus status = platform_.wifi_status();
    const bool failed = status == LinkStatus::Failed || status == LinkStatus::BadPassword;
    if (status == LinkStatus::Up) {
      wifi_ms_ = static_cast<uint32_t>(now_ - link_began_ms_);
      if (improv_joining_) {
        uint8_t packet[kImprovMax];
        static const char* const kNext[] = {"https://my.home-assistant.io/redirect/config_flow_start?domain=magicpi_nvr"};
        improv_send(packet, improv_state(packet, ImprovState::Provisioned));
        improv_send(packet, improv_result(packet, ImprovCommand::WifiSettings, kNext, 1));
        improv_joining_ = false;
      }
      if (claim_.claimed()) {
        leave_setup();
        hello_due_ = true;
        enter(State::Idle);
        return;
      }
      setup_phase_ = SetupPhase::Serving;
      joined_ = true;
      platform_.setup_open(false);
    } else if (failed || now_ - link_began_ms_ > kJoinMs) {
      if (improv_joining_) {
        uint8_t packet[kImprovMax];
        improv_send(packet, improv_error(packet, ImprovError::UnableToConnect));
        improv_send(packet, improv_state(packet, ImprovState::Ready));
        improv_joining_ = false;
      }
      // Credentials that worked a minute ago are right: the network will come back.
      if (joined_ || identity_.wired) join();
      else open_portal();
    }
  } else if (setup_phase_ == SetupPhase::Serving && platform_.wifi_status() != LinkStatus::Up) {
    join();
  }
  if (now_ < setup_until_ms_) return;
  if (by_hand_) {
    leave_setup();
    turn_radio_off();
    enter(State::Idle);
  } else if (!on_mains()) {
    // Waiting for an owner must not empty the cell; power or button starts it again.
    leave_setup();
    turn_radio_off();
    rtc_seal(rtc_);
    enter(State::Sleeping);
    platform_.sleep(SleepRequest{0, PirWake::Off});
  }
}

int Camera::setup_get(char* out, size_t cap) {
  if (cap) out[0] = 0;
  if (claim_.claimed()) return 409;
  return endpoint_.get(out, cap, identity_.id, identity_.model, identity_.fw, identity_.caps) ? 200 : 500;
}

int Camera::setup_post(const char* body, size_t n) {
  if (claim_.claimed()) return 409;
  // Between dial and answer the registration owns the claim being built.
  if (state_ != State::Setup && state_ != State::Backoff) return 409;
  now_ = platform_.now_ms();
  Bundle bundle;
  const int status = endpoint_.post(body, n, identity_.id, code_, buffer_, sizeof buffer_, &bundle);
  if (status != 204) return status;
  claim_ = bundle.claim;
  memcpy(token_, bundle.token, sizeof token_);
  wipe(bundle.token, sizeof bundle.token);
  rtc_->session_len = 0;
  rtc_->gateway_host[0] = 0;
  register_until_ms_ = now_ + kRegisterMs;
  setup_until_ms_ = now_ + kSetupMs;
  retry_at_ms_ = now_ + kReplyMs;
  no_link_until_ms_ = 0;
  backoff_.reset();
  found_n_ = 0;
  enter(State::Setup);
  return status;
}

void Camera::build_registration() {
  json::Writer w(text_, sizeof text_);
  w.begin().str("id", identity_.id).str("model", identity_.model).str("fw", identity_.fw).str("token", token_);
  write_caps(w, identity_.caps);
  w.end();
  const size_t n = w.finish();
  HttpRequest r(first_.buffer(), first_.capacity(), "POST", "/register", claim_.name);
  r.header("Content-Type", "application/json").header("Connection", "close");
  put_body_ = 0;
  first_.send(n ? r.finish(text_, n) : 0);
  wipe(text_, sizeof text_);
}

void Camera::finish_registering() {
  for (;;) {
    const size_t room = first_.capacity() - 1 - put_body_;
    uint8_t* to = reinterpret_cast<uint8_t*>(first_.buffer()) + put_body_;
    const int n = room ? first_.read_body(to, room) : -2;
    if (n > 0) {
      put_body_ += static_cast<size_t>(n);
      continue;
    }
    if (n == 0) {
      if (first_.poll() == Exchange::Phase::Failed) registration_failed(false);
      return;
    }
    const int status = first_.response().status;
    const json::Value body = n == -1 ? json::parse(first_.buffer(), put_body_) : json::Value();
    char key[kKeyMax];
    if (status != 201 || !body.get("api_key").to_string(key, sizeof key) || !key_valid(key)) {
      registration_failed(status == 400 || status == 401 || status == 409 || status == 413);
      return;
    }
    memcpy(claim_.api_key, key, sizeof key);
    claim_.prefer(dialed_host_);
    wipe(key, sizeof key);
    const json::Value config = body.get("config");
    if (config.is(json::Kind::Object)) {
      settings_merge(settings_, config, identity_.caps);
      config.get("rev").to_u32(&settings_.rev);
      save_settings();
    }
    wipe(first_.buffer(), put_body_);
    first_.reset();
    wipe(token_, sizeof token_);
    if (!claim_save(platform_, claim_)) {
      log(LogLevel::Error, "the claim could not be stored");
      claim_ = Claim();
      begin_setup();
      return;
    }
    leave_setup();
    hello_due_ = true;
    stay_until_ms_ = now_ + kStayAfterClaimMs;
    wake_ms_ = now_;
    candidate_ = 0;
    backoff_.reset();
    dial_next();
    return;
  }
}

void Camera::registration_failed(bool for_good) {
  log(LogLevel::Warning, "registration failed");
  wipe(first_.buffer(), put_body_);
  if (!for_good && now_ < register_until_ms_) {
    link_failed();
    return;
  }
  first_.reset();
  wipe(token_, sizeof token_);
  claim_ = Claim();
  setup_until_ms_ = now_ + kSetupMs;
  enter(State::Setup);
}

bool Camera::set_wifi(const char* ssid, const char* password) {
  if (identity_.wired || !wifi_valid(ssid, password)) return false;
  copy_string(wifi_.ssid, sizeof wifi_.ssid, ssid);
  copy_string(wifi_.password, sizeof wifi_.password, password);
  memset(&rtc_->wifi, 0, sizeof rtc_->wifi);
  joined_ = false;
  if (!wifi_save(platform_, wifi_)) return false;
  now_ = platform_.now_ms();
  setup_until_ms_ = now_ + kSetupMs;
  if (state_ == State::Setup) join();
  return true;
}

bool Camera::change_settings(const char* object, size_t n) {
  const SettingsChange change = settings_merge(settings_, json::parse(object, n), identity_.caps);
  if (!change.applied) return false;
  if (change.changed) {
    dirty_keys_ |= change.changed;
    uint8_t dirty[4];
    put_be32(dirty, dirty_keys_);
    save_settings();
    platform_.store_set("dirty", dirty, sizeof dirty);
    // Factory settings before a claim are nobody's news.
    settings_dirty_ = claim_.claimed();
    apply_settings(change);
  }
  return true;
}

void Camera::button(bool pressed) {
  const uint64_t now = platform_.now_ms();
  if (pressed == button_) return;
  button_ = pressed;
  if (pressed) {
    button_since_ms_ = now;
    return;
  }
  const uint64_t held = now - button_since_ms_;
  if (held >= kButtonForgetMs) {
    factory_reset();
  } else if (held >= kButtonPortalMs && !identity_.wired && claim_.claimed() && state_ != State::Setup && state_ != State::Sleeping) {
    now_ = now;
    first_.reset();
    second_.reset();
    writer_.reset();
    ring_.rewind();
    if (open_event()) close_event();
    stop_camera();
    by_hand_ = true;
    setup_until_ms_ = now + kPortalMs;
    enter(State::Setup);
    open_portal();
  }
}

void Camera::factory_reset() {
  claim_erase(platform_);
  platform_.store_erase("wifi");
  platform_.store_erase("config");
  platform_.store_erase("config2");
  platform_.store_erase("dirty");
  claim_ = Claim();
  memset(static_cast<void*>(rtc_), 0, sizeof *rtc_);
  rtc_open(rtc_);
  leave_setup();
  first_.reset();
  second_.reset();
  turn_radio_off();
  enter(State::Sleeping);
  platform_.restart();
}

// --- console ----------------------------------------------------------------

void Camera::console_byte(uint8_t byte) {
  switch (improv_.feed(byte)) {
    case ImprovParser::Event::Rpc: improv_rpc(); return;
    case ImprovParser::Event::Bad: {
      uint8_t packet[kImprovMax];
      improv_send(packet, improv_error(packet, ImprovError::InvalidRpc));
      return;
    }
    case ImprovParser::Event::Line:
      if (strcmp(improv_.line(), "code") == 0) print_code();
      else if (strcmp(improv_.line(), "qr") == 0) print_qr();
      else if (strcmp(improv_.line(), "status") == 0) log(LogLevel::Info, state_name(state()));
      else if (strcmp(improv_.line(), "reset claim") == 0) factory_reset();
      return;
    case ImprovParser::Event::None: return;
  }
}

void Camera::improv_rpc() {
  uint8_t packet[kImprovMax];
  switch (improv_.command()) {
    case ImprovCommand::WifiSettings: {
      // Nobody proved anything on this line, so it may not move a camera that has an owner.
      if (claim_.claimed() && !button_) {
        improv_send(packet, improv_error(packet, ImprovError::NotAuthorized));
        return;
      }
      char ssid[33], password[65];
      if (!improv_wifi(improv_.data(), improv_.length(), ssid, password) || !set_wifi(ssid, password)) {
        improv_send(packet, improv_error(packet, ImprovError::InvalidRpc));
        return;
      }
      wipe(password, sizeof password);
      improv_joining_ = true;
      improv_send(packet, improv_error(packet, ImprovError::None));
      improv_send(packet, improv_state(packet, ImprovState::Provisioning));
      return;
    }
    case ImprovCommand::GetState: {
      const bool provisioned = claim_.claimed() || setup_phase_ == SetupPhase::Serving;
      improv_send(packet, improv_state(packet, improv_joining_ ? ImprovState::Provisioning
                                                               : provisioned ? ImprovState::Provisioned : ImprovState::Ready));
      if (provisioned) {
        static const char* const kNext[] = {"https://my.home-assistant.io/redirect/config_flow_start?domain=magicpi_nvr"};
        improv_send(packet, improv_result(packet, ImprovCommand::GetState, kNext, 1));
      }
      return;
    }
    case ImprovCommand::DeviceInfo: {
      const char* const strings[] = {"MagicPi camera", identity_.fw, identity_.model, identity_.setup_name};
      improv_send(packet, improv_result(packet, ImprovCommand::DeviceInfo, strings, 4));
      return;
    }
    case ImprovCommand::Scan:
      platform_.wifi_scan();
      resync();
      return;
    default: improv_send(packet, improv_error(packet, ImprovError::UnknownRpc)); return;
  }
}

void Camera::improv_network(const char* ssid, int rssi, bool secured) {
  char number[5];
  // -127..0 dBm is all a radio can say.
  int v = rssi < 0 ? -rssi : 0;
  if (v > 127) v = 127;
  size_t k = 0;
  number[k++] = '-';
  if (v >= 100) number[k++] = '1';
  if (v >= 10) number[k++] = static_cast<char>('0' + v / 10 % 10);
  number[k++] = static_cast<char>('0' + v % 10);
  number[k] = 0;
  const char* const strings[] = {ssid, number, secured ? "YES" : "NO"};
  uint8_t packet[kImprovMax];
  improv_send(packet, improv_result(packet, ImprovCommand::Scan, strings, 3));
}

void Camera::improv_network_end() {
  uint8_t packet[kImprovMax];
  improv_send(packet, improv_result(packet, ImprovCommand::Scan, nullptr, 0));
}

}  // namespace magicpi
