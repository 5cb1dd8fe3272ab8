// Life of a wake: begin, motion, capture, power. Connection and setup are in camera_link.cpp and camera_setup.cpp.
#include "camera.h"

#include <string.h>

#include "codec.h"

namespace magicpi {

namespace {
constexpr uint32_t kCameraRetryMs = 2000;
constexpr uint32_t kSealMs = 500;
constexpr uint32_t kBatteryMs = 10000;
constexpr uint32_t kSettleHighMs = 3000;
constexpr uint8_t kWarmFrames = 3, kPictureWarmFrames = 6;
constexpr uint32_t kQuickMs = 100;
constexpr uint32_t kRingDownMs = 10000;
constexpr uint8_t kBrownoutLimit = 3;
constexpr uint32_t kBrownoutRestS = 3600;
}  // namespace

Camera::Camera(Platform& platform, Transport& ws, Transport& https, const Identity& identity, const Options& options,
               uint8_t* ring_memory, size_t ring_bytes)
    : platform_(platform),
      ws_(ws),
      identity_(identity),
      options_(options),
      ring_(platform, ring_memory, ring_bytes),
      reader_(buffer_, sizeof buffer_),
      writer_(platform, ring_),
      first_(platform, ws, request_, sizeof request_),
      second_(platform, https, request_, sizeof request_),
      endpoint_(platform),
      ota_(platform, options.ota_key),
      pir_(options.pir) {
  ring_.on_loss(&Camera::on_loss, this);
}

uint32_t Camera::random32() {
  uint32_t v = 0;
  platform_.random(reinterpret_cast<uint8_t*>(&v), sizeof v);
  return v;
}

void Camera::enter(State s) {
  state_since_ms_ = now_;
  if (s == state_) return;
  state_ = s;
  note(Note::StateChanged, static_cast<uint32_t>(s));
}

void Camera::tell(const char* message) {
  log(LogLevel::Warning, message);
  pending_log_ = message;
}

void Camera::begin() {
  now_ = wake_ms_ = platform_.now_ms();
  rtc_ = reinterpret_cast<RtcState*>(platform_.rtc_memory());
  rtc_open(rtc_);
  ++rtc_->wakes;
  do boot_ = random32();
  while (boot_ == 0);
  cause_ = platform_.wake_cause();
  after_ota_ = rtc_->restart_for_ota != 0;
  rtc_->restart_for_ota = 0;

  code_.open(platform_);
  claim_load(platform_, &claim_);
  use_new_key_ = claim_.new_key[0] != 0;
  if (!wifi_load(platform_, &wifi_)) wifi_ = options_.wifi;
  uint8_t blob[kSettingsBlobMax];
  if (!settings_load(settings_, blob, platform_.store_get("config", blob, sizeof blob), identity_.caps)) {
    settings_ = options_.settings;
  } else if (!settings_load_more(settings_, blob, platform_.store_get("config2", blob, sizeof blob))) {
    // Written by firmware that knows fewer keys: the gateway shall send all of them again.
    settings_.rev = 0;
  }
  uint8_t dirty[4];
  if (platform_.store_get("dirty", dirty, sizeof dirty) == sizeof dirty) dirty_keys_ = get_be32(dirty);
  settings_dirty_ = dirty_keys_ != 0;
  capture_.interval_ms = 1000u / settings_.framerate;

  battery_ = static_cast<BatteryLevel>(rtc_->battery_level);
  tick_battery();
  confirm_image_ = ota_.boot();

  const bool pir_wake = cause_ == WakeCause::Pir;
  const bool armed_again = rtc_->pir_wait_low != 0 && pir_wake;
  pir_.begin(now_, cause_ == WakeCause::Power || cause_ == WakeCause::Brownout, pir_wake && !armed_again);
  enter(State::Idle);
  if (cause_ == WakeCause::Power || !claim_.claimed()) print_code();

  if (cause_ == WakeCause::Brownout) {
    if (rtc_->brownouts < 255) ++rtc_->brownouts;
    if (rtc_->brownouts >= kBrownoutLimit && sleepy()) {
      log(LogLevel::Error, "brownouts: resting");
      brownout_rest_ = quiet_wake_ = true;
    }
  } else if (cause_ == WakeCause::Power) {
    rtc_->brownouts = 0;
  }
  rtc_seal(rtc_);
  // Deep sleep leaves a sensor's supply and its standby alone; whatever else started this boot may not have.
  if (!woke_from_sleep()) {
    platform_.camera_park();
    resync();
  }

  if (!claim_.claimed()) {
    begin_setup();
    return;
  }
  if (quiet_wake_) return;
  if (pir_wake) {
    rtc_->pir_wait_low = 0;
    if (!armed_again) count_motion_wake();
    if (armed_again || storm_ || !pir_useful()) quiet_wake_ = true;
    else start_event(Source::Pir);
    return;
  }
  if (cause_ == WakeCause::Ring) {
    ring_raw_ = ring_down_ = true;
    if (ring_useful()) start_event(Source::Ring);
    else hello_due_ = true;
    return;
  }
  if (cause_ == WakeCause::Timer && platform_.rtc_ms() + 5000 < rtc_->next_timer_ms) {
    quiet_wake_ = true;  // the timer only ended a rest of the PIR
    return;
  }
  hello_due_ = true;
  if (cause_ == WakeCause::Timer && settings_.checkin_picture && sleepy() && battery_ != BatteryLevel::Critical) {
    start_event(Source::Timer);
  }
}

const char* Camera::source_name(Source s) { return s == Source::Timer ? "timer" : s == Source::Ring ? "ring" : "pir"; }

// --- motion and capture ----------------------------------------------------

bool Camera::pir_useful() const {
  return settings_.motion_enabled && identity_.caps.pir && battery_ != BatteryLevel::Critical && !rtc_->refused;
}

void Camera::count_motion_wake() {
  if (!sleepy()) return;
  storm_ = !count_pir_wake(&rtc_->wake_window_ms, &rtc_->wakes_in_window, platform_.rtc_ms(), options_.pir.wakes_per_hour) ||
           rtc_->event_s_in_window > options_.pir.event_s_per_hour;
  if (rtc_->wakes_in_window <= 1) rtc_->event_s_in_window = 0;
  if (storm_) log(LogLevel::Warning, "pir storm: resting");
}

void Camera::tick_battery() {
  if (battery_read_ms_ && now_ - battery_read_ms_ < kBatteryMs) return;
  battery_read_ms_ = now_ ? now_ : 1;
  battery_mv_ = identity_.caps.battery ? platform_.battery_mv() : -1;
  const BatteryLevel level = battery_level(options_.battery, battery_mv_, battery_);
  // Clock and transmit power are the chip's defaults after each reset, whatever RTC memory says of the cell.
  const bool save = level != BatteryLevel::Good;
  if (save != saving_) platform_.power_saving(save);
  saving_ = save;
  battery_ = level;
  rtc_->battery_level = static_cast<uint8_t>(level);
}

Camera::Event* Camera::open_event() {
  for (Event& e : events_) {
    if (e.id && e.open) return &e;
  }
  return nullptr;
}

Camera::Event* Camera::event_by_id(uint16_t id) {
  for (Event& e : events_) {
    if (id && e.id == id) return &e;
  }
  return nullptr;
}

void Camera::start_event(Source source) {
  Event* slot = &events_[0];
  for (Event& e : events_) {
    if (e.id == 0) {
      slot = &e;
      break;
    }
    if (e.id < slot->id) slot = &e;
  }
  {
    Lock lock(platform_);
    *slot = Event();
    slot->id = ++event_counter_;
    slot->source = source;
    slot->ring_ms = source == Source::Ring ? now_ : 0;
    capture_.single = source == Source::Timer;
    capture_.scene_taken = false;
    capture_.ring_still = source == Source::Ring;
    slot->open = true;
    slot->active = source != Source::Ring;
    slot->start_ms = slot->change_ms = now_;
  }
  // A check-in has budgets of its own.
  if (source != Source::Timer) {
    last_motion_ms_ = now_;
    had_event_ = true;
    stuck_told_ = false;
  }
  if (source == Source::Ring) note(Note::RingPressed, slot->id);
  await_confirmation(source == Source::Pir && settings_.confirm_motion && sleepy() && !online());
  if (state_ == State::Settling) enter(State::Idle);
  update_capture();
  note(Note::EventStarted, slot->id, static_cast<uint32_t>(slot->start_ms));
}

void Camera::await_confirmation(bool wanted) {
  Lock lock(platform_);
  capture_.confirming = capture_.confirm_anew = wanted;
  capture_.verdict = MotionConfirm::Verdict::Undecided;
}

void Camera::tick_ring() {
  if (!identity_.caps.ring) return;
  const bool raw = platform_.ring_level();
  // The same twice, ten milliseconds apart: no bounce.
  const bool pressed = raw && ring_raw_ && !ring_down_;
  if (raw == ring_raw_) ring_down_ = raw;
  ring_raw_ = raw;
  if (pressed) ring_waiting_ = true;
  if (!ring_waiting_ || !claim_.claimed() || state_ == State::Setup || !ring_useful()) return;
  if (Event* e = open_event()) {
    if (e->source == Source::Timer) return;  // done in a moment
    e->ring_ms = now_;
    e->ring_told = false;
    last_motion_ms_ = now_;
    await_confirmation(false);
    note(Note::RingPressed, e->id);
    Lock lock(platform_);
    capture_.ring_still = true;
  } else {
    // Said once the connection that is closing has closed, or the image is in.
    if (state_ == State::Closing || ota_phase_ != OtaPhase::None || brownout_rest_) return;
    if (state_ == State::Settling) wake_ms_ = now_;
    quiet_wake_ = false;
    start_event(Source::Ring);
  }
  ring_waiting_ = false;
}

void Camera::end_event() {
  bool capturing = false;
  {
    Lock lock(platform_);
    capturing = capture_.on && camera_on_;
    capture_.ending = capturing;
  }
  ending_since_ms_ = now_ ? now_ : 1;
  last_event_end_ms_ = now_;
  if (!capturing) close_event();
}

void Camera::close_event() {
  ending_since_ms_ = 0;
  Event* e = open_event();
  if (!e) return;
  bool late = false;
  uint32_t frames = 0, lost = 0;
  {
    Lock lock(platform_);
    late = capture_.ending;
    capture_.ending = false;
    e->open = false;
    e->end_ms = now_;
    frames = e->frames;
    lost = e->lost;
  }
  // The sensor gave no frame to carry the mark.
  if (late) ring_.flag_newest(e->id, kLast);
  if (e->active) {
    e->active = false;
    e->change_ms = now_;
  }
  if (e->source == Source::Timer) {
    // Motion that began meanwhile is still to get its event.
    if (settings_.confirm_motion && shared(capture_.scene_taken) && !pir_.high()) {
      memcpy(rtc_->scene, confirm_.last().cell, sizeof rtc_->scene);
      rtc_->scene_known = 1;
    }
  } else {
    last_event_end_ms_ = now_;
    const uint64_t seconds = (now_ - e->start_ms + 999) / 1000 + rtc_->event_s_in_window;
    rtc_->event_s_in_window = static_cast<uint16_t>(seconds < UINT16_MAX ? seconds : UINT16_MAX);
  }
  await_confirmation(false);
  note(Note::EventEnded, e->id, frames, lost);
  update_capture();
}

void Camera::drop_false_alarm() {
  Event* e = open_event();
  if (!e) return;
  const uint16_t id = e->id;
  {
    Lock lock(platform_);
    // A frame on its way into the ring would come after the release: the next tick finds it there.
    if (capture_.busy) return;
    capture_.on = capture_.ending = capture_.confirming = false;
    *e = Event();
    // Frames that were never reported are neither kept nor lost.
    dismissed_seq_ = seq_;
  }
  note(Note::AlarmDropped, id);
  if (rtc_->alarms_dropped < UINT16_MAX) ++rtc_->alarms_dropped;
  // Capture is off: nobody else has the grid now.
  memcpy(rtc_->scene, confirm_.last().cell, sizeof rtc_->scene);
  rtc_->scene_known = 1;
  ring_.release(dismissed_seq_);
  had_event_ = false;
  ending_since_ms_ = 0;
  last_event_end_ms_ = now_;
  update_capture();
}

void Camera::tick_motion() {
  pir_.update(now_, platform_.pir_level());
  if (!claim_.claimed() || state_ == State::Setup) return;
  const bool motion = pir_.motion() && pir_useful();
  if (motion) last_motion_ms_ = now_;
  Event* e = open_event();
  if (e && e->source == Source::Timer) {
    bool taken = false;
    {
      Lock lock(platform_);
      taken = e->frames != 0 && !capture_.busy;
    }
    if (taken || now_ - e->start_ms > kPictureMs || battery_ == BatteryLevel::Critical) close_event();
  } else if (e) {
    if (e->active != motion) {
      e->active = motion;
      e->change_ms = now_;
    }
    if (capture_.confirming) {
      const MotionConfirm::Verdict verdict = shared(capture_.verdict);
      if (verdict == MotionConfirm::Verdict::Motion || now_ - e->start_ms > kConfirmMs) {
        await_confirmation(false);
        update_capture();
      } else if (verdict == MotionConfirm::Verdict::Nothing) {
        drop_false_alarm();
        return;
      }
    }
    if (ending_since_ms_) {
      bool waiting = false;
      {
        Lock lock(platform_);
        waiting = capture_.ending || capture_.busy;
      }
      if (!waiting || now_ - ending_since_ms_ > 2 * capture_.interval_ms + 500) close_event();
    } else if (now_ - last_motion_ms_ >= stream_limit_s() * 1000ull || now_ - e->start_ms >= event_limit_s() * 1000ull ||
               (e->ring_ms ? battery_ == BatteryLevel::Critical : pir_.stuck() || !pir_useful())) {
      end_event();
    }
  } else if (motion && pir_.high_since() >= last_event_end_ms_ && !storm_ && state_ != State::Closing &&
             ota_phase_ == OtaPhase::None && !brownout_rest_) {
    if (state_ == State::Settling) {
      // As good as a wake: the same budgets, and a sensor that the radio triggers must not keep the camera up for ever.
      count_motion_wake();
      wake_ms_ = now_;
    }
    if (!storm_) {
      quiet_wake_ = false;
      start_event(Source::Pir);
    }
  }
  if (pir_.stuck() && !stuck_told_) {
    stuck_told_ = true;
    note(Note::PirStuck);
    tell("pir_stuck");
  }
}

void Camera::update_capture() {
  const Event* e = open_event();
  const bool event_frames = e && (settings_.pre_roll || welcomed_ || e->source == Source::Timer);
  bool still = false;
  {
    Lock lock(platform_);
    still = capture_.still;
  }
  // The sensor must not come back while the radio or the flash needs the current, or on the way to sleep.
  const bool wanted = (event_frames || streaming() || keeping() || still) && battery_ != BatteryLevel::Critical &&
                      state_ != State::Closing && state_ != State::Sleeping && ota_phase_ != OtaPhase::Fetching &&
                      !(options_.scarce_memory && put_running_);
  if (wanted && !camera_on_ && now_ >= camera_retry_ms_) {
    Settings s = settings_;
    const int quality = s.jpeg_quality + quality_step_;
    s.jpeg_quality = static_cast<uint8_t>(quality > 63 ? 63 : quality);
    camera_started_ms_ = sensor_on_ms_ = platform_.now_ms();
    camera_on_ = platform_.camera_start(s);
    resync();
    if (!camera_on_) {
      camera_retry_ms_ = now_ + kCameraRetryMs;
      tell("camera does not answer");
    }
    Lock lock(platform_);
    capture_.since_start = 0;
    capture_.next_ms = 0;
  }
  if (!wanted && camera_on_ && (sleepy() || options_.scarce_memory)) stop_camera();
  const bool flash = camera_on_ && wanted &&
                     (settings_.flash == FlashMode::On || (settings_.flash == FlashMode::Motion && event_frames));
  if (flash != flash_on_) {
    flash_on_ = flash;
    platform_.flash(flash);
  }
  Lock lock(platform_);
  // Once the last frame of an event is in, its task has switched capture off: not to be undone before close_event().
  const bool taken = e && e->source == Source::Timer && !capture_.single;
  if (!ending_since_ms_ && !taken) capture_.on = camera_on_ && wanted && (event_frames || streaming() || keeping());
  capture_.event = e ? e->id : 0;
  capture_.interval_ms = 1000u / settings_.framerate;
  capture_.keeping = !event_frames && !streaming() && keeping();
  if (capture_.keeping && capture_.interval_ms < keep_ms_) capture_.interval_ms = keep_ms_;
  // A verdict must not wait for a slow frame rate, nor a picture of a check-in for its sensor to warm up.
  if ((capture_.confirming || capture_.single) && capture_.interval_ms > kQuickMs) capture_.interval_ms = kQuickMs;
}

void Camera::stop_camera() {
  {
    Lock lock(platform_);
    capture_.on = capture_.still = false;
  }
  if (camera_on_) {
    platform_.camera_stop();
    resync();
    sensor_total_ms_ += static_cast<uint32_t>(now_ - sensor_on_ms_);
  }
  camera_on_ = false;
  if (flash_on_) platform_.flash(false);
  flash_on_ = false;
}

uint32_t Camera::frame_due() {
  const uint64_t now = platform_.now_ms();
  Lock lock(platform_);
  if (!capture_.on && !capture_.still) return UINT32_MAX;
  return capture_.next_ms > now ? static_cast<uint32_t>(capture_.next_ms - now) : 0;
}

void Camera::frame(const uint8_t* jpeg, size_t n, uint64_t t) {
  FrameInfo info;
  bool confirming = false, single = false;
  {
    Lock lock(platform_);
    if (!capture_.on && !capture_.still) return;
    // A grid of capture times, not a chain of delays; but no burst after a pause.
    capture_.next_ms += capture_.interval_ms;
    if (capture_.next_ms <= t) capture_.next_ms = t + capture_.interval_ms;
    // A frame that the driver cut off for want of buffer has no end marker; it is no picture.
    if (n < 4 || jpeg[0] != 0xff || jpeg[1] != 0xd8 || jpeg[n - 2] != 0xff || jpeg[n - 1] != 0xd9 || n > kMaxJpeg) {
      if (capture_.oversized < 255) ++capture_.oversized;
      return;
    }
    const bool warming = capture_.since_start < (capture_.single ? kPictureWarmFrames : kWarmFrames);
    ++capture_.since_start;
    if ((!capture_.on || capture_.single) && warming) return;
    if (capture_.first_frame_ms == 0) capture_.first_frame_ms = t ? t : 1;
    info.seq = ++seq_;
    info.t_ms = t;
    info.length = static_cast<uint32_t>(n);
    info.event = capture_.on ? capture_.event : 0;
    uint8_t flags = 0;
    if (!welcomed_ || (capture_.keeping && !info.event)) flags |= kPreRoll;
    if (warming) flags |= kWarming;
    if (capture_.still && !warming) {
      flags |= kStill;
      capture_.still = false;
      capture_.still_seq = info.seq;
    }
    if (capture_.ring_still && !warming && capture_.on) {
      flags |= kStill;
      capture_.ring_still = false;
    }
    if (capture_.ending || (capture_.single && capture_.on)) {
      flags |= kLast;
      single = capture_.single;
      capture_.ending = capture_.single = false;
      capture_.on = false;
    }
    info.flags = flags;
    if (Event* e = event_by_id(info.event)) {
      if (e->frames++ == 0) e->first_seq = info.seq;
      e->last_seq = info.seq;
    }
    capture_.busy = true;
    confirming = capture_.confirming;
    if (capture_.confirm_anew) {
      confirm_.begin(MotionConfirm::limits_for(settings_.confirm_sensitivity), settings_.ignore_grid,
                     rtc_->scene_known ? rtc_->scene : nullptr);
    }
    capture_.confirm_anew = false;
    if (single) capture_.scene_taken = false;
  }
  if (confirming) confirm_.add(jpeg, n);
  const bool scene = single && confirm_.look(jpeg, n);
  note(Note::FrameCaptured, info.seq, info.event, info.flags);
  ring_.add(info, jpeg);
  Lock lock(platform_);
  capture_.busy = false;
  if (single) capture_.scene_taken = scene;
  // Unless another event has begun meanwhile.
  if (confirming && !capture_.confirm_anew) capture_.verdict = confirm_.verdict();
}

void Camera::on_loss(void* self, const FrameRing::Loss& loss) {
  Camera& c = *static_cast<Camera*>(self);
  c.lost_ += loss.count;
  if (Event* e = c.event_by_id(loss.event)) e->lost += loss.count;
  c.note(Note::FrameLost, loss.seq, loss.count);
}

// --- power -----------------------------------------------------------------

uint32_t Camera::next_wake_s() {
  uint32_t interval = timer_interval_s(settings_.heartbeat_interval_s, rtc_->timer_failures);
  if (battery_ == BatteryLevel::Critical && interval < kSlowestTimerS) interval = kSlowestTimerS;
  if (rtc_->refused && interval < kRefusedS) interval = kRefusedS;
  const uint64_t now = platform_.rtc_ms();
  // A PIR wake that reached nobody leaves the check-in where it was; everything else starts a new interval.
  if (!welcomed_ && !hello_due_ && !rtc_->refused && rtc_->next_timer_ms > now + 1000) {
    const uint64_t left = (rtc_->next_timer_ms - now) / 1000;
    if (left < interval) return static_cast<uint32_t>(left);
  }
  return interval;
}

SleepRequest Camera::plan_sleep() {
  SleepRequest r{next_wake_s(), PirWake::Off};
  const uint64_t now = platform_.rtc_ms();
  rtc_->next_timer_ms = now + r.timer_s * 1000ull;
  if (brownout_rest_) {
    if (r.timer_s < kBrownoutRestS) r.timer_s = kBrownoutRestS;
    return r;
  }
  if (!pir_useful()) return r;
  if (storm_) {
    const uint32_t rest = pir_rest_s(rtc_->wake_window_ms, now);
    if (rest < r.timer_s) r.timer_s = rest;
    return r;
  }
  r.pir = pir_.high() ? PirWake::OnLow : PirWake::OnHigh;
  return r;
}

void Camera::account() {
  turn_radio_off();
  const WakeKind kind = cause_ == WakeCause::Pir ? kWakePir : cause_ == WakeCause::Timer ? kWakeTimer
                        : cause_ == WakeCause::Ring ? kWakeRing : kWakeOther;
  if (rtc_->wakes_by[kind] < UINT16_MAX) ++rtc_->wakes_by[kind];
  const uint64_t now = platform_.now_ms();
  rtc_->awake_ms += static_cast<uint32_t>(now);
  rtc_->radio_ms += radio_total_ms_;
  rtc_->sensor_ms += sensor_total_ms_;
}

bool Camera::may_sleep() {
  if (!sleepy()) return false;
  const uint64_t awake = now_ - wake_ms_;
  if (confirm_image_ || ota_phase_ != OtaPhase::None || streaming() || put_running_) return false;
  if (awake > kMaxWakeMs) return true;
  if (open_event() || now_ < stay_until_ms_) return false;
  if (online()) {
    if (now_ < linger_until_ms_ || still_id_[0]) return false;
    if (settings_dirty_ && now_ - welcomed_at_ms_ < kDrainStallMs) return false;
    if (!undelivered()) return true;
    uint64_t progress = last_ack_ms_ > last_event_end_ms_ ? last_ack_ms_ : last_event_end_ms_;
    if (progress < welcomed_at_ms_) progress = welcomed_at_ms_;
    return now_ - progress > kDrainStallMs || now_ - last_event_end_ms_ > kDrainMs;
  }
  if (quiet_wake_ || now_ < no_link_until_ms_ || !wants_link()) return true;
  if (had_event_) return now_ - last_event_end_ms_ > offline_budget_ms(rtc_->event_failures);
  return awake > (cause_ == WakeCause::Timer ? kTimerOfflineMs : kPowerOnMs);
}

void Camera::tick_power() {
  if (confirm_image_ && now_ - wake_ms_ > OtaUpdate::kConfirmMs) {
    log(LogLevel::Error, "new image found no gateway: rolling back");
    rtc_seal(rtc_);
    const State before = state_;
    enter(State::Sleeping);
    if (platform_.ota_rollback()) return;
    // The one image there is goes on looking for the gateway: LED, console and Home Assistant show a camera that lives.
    confirm_image_ = false;
    ota_.confirmed();
    enter(before);
    tell("no image to go back to: this one is kept");
  }
  if (state_ == State::Settling || state_ == State::Closing || state_ == State::Setup || registering()) return;
  if (!may_sleep()) return;
  if (open_event() && !online()) close_event();
  if (online()) say_bye(After::Sleep, "sleep", next_wake_s());
  else go_to_sleep();
}

void Camera::turn_radio_on() {
  if (!radio_) radio_on_ms_ = now_;
  radio_ = true;
}

void Camera::turn_radio_off() {
  if (!radio_) return;
  platform_.wifi_end();
  resync();
  radio_ = false;
  radio_total_ms_ += static_cast<uint32_t>(now_ - radio_on_ms_);
  pir_.radio_off(now_);
}

void Camera::go_to_sleep() {
  first_.reset();
  second_.reset();
  writer_.reset();
  ring_.rewind();
  stop_camera();
  turn_radio_off();
  enter(State::Settling);
}

void Camera::tick_settling() {
  // A button that is held down would end the sleep at once; one that is stuck must not keep the camera awake.
  if (ring_down_ && now_ - state_since_ms_ < kRingDownMs) return;
  if (pir_useful() && !storm_ && !brownout_rest_) {
    if (pir_.doubtful()) return;
    const uint32_t wait = pir_.quiet_in(now_);
    if (wait != UINT32_MAX && (wait || now_ < pir_.settled_at())) return;
    if (wait == UINT32_MAX && now_ - state_since_ms_ < kSettleHighMs && !pir_.stuck()) return;
  }
  sleep_now();
}

void Camera::sleep_now() {
  // What stays behind in RAM is gone with this boot; the next hello says so.
  uint32_t unsent = ring_.unsent();
  // A check-in's picture that reached nobody is no footage: the next check-in has a newer one.
  for (const Event& e : events_) {
    if (e.id && e.source == Source::Timer) unsent -= ring_.unsent_of(e.id);
  }
  rtc_->lost_before += (welcomed_ ? 0 : lost_) + unsent;
  if (!welcomed_ && hello_due_ && rtc_->timer_failures < 255) ++rtc_->timer_failures;
  if (!welcomed_ && had_event_ && rtc_->event_failures < 255) ++rtc_->event_failures;
  SleepRequest request = plan_sleep();
  request.ring = ring_useful() && !ring_down_ && !brownout_rest_;
  account();
  rtc_->pir_wait_low = request.pir == PirWake::OnLow;
  rtc_seal(rtc_);
  enter(State::Sleeping);
  platform_.sleep(request);
}

// --- the loop --------------------------------------------------------------

uint32_t Camera::poll() {
  now_ = platform_.now_ms();
  if (state_ == State::Sleeping || state_ == State::Boot) return 1000;
  tick_battery();
  tick_motion();
  tick_ring();
  if (stream_until_ms_ && now_ >= stream_until_ms_ && sleepy()) {
    stream_until_ms_ = 0;
    update_capture();
  }
  if (keep_until_ms_ && (now_ >= keep_until_ms_ || sleepy())) {
    keep_until_ms_ = 0;
    update_capture();
  }
  if (open_event() && !camera_on_) update_capture();
  uint8_t oversized = 0;
  {
    Lock lock(platform_);
    oversized = capture_.oversized;
    if (oversized >= 3) capture_.oversized = 0;
  }
  if (oversized >= 3 && quality_step_ < 40) {
    quality_step_ = static_cast<uint8_t>(quality_step_ + 4);
    tell("frames too big: quality lowered");
    stop_camera();
    update_capture();
  }
  if (state_ == State::Setup) tick_setup();
  else if (state_ == State::Settling) tick_settling();
  else if (state_ == State::Closing) tick_closing();
  else tick_session();
  if (state_ != State::Sleeping) tick_second();
  if (state_ != State::Sleeping) tick_power();
  if (state_ == State::Sleeping) return 1000;
  if (now_ - sealed_ms_ >= kSealMs) {
    sealed_ms_ = now_;
    rtc_seal(rtc_);
  }
  if (ota_phase_ == OtaPhase::Fetching || (online() && !writer_.empty())) return 2;
  if (state_ == State::Setup && setup_phase_ == SetupPhase::Serving) return 20;
  return 10;
}

}  // namespace magicpi
