// The camera: everything between a PIR edge and an acknowledged frame. docs/design/firmware.md draws the states.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "backoff.h"
#include "battery.h"
#include "claim.h"
#include "confirm.h"
#include "exchange.h"
#include "frame_ring.h"
#include "improv.h"
#include "ota.h"
#include "pir.h"
#include "platform.h"
#include "protocol.h"
#include "rtc_state.h"
#include "settings.h"
#include "setup.h"
#include "ws.h"

namespace magicpi {

/// Facts of the board and the build; the strings must live as long as the Camera.
struct Identity {
  char id[18];               ///< "AA:BB:CC:DD:EE:FF", upper case
  const char* model;         ///< "AI-Thinker ESP32-CAM"
  const char* fw;            ///< "1.2.3"
  const char* setup_name;    ///< access point name, "MagicPi-EEFF"
  bool wired = false;        ///< Ethernet: no Wi-Fi to be given, no access point
  Caps caps;
};

/// Compile-time choices of a shell; every field has a working default.
struct Options {
  Settings settings;                     ///< factory settings
  WifiCredentials wifi;                  ///< used when NVS has none
  const uint8_t* ota_key = nullptr;      ///< P-256 public point, 65 bytes 04|x|y: images must be signed. nullptr: not asked
  BatteryCurve battery;                  ///< thresholds in mV
  PirPolicy::Limits pir;
  Supply supply = Supply::Unknown;       ///< Unknown counts as Battery, unless the settings say always on
  bool scarce_memory = false;            ///< no PSRAM: sensor and second connection never at the same time
  uint32_t camera_lead_ms = 400;         ///< the radio starts after the first frame, or this long after camera_start
};

/// One per process. Shell's loop: `begin()` once, then `poll()` for ever, waiting at most the returned time (less when
/// the PIR pin changes or a socket becomes ready; early calls are harmless).
class Camera {
 public:
  /// `ring_memory`: 4-aligned, at least 64 KiB to be of use (PSRAM), lives as long as the Camera. `ws` carries the
  /// WebSocket and registration, `https` firmware images and PUT /device/config while the WebSocket is open.
  Camera(Platform& platform, Transport& ws, Transport& https, const Identity& identity, const Options& options,
         uint8_t* ring_memory, size_t ring_bytes);

  /// Loads RTC memory and NVS, starts the sensor at once after a PIR wake (may take 0.5 s).
  void begin();
  /// Advances everything. Returns the longest useful wait in ms, 0..1000.
  uint32_t poll();

  // --- capture task -------------------------------------------------------
  /// Milliseconds until the next frame is wanted; 0 = now, UINT32_MAX = capture is off (ask again in 20 ms).
  uint32_t frame_due();
  /// Hands over one whole JPEG (SOI..EOI) captured at `t_ms`, Platform::now_ms() time. The bytes are copied: the
  /// driver's buffer may be returned at once. Never waits for the network.
  void frame(const uint8_t* jpeg, size_t n, uint64_t t_ms);

  // --- setup mode, network task -------------------------------------------
  /// "ABCD-EFGH-JKMN-PQRS", from NVS, made at the first begin().
  const char* setup_code() const { return code_.grouped(); }
  /// Answers GET /setup: HTTP status, and the JSON body in `out` (192 bytes are enough... 512 to be safe).
  int setup_get(char* out, size_t cap);
  /// Answers POST /setup: HTTP status 204, 400, 403, 409, 410 or 429. The body may be any bytes.
  int setup_post(const char* body, size_t n);
  /// Wi-Fi credentials from the portal; joins and leaves access-point mode. False if malformed.
  bool set_wifi(const char* ssid, const char* password);
  /// A setting changed at the camera (portal page): merged, stored, reported by PUT /device/config.
  /// JSON object of protocol.md section 6 keys. False if nothing in it was valid.
  bool change_settings(const char* object, size_t n);

  // --- hands on the device, network task ----------------------------------
  /// One byte from the serial console: Improv Serial packets, or the lines `code`, `qr`, `status`, `reset claim`.
  void console_byte(uint8_t byte);
  /// Network in sight, answering Platform::wifi_scan().
  void improv_network(const char* ssid, int rssi, bool secured);
  void improv_network_end();
  /// State of the button, whenever it changes: 1..5 s opens the Wi-Fi portal for ten minutes, 5 s and more forgets claim and Wi-Fi.
  void button(bool pressed);
  /// Forgets claim and Wi-Fi (the setup code stays) and restarts into setup mode.
  void factory_reset();

  // --- facts --------------------------------------------------------------
  State state() const { return online() && ota_phase_ != OtaPhase::None ? State::Updating : state_; }
  bool claimed() const { return claim_.claimed(); }
  const Settings& settings() const { return settings_; }
  const Identity& identity() const { return identity_; }
  const WifiCredentials& wifi() const { return wifi_; }
  uint32_t boot() const { return boot_; }
  /// Frames given up in this boot.
  uint32_t frames_lost() const { return shared(lost_); }
  uint32_t frames_captured() const { return shared(seq_); }
  uint32_t backlog() const { return ring_.backlog(); }
  bool capturing() const { return shared(capture_.on); }

  // Budgets, for tests and documents; docs/design/firmware.md gives the reasons.
  static constexpr uint32_t kLookupMs = 300000;    ///< between two mDNS look-ups
  static constexpr uint32_t kDrainStallMs = 30000, kDrainMs = 120000;
  static constexpr uint32_t kPowerOnMs = 60000, kSetupMs = 15 * 60000, kStayAfterClaimMs = 60000;
  static constexpr uint32_t kMaxWakeMs = 30 * 60000;
  static constexpr uint32_t kHeartbeatMs = 10000, kSilenceMs = 30000, kStallMs = 10000;
  static constexpr uint32_t kLingerMs = 1500, kStopLingerMs = 250;
  static constexpr uint32_t kConfirmMs = 4000;     ///< no verdict by then is doubt
  static constexpr uint32_t kPictureMs = 8000;     ///< for the picture of a check-in
  static constexpr uint32_t kRefusedS = 6 * 3600;

 private:
  enum class Link : uint8_t { Exchange, Greeting };               // inside State::Connecting
  enum class SetupPhase : uint8_t { None, Portal, Joining, Serving };
  enum class OtaPhase : uint8_t { None, Waiting, Fetching, Reporting };
  enum class After : uint8_t { Sleep, Restart, Forget, Ota };     // what follows State::Closing

  enum class Source : uint8_t { Pir, Timer, Ring };
  static const char* source_name(Source s);

  struct Event {
    uint16_t id = 0;               // 0 = free
    Source source = Source::Pir;
    uint64_t ring_ms = 0;          // the last press, 0 = none
    bool ring_told = false;        // on this connection
    bool open = false;             // still capturing
    bool active = false;           // PIR high
    bool start_told = false, active_told = false, end_told = false;   // on this connection
    uint64_t start_ms = 0, change_ms = 0, end_ms = 0;
    bool pinged = false, pong = false;   // a ping behind event_end, answered: the peer has read it
    // Counted by the capture task: under lock.
    uint32_t first_seq = 0, last_seq = 0, frames = 0, lost = 0;
  };
  static constexpr size_t kEvents = 4;

  /// Shared with the capture task: written under lock. The network task reads without it what it alone writes.
  struct Capture {
    bool on = false;
    bool busy = false;             // the capture task has a frame that is not in the ring yet
    bool confirming = false;       // the picture must confirm the event; the network task's
    bool confirm_anew = false;     // the next frame is the first to compare
    MotionConfirm::Verdict verdict = MotionConfirm::Verdict::Undecided;
    bool still = false;            // the next good frame answers `snapshot`
    bool ring_still = false;       // the next good frame is the doorbell's picture
    bool single = false;           // one good frame is all
    bool keeping = false;          // for who is not there
    bool scene_taken = false;      // the grid of that frame is in confirm_
    bool ending = false;           // the next frame is the event's last
    uint16_t event = 0;
    uint32_t interval_ms = 100;
    uint64_t next_ms = 0;
    uint32_t since_start = 0;      // frames since the sensor started: the first ones are warming up
    uint64_t first_frame_ms = 0;
    uint32_t still_seq = 0;
    uint8_t oversized = 0;
  };
  struct Lock {
    explicit Lock(Platform& p) : platform(p) { platform.lock(); }
    ~Lock() { platform.unlock(); }
    Platform& platform;
  };

  /// A member that the capture task writes, too.
  template <typename T>
  T shared(const T& member) const {
    Lock lock(platform_);
    return member;
  }
  bool online() const { return state_ == State::Online; }
  bool woke_from_sleep() const {
    return cause_ == WakeCause::Pir || cause_ == WakeCause::Timer || cause_ == WakeCause::Button || cause_ == WakeCause::Ring;
  }
  bool sleepy() const { return settings_.power_mode == PowerMode::Battery && identity_.caps.sleep; }
  bool registering() const { return token_[0] != 0 && !claim_.claimed(); }
  bool on_mains() const {
    return options_.supply == Supply::Mains || (options_.supply == Supply::Unknown && settings_.power_mode == PowerMode::AlwaysOn);
  }
  uint32_t random32();
  void enter(State s);
  /// After a call that may have taken long: no budget may be measured by a clock from before it.
  void resync() { now_ = platform_.now_ms(); }
  void log(LogLevel level, const char* message) { platform_.log(level, message); }
  void tell(const char* message);            // log here and, when online, at the gateway
  void note(Note::Kind kind, uint32_t a = 0, uint32_t b = 0, uint32_t c = 0) { platform_.note(Note{kind, a, b, c}); }

  // motion and capture
  void tick_ring();
  void tick_battery();
  void tick_motion();
  void start_event(Source source);
  void end_event();
  void close_event();
  void await_confirmation(bool wanted);
  void drop_false_alarm();
  void dismiss_unsent();
  void count_motion_wake();
  Event* open_event();
  Event* event_by_id(uint16_t id);
  void update_capture();
  void stop_camera();
  static void on_loss(void* self, const FrameRing::Loss& loss);

  // link
  void tick_session();
  bool wants_link();
  bool undelivered();
  void begin_link();
  void link_failed();
  void dial_next();
  bool next_candidate(const char** host, uint16_t* port);
  bool dial(Exchange& exchange, const char* host, uint16_t port, bool resume);
  void tick_connecting();
  void on_upgraded();
  void build_upgrade();
  void send_hello();
  void connection_lost(uint16_t code);
  void refused();
  void tick_online();
  bool read_socket();
  void on_text();
  void on_welcome(json::Value message);
  void on_config(json::Value config);
  void on_command(json::Value command);
  void on_ota(json::Value message);
  bool send(size_t n);                       // the text in text_
  void queue_messages();
  void queue_frame();
  void apply_settings(const SettingsChange& change);
  void save_settings();
  void send_bye();
  void say_bye(After after, const char* reason, uint32_t next_wake_s);
  void tick_closing();
  const char* api_key() const { return use_new_key_ ? claim_.new_key : claim_.api_key; }

  // second connection
  void tick_second();
  void start_put();
  void finish_put();
  void start_fetch();
  void tick_fetch();
  void ota_failed(const char* slug);
  void report_ota(const char* state, uint32_t percent, const char* error);

  // setup
  void tick_setup();
  void begin_setup();
  void open_portal();
  void join();
  void leave_setup();
  void build_registration();
  void finish_registering();
  void registration_failed(bool for_good);
  void improv_rpc();
  void improv_send(const uint8_t* packet, size_t n) { platform_.console_write(packet, n); }
  void print_code();
  void print_qr();

  // power
  void tick_power();
  bool may_sleep();
  bool streaming() const { return stream_until_ms_ != 0; }
  /// Takes pictures for who is not there: a camera that is always on, since it lost the link.
  bool keeping() const { return keep_until_ms_ != 0; }
  void begin_keeping();
  bool pir_useful() const;
  bool ring_useful() const { return identity_.caps.ring && battery_ != BatteryLevel::Critical && !rtc_->refused; }
  void turn_radio_on();
  void turn_radio_off();
  void account();
  void go_to_sleep();
  void tick_settling();
  void sleep_now();
  SleepRequest plan_sleep();
  uint32_t next_wake_s();
  void count_event_seconds();
  uint32_t stream_limit_s() const { return battery_limit_s(battery_, settings_.stream_duration_s); }
  uint32_t event_limit_s() const { return battery_limit_s(battery_, settings_.max_event_s); }

  Platform& platform_;
  Transport& ws_;
  Identity identity_;
  Options options_;
  FrameRing ring_;
  char buffer_[4096];              // one WebSocket text message; before that, setup bundle
  char request_[2048];             // CA during dial, then HTTP request; afterwards body of a small response
  char text_[1024];                // message under construction
  WsReader reader_;
  WsWriter writer_;
  Exchange first_;                 // on ws_
  Exchange second_;                // on https
  SetupCode code_;
  SetupEndpoint endpoint_;
  ImprovParser improv_;
  OtaUpdate ota_;
  PirPolicy pir_;
  MotionConfirm confirm_;          // the capture task's
  Backoff backoff_;
  Claim claim_;
  char token_[kKeyMax] = {0};
  WifiCredentials wifi_;
  RtcState* rtc_ = nullptr;
  Settings settings_;
  Capture capture_;
  Event events_[kEvents];

  uint64_t now_ = 0;
  State state_ = State::Boot;
  Link link_ = Link::Exchange;
  SetupPhase setup_phase_ = SetupPhase::None;
  OtaPhase ota_phase_ = OtaPhase::None;
  After after_ = After::Sleep;
  WakeCause cause_ = WakeCause::Power;
  BatteryLevel battery_ = BatteryLevel::Good;

  uint32_t boot_ = 0;
  uint32_t seq_ = 0, lost_ = 0;    // under lock
  uint16_t event_counter_ = 0;
  uint32_t last_sent_seq_ = 0, acked_seq_ = 0, dismissed_seq_ = 0;

  bool radio_ = false, camera_on_ = false, welcomed_ = false, checked_in_ = false;
  bool hello_due_ = false;         // this wake owes the gateway a check-in
  bool quiet_wake_ = false;        // only to arm the PIR again
  bool after_ota_ = false, confirm_image_ = false;
  bool use_new_key_ = false, tried_other_key_ = false;
  bool saving_ = false;            // the platform was asked to save power, in this boot
  bool looking_up_ = false, bye_sent_ = false, flash_on_ = false;
  bool had_event_ = false, brownout_rest_ = false, close_queued_ = false, fetch_checked_ = false;
  size_t put_body_ = 0;
  bool used_session_ = false;
  bool settings_dirty_ = false;
  uint32_t dirty_keys_ = 0;
  bool put_running_ = false;
  bool storm_ = false;
  bool stuck_told_ = false;
  bool ring_raw_ = false, ring_down_ = false, ring_waiting_ = false;
  bool bye_due_ = false;           // once the frame on the wire is out
  const char* bye_reason_ = nullptr;
  uint32_t bye_wake_s_ = 0;
  uint64_t radio_on_ms_ = 0, sensor_on_ms_ = 0;
  uint32_t radio_total_ms_ = 0, sensor_total_ms_ = 0;
  bool button_ = false;
  bool by_hand_ = false;           // setup opened by button on a claimed camera
  bool improv_joining_ = false;
  bool joined_ = false;            // these Wi-Fi credentials have worked in this boot
  uint64_t button_since_ms_ = 0;
  uint64_t wake_ms_ = 0, camera_started_ms_ = 0, link_began_ms_ = 0, state_since_ms_ = 0;
  uint64_t last_motion_ms_ = 0, ending_since_ms_ = 0, last_event_end_ms_ = 0;
  uint64_t next_lookup_ms_ = 0, camera_retry_ms_ = 0, welcomed_at_ms_ = 0, linger_until_ms_ = 0;
  uint64_t retry_at_ms_ = 0, no_link_until_ms_ = 0;
  uint64_t stay_until_ms_ = 0, stream_until_ms_ = 0, keep_until_ms_ = 0;
  uint32_t keep_ms_ = 0;  ///< between pictures without a link, 0 = none are wanted
  uint64_t last_rx_ms_ = 0, last_tx_ms_ = 0, last_beat_ms_ = 0, last_ack_ms_ = 0;
  uint64_t sealed_ms_ = 0, battery_read_ms_ = 0, register_until_ms_ = 0, setup_until_ms_ = 0, put_retry_ms_ = 0;
  uint32_t wifi_ms_ = 0, tls_ms_ = 0;
  int battery_mv_ = -1;
  uint8_t candidate_ = 0, found_n_ = 0;
  GatewayAddress found_[4];
  char dialed_host_[kHostMax] = {0};
  uint16_t dialed_port_ = 0;
  char websocket_key_[28] = {0};
  uint32_t last_percent_ = 0;
  uint8_t quality_step_ = 0;       // added to jpeg_quality after oversized frames
  char still_id_[72] = {0};        // raw JSON id of the snapshot that is due, empty = none
  uint64_t still_until_ms_ = 0;
  const char* pending_log_ = nullptr;
};

}  // namespace magicpi
