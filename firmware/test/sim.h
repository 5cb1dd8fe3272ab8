// A camera, its Wi-Fi, its gateway and its days on a virtual clock. Everything is deterministic.
#pragma once

#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../magicpi_cam/src/core/camera.h"
#include "../magicpi_cam/src/core/codec.h"
#include "../magicpi_cam/src/core/crypto.h"

namespace sim {

using namespace magicpi;

using Bytes = std::vector<uint8_t>;

/// How long things take, ms, and what they cost, mA. Defaults: AI-Thinker ESP32-CAM, figures of the firmware notes
/// (190 mA with everything on; 5 mA asleep as sold).
struct Model {
  uint32_t boot_ms = 100;              // to setup(), PSRAM not tested
  uint32_t psram_test_ms = 440;        // 4 MB; the core's, before setup()
  bool psram_test_at_wake = false;     // firmware up to 0.1.0
  uint32_t begin_ms = 60;              // console, pins, entropy, NVS
  uint32_t ota_finish_ms = 2500;       // the written image is read again and verified
  uint32_t park_ms = 400;
  double unparked_ma = 0;              // a sensor without power-down pin that nobody sent to standby
  uint32_t camera_ms = 300, wifi_cold_ms = 1800, wifi_warm_ms = 500;
  uint32_t tcp_ms = 10, tls_full_ms = 1300, tls_resumed_ms = 100, rtt_ms = 10;
  uint32_t bytes_per_ms = 300;
  double sleep_ma = 5, cpu_ma = 50, radio_ma = 90, sensor_ma = 50;
};

/// A baseline JPEG of 128 x 96 gray pixels, one block a cell, filled up to `bytes` by a comment.
inline Bytes gray_jpeg(const LumaGrid& grid, size_t bytes = 0) {
  Bytes out{0xff, 0xd8, 0xff, 0xdb, 0, 67, 0};
  out.insert(out.end(), 64, 8);   // DC in steps of one luma
  const uint8_t frame[] = {0xff, 0xc0, 0, 11, 8, 0, 96, 0, 128, 1, 1, 0x11, 0};
  out.insert(out.end(), frame, frame + sizeof frame);
  // DC categories 0..11 as codes of four bits, and one AC code: end of block.
  const uint8_t dc[] = {0xff, 0xc4, 0, 31, 0x00, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const uint8_t ac[] = {0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  out.insert(out.end(), dc, dc + sizeof dc);
  out.insert(out.end(), ac, ac + sizeof ac);
  if (out.size() + 700 < bytes) {
    const size_t n = std::min<size_t>(bytes - out.size() - 700, 60000);
    const uint8_t comment[] = {0xff, 0xfe, static_cast<uint8_t>((n + 2) >> 8), static_cast<uint8_t>(n + 2)};
    out.insert(out.end(), comment, comment + sizeof comment);
    out.insert(out.end(), n, 0x20);
  }
  const uint8_t scan[] = {0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0};
  out.insert(out.end(), scan, scan + sizeof scan);
  uint32_t bits = 0;
  int left = 0, previous = 128;
  auto put = [&](uint32_t value, int n) {
    for (int i = n - 1; i >= 0; --i) {
      bits = bits << 1 | (value >> i & 1);
      if (++left < 8) continue;
      out.push_back(static_cast<uint8_t>(bits));
      if ((bits & 0xff) == 0xff) out.push_back(0);
      left = 0;
      bits = 0;
    }
  };
  for (const uint8_t cell : grid.cell) {
    const int d = cell - previous;
    previous = cell;
    int size = 0;
    while ((d < 0 ? -d : d) >> size) ++size;
    put(static_cast<uint32_t>(size), 4);
    if (size) put(static_cast<uint32_t>(d < 0 ? d + (1 << size) - 1 : d), size);
    put(0, 1);
  }
  while (left) put(1, 1);
  out.push_back(0xff);
  out.push_back(0xd9);
  return out;
}

struct Frame {
  uint8_t flags;
  uint16_t event;
  uint32_t seq;
  uint64_t t;
  uint32_t boot;
  Bytes jpeg;
};

class Wire;

/// The other end: registers, welcomes, keeps frames, acknowledges. Tests bend the public members.
class Gateway {
 public:
  bool up = true;
  bool ack = true;
  bool stalled = false;            // reads nothing
  bool refuse_key = false;
  bool resume_ok = true;
  int register_status = 201;
  int upgrade_status = 101;
  uint16_t close_with = 0;         // instead of welcome
  uint16_t close_on_frame = 0;
  uint32_t drop_after_bytes = 0;   // link dies after so many bytes, once
  std::string token = "tokentokentokentokentokentokentokentokentok";
  std::string key = "keykeykeykeykeykeykeykeykeykeykeykeykeykeyk";
  std::string new_key;             // also accepted
  std::string config = "{\"rev\":1}";   // offered in welcome if the camera has another rev
  uint32_t config_rev = 1;
  uint32_t stay_awake_s = 0;
  Bytes image;
  uint32_t cut_image_at = 0;
  bool no_ranges = false;
  std::vector<std::string> send_after_welcome;

  std::vector<Frame> frames;
  std::map<uint32_t, std::set<uint32_t>> kept;     // boot -> seqs
  std::map<uint32_t, uint32_t> have;
  uint32_t duplicates = 0, violations = 0, connections = 0, resumptions = 0;
  std::vector<std::string> texts;
  std::vector<std::string> puts;
  std::vector<std::string> requests;               // request lines
  std::string hello;
  Wire* live = nullptr;

  int count(const std::string& part) const {
    int n = 0;
    for (const std::string& t : texts) n += t.find(part) != std::string::npos;
    return n;
  }
  std::string last(const std::string& part) const {
    for (size_t i = texts.size(); i; --i) {
      if (texts[i - 1].find(part) != std::string::npos) return texts[i - 1];
    }
    return "";
  }
  void send_text(const std::string& text);
  void send_frame(uint8_t head, const Bytes& payload);
  void receive(Wire& wire, const uint8_t* data, size_t n);

 private:
  friend class Wire;
  void request(Wire& wire);
  void websocket(Wire& wire);
  void message(Wire& wire, uint8_t op, const Bytes& payload);
};

class World;

/// One simulated TLS connection, camera side.
class Wire final : public Transport {
 public:
  explicit Wire(World& world) : world_(world) {}
  bool dial(const Dial& d) override;
  IoStatus poll() override;
  IoError error() const override { return error_; }
  int write(const uint8_t* data, size_t n) override;
  int read(uint8_t* data, size_t n) override;
  size_t save_session(uint8_t* out, size_t cap) override;
  bool resumed() const override { return resumed_; }
  void close() override;
  void reply(const std::string& s) { rx.insert(rx.end(), s.begin(), s.end()); }
  void reply(const Bytes& s) { rx.insert(rx.end(), s.begin(), s.end()); }
  /// The link dies: reads and writes fail from now on.
  void cut() { status_ = IoStatus::Failed; }
  bool open() const { return status_ == IoStatus::Open; }

  // Server side.
  std::string in;
  bool upgraded = false;
  std::deque<uint8_t> rx;
  Bytes payload;
  uint8_t op = 0;
  uint32_t boot = 0;
  uint64_t bytes = 0;
  Gateway* gateway() { return gateway_; }
  bool finish_after_read = false;
  uint32_t cut_after_read = 0;

 private:
  World& world_;
  Gateway* gateway_ = nullptr;
  IoStatus status_ = IoStatus::Idle;
  IoError error_ = IoError::None;
  uint64_t at_ = 0;
  double credit_ = 0;
  uint64_t credit_at_ = 0;
  bool resumed_ = false, offered_ = false;
  uint32_t read_ = 0;
};

struct Interval {
  uint64_t from, to;
  bool has(uint64_t t) const { return t >= from && t < to; }
};

class World final : public Platform {
 public:
  Model model;
  Gateway gateway;
  Options options;
  Identity identity;
  std::vector<Interval> motion;        // absolute ms
  std::vector<Interval> ring;          // the doorbell button is down
  std::vector<Interval> wifi_down, gateway_down;
  bool wrong_ca = false;
  bool wifi_bad_password = false;
  bool camera_broken = false;
  uint32_t jpeg_bytes = 3000;
  bool truncated_jpeg = false;
  int mv = -1;
  std::function<int(World&)> mv_model;
  std::vector<GatewayAddress> mdns;    // what a look-up finds
  std::set<std::string> dead_hosts;
  uint64_t now = 0;                    // absolute

  // Observations.
  uint64_t wakes = 0, captured = 0, portal_opens = 0, setup_opens = 0, restarts = 0, rollbacks = 0, confirms = 0;
  uint64_t lookups = 0, camera_starts = 0, radio_starts = 0, identifies = 0;
  uint64_t longest_wake = 0;
  uint64_t awake_ms = 0, radio_ms = 0, sensor_ms = 0, asleep_ms = 0;
  double mas = 0;                      // mA * ms
  std::vector<SleepRequest> sleeps;
  std::vector<std::string> logs;
  Bytes console;
  std::vector<Note> notes;
  std::map<uint32_t, std::set<uint32_t>> taken;   // boot -> seq captured
  std::vector<uint64_t> dropped_at;               // false alarms, absolute ms
  uint64_t max_capture_gap = 0;
  bool flash_on = false;
  Bytes slot;
  bool pending_image = false;
  bool store_broken = false;

  explicit World(size_t ring_bytes = 512 * 1024) : ring_(ring_bytes) {
    copy_string(identity.id, sizeof identity.id, "AA:BB:CC:DD:EE:FF");
    identity.model = "Simulated";
    identity.fw = "1.0.0";
    identity.setup_name = "MagicPi-EEFF";
    copy_string(options.wifi.ssid, sizeof options.wifi.ssid, "home");
    copy_string(options.wifi.password, sizeof options.wifi.password, "password");
    options.pir.settle_ms = 30000;
    memset(rtc_, 0xa5, sizeof rtc_);
  }
  ~World() { gateway.live = nullptr; }

  Camera& camera() { return *camera_; }
  bool asleep() const { return asleep_; }
  uint64_t uptime() const { return now - boot_at_; }
  WifiCache* wifi_cache = nullptr;

  /// Makes this camera a claimed one without the dance.
  void adopt() {
    Claim c;
    c.hosts = 1;
    copy_string(c.host[0], kHostMax, "192.168.1.10");
    c.port = 3443;
    copy_string(c.name, sizeof c.name, "nvr.magicpi.internal");
    copy_string(c.ca16, sizeof c.ca16, "0123456789abcdef");
    copy_string(c.api_key, sizeof c.api_key, gateway.key.c_str());
    claim_save(*this, c);
    store["ca"] = Bytes{'c', 'a'};
  }

  void boot(WakeCause cause) {
    cause_ = cause;
    asleep_ = restart_ = false;
    lose_all_but_rtc(cause);
    // What is over cannot matter again, and a month of it would be looked through at every poll.
    motion.erase(std::remove_if(motion.begin(), motion.end(), [this](const Interval& m) { return m.to <= now; }), motion.end());
    wires_[0] = std::make_unique<Wire>(*this);
    wires_[1] = std::make_unique<Wire>(*this);
    ++wakes;
    boot_at_ = now;
    last_frame_ = 0;
    // The chip's own start comes before the firmware's clock is of use, but counts.
    const bool woke = cause == WakeCause::Pir || cause == WakeCause::Timer || cause == WakeCause::Button ||
                      cause == WakeCause::Ring;
    spend(model.boot_ms + model.begin_ms + (woke && !model.psram_test_at_wake ? 0 : model.psram_test_ms));
    camera_ = std::make_unique<Camera>(*this, *wires_[0], *wires_[1], identity, options, ring_.data(), ring_.size());
    camera_->begin();
  }

  /// Lives until `until` (absolute) or until `stop` says so; sleeps and wakes as it asks for.
  bool run_until(uint64_t until, const std::function<bool()>& stop = nullptr) {
    while (now < until) {
      if (stop && stop()) return true;
      if (restart_) {
        longest_wake = std::max(longest_wake, uptime());
        ++restarts;
        boot(WakeCause::Software);
        continue;
      }
      if (asleep_) {
        sleep_out(until);
        continue;
      }
      const uint32_t wait = camera_->poll();
      if (asleep_ || restart_) continue;
      advance(std::max<uint32_t>(1, std::min<uint32_t>(wait, 10)));
    }
    return stop && stop();
  }
  bool run(uint64_t ms, const std::function<bool()>& stop = nullptr) { return run_until(now + ms, stop); }
  bool run_to(State s, uint64_t ms = 60000) {
    return run(ms, [this, s] { return camera_->state() == s; });
  }
  bool run_to_sleep(uint64_t ms = 600000) {
    return run(ms, [this] { return asleep_; });
  }

  /// Time passes while the network task does something else: the capture task goes on.
  void advance(uint32_t ms) {
    const uint64_t end = now + ms;
    while (now < end) {
      uint64_t next = end;
      if (sensor_ && camera_ && !broken_frames) {
        const uint32_t due = camera_->frame_due();
        if (due == 0) {
          take_frame();
          continue;
        }
        if (due != UINT32_MAX) next = std::min<uint64_t>(end, now + due);
      }
      spend(static_cast<uint32_t>(next - now));
    }
  }
  bool broken_frames = false;
  uint64_t radio_pulse_ms = 0;         // what the transmitter makes of the PIR when it goes off

  static bool in(const std::vector<Interval>& list, uint64_t t) {
    for (const Interval& i : list) {
      if (i.has(t)) return true;
    }
    return false;
  }
  bool wifi_works() const { return !in(wifi_down, now); }
  bool gateway_works() const { return gateway.up && !in(gateway_down, now); }
  void press_ring(uint64_t after, uint64_t length = 300) { ring.push_back({now + after, now + after + length}); }
  void move_pir(uint64_t after, uint64_t length) { motion.push_back({now + after, now + after + length}); }

  // Platform.
  uint64_t now_ms() override { return now - boot_at_; }
  uint64_t rtc_ms() override { return now - powered_at_; }
  void random(uint8_t* out, size_t n) override {
    for (size_t i = 0; i < n; ++i) {
      seed_ = seed_ * 6364136223846793005ull + 1442695040888963407ull;
      out[i] = static_cast<uint8_t>(seed_ >> 56);
    }
  }
  void lock() override {
    if (locked_++) abort();
  }
  void unlock() override { --locked_; }
  uint8_t* rtc_memory() override { return rtc_; }
  RtcState& rtc() { return *reinterpret_cast<RtcState*>(rtc_); }
  size_t store_get(const char* k, void* out, size_t cap) override {
    const auto it = store.find(k);
    if (it == store.end() || it->second.size() > cap) return 0;
    memcpy(out, it->second.data(), it->second.size());
    return it->second.size();
  }
  bool store_set(const char* k, const void* data, size_t n) override {
    if (store_broken || strlen(k) > 15 || n > 2048) return false;
    const uint8_t* p = static_cast<const uint8_t*>(data);
    store[k] = Bytes(p, p + n);
    ++store_writes;
    return true;
  }
  void store_erase(const char* k) override { store.erase(k); }
  WakeCause wake_cause() override { return cause_; }
  bool ring_level() override { return in(ring, now); }
  int charging() override { return charge; }
  int charge = -1;
  bool pir_level() override { return in(motion, now); }
  int battery_mv() override { return mv_model ? mv_model(*this) : mv; }
  int rssi() override { return -60; }
  uint32_t free_heap() override { return 150000; }
  void flash(bool on) override { flash_on = on; }
  void identify(uint32_t) override { ++identifies; }
  void power_saving(bool on) override { saving = on; }
  bool camera_start(const Settings& s) override {
    if (camera_broken) return false;
    collisions += wires_[1]->open();
    spend(model.camera_ms);
    sensor_ = true;
    ++camera_starts;
    applied = s;
    return true;
  }
  void camera_apply(const Settings& s) override { applied = s; }
  void camera_stop() override { sensor_ = false; }
  void camera_park() override {
    spend(model.park_ms);
    parked = true;
    ++parks;
  }
  bool parked = false;
  uint64_t parks = 0;
  void wifi_begin(const WifiCredentials&, WifiCache* cache) override {
    wifi_cache = cache;
    radio_ = true;
    ++radio_starts;
    wifi_at_ = now + (cache->channel ? model.wifi_warm_ms : model.wifi_cold_ms);
  }
  LinkStatus wifi_status() override {
    if (!radio_) return LinkStatus::Down;
    if (wifi_bad_password) return now >= wifi_at_ ? LinkStatus::BadPassword : LinkStatus::Joining;
    if (!wifi_works()) {
      if (now < wifi_at_) return LinkStatus::Joining;
      return now >= wifi_at_ + 4000 ? LinkStatus::Failed : LinkStatus::Joining;
    }
    if (now < wifi_at_) return LinkStatus::Joining;
    wifi_cache->channel = 6;
    return LinkStatus::Up;
  }
  void wifi_end() override {
    radio_ = false;
    if (radio_pulse_ms) motion.push_back({now + 200, now + 200 + radio_pulse_ms});
  }
  void wifi_scan() override {
    camera_->improv_network("home", -61, true);
    camera_->improv_network("cafe", -107, false);
    camera_->improv_network_end();
  }
  void mdns_find_begin(const char*) override {
    ++lookups;
    lookup_at_ = now + 1000;
  }
  int mdns_find_poll(GatewayAddress* out, size_t max) override {
    if (now < lookup_at_) return -1;
    const size_t n = std::min(max, mdns.size());
    std::copy_n(mdns.begin(), n, out);
    return static_cast<int>(n);
  }
  void setup_open(bool ap) override { ++(ap ? portal_opens : setup_opens); }
  void setup_close() override { ++setup_closes; }
  void console_write(const uint8_t* data, size_t n) override { console.insert(console.end(), data, data + n); }
  bool ota_begin(uint32_t size) override {
    slot.clear();
    return size < 2000000;
  }
  bool ota_write(const uint8_t* data, size_t n) override {
    slot.insert(slot.end(), data, data + n);
    return true;
  }
  bool ota_finish() override {
    advance(model.ota_finish_ms);
    pending_image = true;
    return !slot_broken;
  }
  bool slot_broken = false;
  void ota_abort() override { slot.clear(); }
  bool ota_pending() override { return pending_image; }
  void ota_confirm() override {
    ++confirms;
    pending_image = false;
  }
  bool ota_rollback() override {
    ++rollbacks;
    pending_image = false;
    restart_ = !no_other_image;
    return restart_;
  }
  bool no_other_image = false;
  uint64_t collisions = 0;
  void sleep(const SleepRequest& r) override {
    sleeps.push_back(r);
    asleep_ = true;
    longest_wake = std::max(longest_wake, uptime());
    sleep_at_ = now;
  }
  void restart() override { restart_ = true; }
  void log(LogLevel, const char* m) override { logs.push_back(m); }
  void note(const Note& n) override {
    if (n.kind == Note::AlarmDropped) dropped_at.push_back(now);
    if (n.kind == Note::FrameCaptured) taken[camera_->boot()].insert(n.a);
    if (notes.size() < 100000) notes.push_back(n);
  }
  int noted(Note::Kind k) const {
    int n = 0;
    for (const Note& x : notes) n += x.kind == k;
    return n;
  }
  bool logged(const char* part) const {
    for (const std::string& l : logs) {
      if (l.find(part) != std::string::npos) return true;
    }
    return false;
  }

  std::map<std::string, Bytes> store;
  uint64_t store_writes = 0, setup_closes = 0;
  bool saving = false;
  Settings applied;
  /// What the sensor sees, where a test wants pictures that can be looked at: luma of 16 x 12 cells at a time.
  std::function<void(World&, LumaGrid*)> sight;
  Bytes jpeg_of(uint32_t number) const {
    Bytes j(jpeg_bytes, static_cast<uint8_t>(number * 7 + 1));
    j[0] = 0xff;
    j[1] = 0xd8;
    put_be32(j.data() + 4, number);
    j[j.size() - 2] = 0xff;
    j[j.size() - 1] = truncated_jpeg ? 0x00 : 0xd9;
    return j;
  }

 private:
  friend class Wire;
  /// What a reset leaves is RTC memory, flash, and what has its own supply; power-on leaves flash alone.
  void lose_all_but_rtc(WakeCause cause) {
    camera_.reset();
    if (gateway.live == wires_[0].get() || gateway.live == wires_[1].get()) gateway.live = nullptr;
    radio_ = sensor_ = flash_on = saving = false;
    applied = Settings();
    wifi_cache = nullptr;
    wifi_at_ = lookup_at_ = UINT64_MAX;
    std::fill(ring_.begin(), ring_.end(), uint8_t{0x5a});
    locked_ = 0;
    if (cause == WakeCause::Power) {
      memset(rtc_, 0xa5, sizeof rtc_);
      powered_at_ = now;
    }
    // A brownout may have reset the sensor, too.
    if (cause == WakeCause::Power || cause == WakeCause::Brownout) parked = false;
  }
  void spend(uint32_t ms) {
    now += ms;
    awake_ms += ms;
    mas += model.cpu_ma * ms;
    if (radio_) {
      mas += model.radio_ma * ms;
      radio_ms += ms;
    }
    if (sensor_) {
      mas += model.sensor_ma * ms;
      sensor_ms += ms;
    }
  }
  void take_frame() {
    Bytes j;
    if (sight) {
      LumaGrid grid;
      sight(*this, &grid);
      j = gray_jpeg(grid, jpeg_bytes);
      ++captured;
    } else {
      j = jpeg_of(static_cast<uint32_t>(captured++));
    }
    if (last_frame_) max_capture_gap = std::max(max_capture_gap, now - last_frame_);
    last_frame_ = now;
    camera_->frame(j.data(), j.size(), now_ms());
    last_frame_ = camera_->capturing() ? now : 0;
  }
  void sleep_out(uint64_t until) {
    const SleepRequest r = sleeps.back();
    uint64_t wake = r.timer_s ? sleep_at_ + r.timer_s * 1000ull : UINT64_MAX;
    WakeCause cause = WakeCause::Timer;
    for (const Interval& m : motion) {
      if (r.pir == PirWake::OnHigh && m.to > now && std::max(m.from, now) < wake) {
        wake = std::max(m.from, now);
        cause = WakeCause::Pir;
      }
      if (r.pir == PirWake::OnLow && m.has(now) && m.to < wake) {
        wake = m.to;
        cause = WakeCause::Pir;
      }
    }
    for (const Interval& m : ring) {
      if (r.ring && m.to > now && std::max(m.from, now) < wake) {
        wake = std::max(m.from, now);
        cause = WakeCause::Ring;
      }
    }
    if (r.pir == PirWake::OnLow && !pir_level()) {
      wake = now;
      cause = WakeCause::Pir;
    }
    const uint64_t to = std::min(wake, until);
    mas += (model.sleep_ma + (parked ? 0 : model.unparked_ma)) * static_cast<double>(to - now);
    asleep_ms += to - now;
    now = to;
    if (wake <= until) boot(cause);
  }

  Bytes ring_;
  std::unique_ptr<Wire> wires_[2];
  std::unique_ptr<Camera> camera_;
  alignas(8) uint8_t rtc_[kRtcBytes];
  WakeCause cause_ = WakeCause::Power;
  uint64_t boot_at_ = 0, powered_at_ = 0, sleep_at_ = 0, wifi_at_ = 0, lookup_at_ = 0, last_frame_ = 0;
  bool asleep_ = false, restart_ = false, radio_ = false, sensor_ = false;
  int locked_ = 0;
  uint64_t seed_ = 42;

 public:
  Wire& wire(int i) { return *wires_[i]; }
  bool sensor_on() const { return sensor_; }
  bool radio_up() { return radio_ && wifi_works() && now >= wifi_at_; }
};

// --- Wire -------------------------------------------------------------------

inline bool Wire::dial(const Dial& d) {
  if (this == &world_.wire(1) && world_.sensor_on()) ++world_.collisions;
  status_ = IoStatus::Connecting;
  error_ = IoError::None;
  in.clear();
  rx.clear();
  payload.clear();
  upgraded = false;
  finish_after_read = false;
  cut_after_read = read_ = 0;
  bytes = 0;
  offered_ = d.session != nullptr;
  resumed_ = false;
  gateway_ = &world_.gateway;
  at_ = world_.now + world_.model.tcp_ms;
  if (!world_.gateway_works() || world_.dead_hosts.count(std::string(d.host) + ":" + std::to_string(d.port))) {
    error_ = IoError::Refused;
  }
  return true;
}

inline IoStatus Wire::poll() {
  if ((status_ == IoStatus::Connecting || status_ == IoStatus::Handshaking) && !world_.radio_up()) return status_;
  if (status_ == IoStatus::Connecting && world_.now >= at_) {
    if (error_ != IoError::None) return status_ = IoStatus::Failed;
    status_ = IoStatus::Handshaking;
  }
  if (status_ == IoStatus::Handshaking) {
    resumed_ = offered_ && gateway_->resume_ok;
    // Public-key maths holds the network task, as on the device.
    world_.advance(resumed_ ? world_.model.tls_resumed_ms : world_.model.tls_full_ms);
    if (world_.wrong_ca) {
      error_ = IoError::Certificate;
      return status_ = IoStatus::Failed;
    }
    ++gateway_->connections;
    gateway_->resumptions += resumed_;
    status_ = IoStatus::Open;
    credit_at_ = world_.now;
    credit_ = 0;
  }
  return status_;
}

inline int Wire::write(const uint8_t* data, size_t n) {
  if (status_ != IoStatus::Open) return -1;
  if (!world_.radio_up() || gateway_->stalled) {
    credit_at_ = world_.now;
    return 0;
  }
  if (!world_.gateway_works()) {
    status_ = IoStatus::Failed;
    return -1;
  }
  credit_ += static_cast<double>(world_.now - credit_at_) * world_.model.bytes_per_ms;
  credit_ = std::min(credit_, 6000.0);
  credit_at_ = world_.now;
  const size_t take = std::min(n, static_cast<size_t>(credit_));
  if (take == 0) return 0;
  credit_ -= static_cast<double>(take);
  bytes += take;
  gateway_->receive(*this, data, take);
  if (gateway_->drop_after_bytes && bytes >= gateway_->drop_after_bytes) {
    gateway_->drop_after_bytes = 0;
    status_ = IoStatus::Failed;
    return -1;
  }
  return static_cast<int>(take);
}

inline int Wire::read(uint8_t* data, size_t n) {
  if (status_ != IoStatus::Open) return -1;
  if (!world_.radio_up()) return 0;
  size_t k = 0;
  while (k < n && !rx.empty()) {
    data[k++] = rx.front();
    rx.pop_front();
  }
  read_ += static_cast<uint32_t>(k);
  if (cut_after_read && read_ >= cut_after_read) status_ = IoStatus::Failed;
  if (k == 0 && (finish_after_read || !world_.gateway_works())) {
    status_ = IoStatus::Failed;
    error_ = IoError::Closed;
    return -1;
  }
  return static_cast<int>(k);
}

inline size_t Wire::save_session(uint8_t* out, size_t cap) {
  if (cap < 720) return 0;
  memset(out, 7, 720);
  return 720;
}

inline void Wire::close() {
  if (gateway_ && gateway_->live == this) gateway_->live = nullptr;
  status_ = IoStatus::Idle;
}

// --- Gateway -----------------------------------------------------------------

inline void Gateway::send_frame(uint8_t head, const Bytes& p) {
  if (!live) return;
  Bytes f{head};
  if (p.size() < 126) {
    f.push_back(static_cast<uint8_t>(p.size()));
  } else {
    f.push_back(126);
    f.push_back(static_cast<uint8_t>(p.size() >> 8));
    f.push_back(static_cast<uint8_t>(p.size()));
  }
  f.insert(f.end(), p.begin(), p.end());
  live->reply(f);
}

inline void Gateway::send_text(const std::string& t) { send_frame(0x81, Bytes(t.begin(), t.end())); }

inline void Gateway::receive(Wire& wire, const uint8_t* data, size_t n) {
  wire.in.append(reinterpret_cast<const char*>(data), n);
  if (!wire.upgraded) request(wire);
  if (wire.upgraded) websocket(wire);
}

inline void Gateway::request(Wire& wire) {
  const size_t end = wire.in.find("\r\n\r\n");
  if (end == std::string::npos) return;
  size_t body = 0;
  const size_t length = wire.in.find("Content-Length: ");
  if (length < end) body = strtoul(wire.in.c_str() + length + 16, nullptr, 10);
  if (wire.in.size() < end + 4 + body) return;
  const std::string head = wire.in.substr(0, end), content = wire.in.substr(end + 4, body);
  wire.in.erase(0, end + 4 + body);
  requests.push_back(head.substr(0, head.find("\r\n")));
  const bool authorized = !refuse_key && (head.find("Bearer " + key + "\r") != std::string::npos ||
                                          (!new_key.empty() && head.find("Bearer " + new_key) != std::string::npos));
  auto respond = [&](int status, const std::string& text) {
    wire.reply("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text);
    wire.finish_after_read = true;
  };
  if (head.rfind("POST /register", 0) == 0) {
    const bool good = content.find(token) != std::string::npos;
    if (register_status != 201 || !good) respond(good ? register_status : 401, "{\"error\":\"x\"}");
    else respond(201, "{\"api_key\":\"" + key + "\",\"config\":" + config + "}");
    return;
  }
  if (!authorized) {
    respond(401, "{}");
    return;
  }
  if (head.rfind("PUT /device/config", 0) == 0) {
    puts.push_back(content);
    ++config_rev;
    respond(200, "{\"rev\":" + std::to_string(config_rev) + "}");
  } else if (head.rfind("GET /firmware/", 0) == 0) {
    const size_t range = head.find("Range: bytes=");
    const size_t from = range == std::string::npos || no_ranges ? 0 : strtoul(head.c_str() + range + 13, nullptr, 10);
    std::string h = from ? "HTTP/1.1 206 P\r\nContent-Range: bytes " + std::to_string(from) + "-9/9\r\n" : "HTTP/1.1 200 OK\r\n";
    h += "Content-Length: " + std::to_string(image.size() - from) + "\r\n\r\n";
    wire.reply(h);
    wire.reply(Bytes(image.begin() + static_cast<long>(from), image.end()));
    wire.finish_after_read = true;
    if (cut_image_at) wire.cut_after_read = cut_image_at;
    cut_image_at = 0;
  } else if (upgrade_status != 101) {
    wire.reply("HTTP/1.1 " + std::to_string(upgrade_status) + " X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
  } else {
    const size_t at = head.find("Sec-WebSocket-Key: ") + 19;
    char accept[32];
    websocket_accept(head.substr(at, head.find("\r\n", at) - at).c_str(), accept, sizeof accept);
    wire.reply(std::string("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n") +
               "Sec-WebSocket-Accept: " + accept + "\r\nSec-WebSocket-Protocol: magicpi.v1\r\n\r\n");
    wire.upgraded = true;
    live = &wire;
  }
}

inline void Gateway::websocket(Wire& wire) {
  for (;;) {
    const std::string& in = wire.in;
    if (in.size() < 2) return;
    const uint8_t b0 = static_cast<uint8_t>(in[0]), b1 = static_cast<uint8_t>(in[1]);
    size_t n = b1 & 0x7f, at = 2;
    if (n == 126) {
      if (in.size() < 4) return;
      n = get_be16(reinterpret_cast<const uint8_t*>(in.data()) + 2);
      at = 4;
    } else if (n == 127) {
      ++violations;
      return;
    }
    if (!(b1 & 0x80) || (b0 & 0x70)) ++violations;
    if (in.size() < at + 4 + n) return;
    const uint8_t* key_bytes = reinterpret_cast<const uint8_t*>(in.data()) + at;
    Bytes p(n);
    for (size_t i = 0; i < n; ++i) p[i] = static_cast<uint8_t>(in[at + 4 + i]) ^ key_bytes[i & 3];
    wire.in.erase(0, at + 4 + n);
    const uint8_t op = b0 & 15;
    if (op >= 8) {
      message(wire, op, p);
    } else {
      if (op) wire.op = op;
      wire.payload.insert(wire.payload.end(), p.begin(), p.end());
      if (b0 & 0x80) {
        const Bytes whole = std::move(wire.payload);
        wire.payload.clear();
        message(wire, wire.op, whole);
      }
    }
    if (!wire.open()) return;
  }
}

inline void Gateway::message(Wire& wire, uint8_t op, const Bytes& p) {
  if (op == 9) {
    send_frame(0x8a, p);
    return;
  }
  if (op == 8) {
    send_frame(0x88, p);
    wire.finish_after_read = true;
    return;
  }
  if (op == 1) {
    const std::string text(p.begin(), p.end());
    texts.push_back(text);
    const json::Value m = json::parse(text.data(), text.size());
    if (!m) ++violations;
    if (!m.get("type").equals("hello")) return;
    hello = text;
    m.get("boot").to_u32(&wire.boot);
    if (close_with) {
      send_frame(0x88, Bytes{static_cast<uint8_t>(close_with >> 8), static_cast<uint8_t>(close_with)});
      wire.finish_after_read = true;
      return;
    }
    uint32_t rev = 0;
    m.get("config_rev").to_u32(&rev);
    send_text("{\"type\":\"welcome\",\"time\":1700000000000,\"config\":" + (rev == config_rev ? "null" : config) +
              ",\"have\":" + std::to_string(have[wire.boot]) + ",\"stay_awake_s\":" + std::to_string(stay_awake_s) + "}");
    for (const std::string& t : send_after_welcome) send_text(t);
    send_after_welcome.clear();
    return;
  }
  if (op != 2) return;
  FrameInfo info;
  if (!parse_frame_header(p.data(), p.size(), &info) || crc32(p.data() + 24, p.size() - 24) != info.crc) {
    ++violations;
    return;
  }
  if (close_on_frame) {
    const uint16_t code = close_on_frame;
    close_on_frame = 0;
    send_frame(0x88, Bytes{static_cast<uint8_t>(code >> 8), static_cast<uint8_t>(code)});
    wire.finish_after_read = true;
    return;
  }
  if (!kept[wire.boot].insert(info.seq).second) ++duplicates;
  else if (frames.size() < 20000) frames.push_back({info.flags, info.event, info.seq, info.t_ms, wire.boot, Bytes(p.begin() + 24, p.end())});
  have[wire.boot] = std::max(have[wire.boot], info.seq);
  if (ack) send_text("{\"type\":\"ack\",\"boot\":" + std::to_string(wire.boot) + ",\"seq\":" + std::to_string(info.seq) + "}");
}

}  // namespace sim
