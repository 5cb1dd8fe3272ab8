// Everything the core asks of the machine it runs on. A shell (ESP32, Linux, the tests' simulator)
// implements Platform and two Transports; the core calls nothing else.
//
// Tasks: `Camera::poll()` and all of Platform run in one task (the "network task"), except lock/unlock and
// now_ms, which the capture task uses too. No function may block for longer than its comment allows.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "settings.h"

namespace magicpi {

/// Why the machine runs: hello.reason. Software = a restart the firmware asked for (the core tells whether for OTA).
enum class WakeCause : uint8_t { Power, Pir, Timer, Brownout, Watchdog, Button, Crash, Software, Ring };

/// Camera states, for LED and log; docs/design/firmware.md has the drawing.
enum class State : uint8_t {
  Boot,        ///< before begin()
  Setup,       ///< unclaimed: portal, setup endpoint, Improv
  Registering, ///< bundle accepted, fetching the API key
  Idle,        ///< awake, radio off, nothing to send
  Linking,     ///< Wi-Fi joining
  Connecting,  ///< TCP, TLS, HTTP upgrade, hello
  Online,      ///< welcome received
  Backoff,     ///< waiting before the next try
  Updating,    ///< OTA download on the second transport
  Closing,     ///< bye sent, closing
  Settling,    ///< radio off, waiting for the PIR to come to rest before sleep
  Sleeping     ///< sleep() or restart() was called: poll() does nothing any more
};
const char* state_name(State s);

enum class IoStatus : uint8_t { Idle, Connecting, Handshaking, Open, Failed };
enum class IoError : uint8_t { None, Address, Refused, Timeout, Certificate, Handshake, Memory, Reset, Closed };

/// Where and how to dial. All pointers need to live only during dial().
struct Dial {
  const char* host;           ///< dotted IPv4 (or a name the platform can resolve at once)
  uint16_t port;
  const char* server_name;    ///< SNI, and the DNS name the certificate must carry; never empty
  const char* ca_pem;         ///< the one pinned CA, NUL-terminated PEM
  const uint8_t* session;     ///< serialized TLS session to resume, or nullptr
  size_t session_len;         ///< bytes
};

/// A TLS byte stream over a non-blocking socket. No plain-text and no unverified mode exists.
class Transport {
 public:
  /// Starts connecting; false if the arguments or memory don't allow it. Closes what was open before.
  virtual bool dial(const Dial& dial) = 0;
  /// Advances connect and handshake; never blocks on the network. (Public-key maths may take up to
  /// about 0.4 s per step on an ESP32: that is why capture has a task of its own.)
  virtual IoStatus poll() = 0;
  virtual IoError error() const = 0;
  /// Bytes taken (1..n), 0 = would block, < 0 = the stream is dead. After 0 the core offers the same bytes again.
  virtual int write(const uint8_t* data, size_t n) = 0;
  /// Bytes read (1..n), 0 = nothing yet, < 0 = closed or dead.
  virtual int read(uint8_t* data, size_t n) = 0;
  /// Serializes the session for the next wake: bytes written, 0 = none or larger than `cap`.
  virtual size_t save_session(uint8_t* out, size_t cap) = 0;
  /// True if the last handshake resumed the session given to dial().
  virtual bool resumed() const = 0;
  /// close_notify where it can be written at once, then closes. Idempotent.
  virtual void close() = 0;

 protected:
  ~Transport() = default;
};

struct WifiCredentials {
  char ssid[33] = {0};
  char password[65] = {0};    ///< 8..63 characters, 64 hex digits (a ready PMK) or empty (open network)
  bool present() const { return ssid[0] != 0; }
};

/// What makes the next join fast; lives in RTC memory, filled by the shell after a join, all zero at cold boot.
struct WifiCache {
  uint8_t bssid[6];
  uint8_t channel;            ///< 0 = nothing cached: scan
  uint8_t have_pmk;           ///< 1: pmk holds the WPA2 key for the stored credentials
  uint8_t pmk[32];
  uint32_t ip, netmask, router, dns;  ///< last lease, network byte order; ip 0 = use DHCP
  uint32_t lease_s;           ///< lease length, seconds
  uint64_t lease_at_ms;       ///< Platform::rtc_ms() when it was given; reuse for at most half the lease
};

enum class LinkStatus : uint8_t { Down, Joining, Up, Failed, BadPassword };

/// One gateway found by mDNS.
struct GatewayAddress {
  char host[16];              ///< dotted IPv4
  uint16_t port;
};

enum class PirWake : uint8_t { Off, OnHigh, OnLow };

/// What feeds the board: a camera without an owner must not empty a cell.
enum class Supply : uint8_t { Unknown, Battery, Mains };

/// How to sleep. The shell holds camera power-down and flash pins, arms ext1 and the timer, and sleeps.
struct SleepRequest {
  uint32_t timer_s;           ///< wake after this long; 0 = no timer
  PirWake pir;                ///< level of the PIR pin that wakes
  bool ring = false;          ///< the doorbell button wakes
};

enum class LogLevel : uint8_t { Debug, Info, Warning, Error };

/// Countable facts for a status LED, a console or a test; never secrets.
struct Note {
  enum Kind : uint8_t {
    StateChanged,    ///< a = State
    EventStarted,    ///< a = event, b = t in ms
    EventEnded,      ///< a = event, b = frames, c = lost
    FrameCaptured,   ///< a = seq, b = event, c = flags; from the capture task
    FrameLost,       ///< a = first seq, b = how many; from either task
    FrameSent,       ///< a = seq
    Acked,           ///< a = seq
    ConfigApplied,   ///< a = rev
    PirStuck,        ///<
    AlarmDropped,    ///< motion not confirmed by the picture; a = event
    Dismissed,       ///< frames that an order to sleep left unsent: neither kept nor lost; a = how many
    RingPressed,     ///< a = event, 0 if none began
    OtaProgress,     ///< a = percent
    TlsReady,        ///< a = 1 if resumed, b = handshake ms
    CommandDone,     ///< a = 1 if ok
    Closed           ///< the WebSocket ended: a = close code, 0 if the link died
  } kind;
  uint32_t a, b, c;
};

class Platform {
 public:
  // --- clock and random ---------------------------------------------------
  /// Milliseconds since this boot (a wake from deep sleep is a boot); monotonic. Any task.
  virtual uint64_t now_ms() = 0;
  /// Milliseconds that go on through deep sleep; restarts at power-on only.
  virtual uint64_t rtc_ms() = 0;
  /// Cryptographically strong bytes.
  virtual void random(uint8_t* out, size_t n) = 0;

  // --- tasks --------------------------------------------------------------
  /// One mutex between the capture task and the network task; held for microseconds. Any task.
  virtual void lock() = 0;
  virtual void unlock() = 0;

  // --- memory that lasts --------------------------------------------------
  /// Retained RAM, at least kRtcBytes, 8-aligned; content undefined after power-on (the core checks it).
  virtual uint8_t* rtc_memory() = 0;
  /// NVS. Keys are at most 15 characters, values at most 2048 bytes. get: bytes read, 0 = absent or larger than cap.
  virtual size_t store_get(const char* key, void* out, size_t cap) = 0;
  virtual bool store_set(const char* key, const void* data, size_t n) = 0;
  virtual void store_erase(const char* key) = 0;

  // --- sensors and LEDs ---------------------------------------------------
  virtual WakeCause wake_cause() = 0;
  virtual bool pir_level() = 0;
  /// The doorbell button is down; debounced by the core.
  virtual bool ring_level() { return false; }
  /// 1 = the cell is being charged, 0 = it is not, -1 = no pin tells.
  virtual int charging() { return -1; }
  /// Millivolts of the cell (averaged, divider undone), or -1 when the board has none.
  virtual int battery_mv() = 0;
  /// dBm, 0 when not joined.
  virtual int rssi() = 0;
  virtual uint32_t free_heap() = 0;
  /// White LED.
  virtual void flash(bool on) = 0;
  /// Blink the status LED (or the flash, dimmed) for this long, without blocking.
  virtual void identify(uint32_t ms) = 0;
  /// Lower CPU clock and transmit power for a weak battery.
  virtual void power_saving(bool on) = 0;

  // --- camera -------------------------------------------------------------
  /// Powers and starts the sensor with these settings; may take 0.5 s. False if it does not answer.
  /// From now on the shell's capture task calls Camera::frame_due() and Camera::frame().
  virtual bool camera_start(const Settings& settings) = 0;
  /// Applies changed settings to a running sensor.
  virtual void camera_apply(const Settings& settings) = 0;
  /// Stops and powers down; waits until the capture task has given its buffer back.
  virtual void camera_stop() = 0;
  /// After the supply came: standby for a sensor that has no power-down pin, and may draw 20 mA until it gets a command. It
  /// lasts through deep sleep. May take 0.5 s.
  virtual void camera_park() = 0;

  // --- Wi-Fi --------------------------------------------------------------
  /// Starts joining as a station, returns at once. Uses `cache` where it is filled and falls back to a full scan
  /// and DHCP by itself; fills it after success.
  virtual void wifi_begin(const WifiCredentials& credentials, WifiCache* cache) = 0;
  virtual LinkStatus wifi_status() = 0;
  /// Radio off.
  virtual void wifi_end() = 0;
  /// Networks in sight for Improv and the portal: calls Camera::improv_network() for each, then
  /// Camera::improv_network_end(). May block for 3 s (setup mode only).
  virtual void wifi_scan() = 0;

  // --- names --------------------------------------------------------------
  /// Looks for `_magicpi-nvr._tcp` whose TXT `ca` equals `ca16` (16 hex digits). Returns at once.
  virtual void mdns_find_begin(const char* ca16) = 0;
  /// Number of addresses written (0 = none found), or -1 while still looking (give up after 2.5 s).
  virtual int mdns_find_poll(GatewayAddress* out, size_t max) = 0;

  // --- setup mode ---------------------------------------------------------
  /// access_point: own open network, captive portal with setup page and Wi-Fi form (calls Camera::set_wifi()).
  /// Otherwise: HTTP on port 80 of the joined network and mDNS `_magicpi-cam._tcp` with TXT id, model, fw, proto=1.
  /// Both serve GET and POST /setup through Camera::setup_get() and Camera::setup_post(), in the network task,
  /// and a page that shows Camera::setup_code().
  virtual void setup_open(bool access_point) = 0;
  virtual void setup_close() = 0;
  /// Bytes to the serial console (Improv replies are binary).
  virtual void console_write(const uint8_t* data, size_t n) = 0;

  // --- OTA ----------------------------------------------------------------
  /// Opens the spare slot for `size` bytes, false if it does not fit.
  virtual bool ota_begin(uint32_t size) = 0;
  virtual bool ota_write(const uint8_t* data, size_t n) = 0;
  /// Closes the slot and makes it the one to boot (not yet valid: it must confirm itself).
  virtual bool ota_finish() = 0;
  virtual void ota_abort() = 0;
  /// This image boots for the first time and is not confirmed.
  virtual bool ota_pending() = 0;
  virtual void ota_confirm() = 0;
  /// Boots the previous image; does not return on hardware unless there is none: false, and this one is accepted.
  virtual bool ota_rollback() = 0;

  // --- the end of a wake --------------------------------------------------
  /// Deep sleep; does not return on hardware. In a simulation it returns and the core stays in State::Sleeping.
  virtual void sleep(const SleepRequest& request) = 0;
  virtual void restart() = 0;

  // --- observation --------------------------------------------------------
  virtual void log(LogLevel level, const char* message) = 0;
  /// Either task, sometimes under lock(): must neither block nor call the Camera.
  virtual void note(const Note&) {}

 protected:
  ~Platform() = default;
};

/// Bytes of RTC memory the core uses.
constexpr size_t kRtcBytes = 2048;

}  // namespace magicpi
