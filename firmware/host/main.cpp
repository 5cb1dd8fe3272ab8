// magicpi-camera: the firmware's core as a Linux process.
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../magicpi_cam/src/core/codec.h"
#include "linux_platform.h"

using namespace magicpi;

namespace {

LinuxPlatform* g_platform = nullptr;
double g_motion_s = 2;

void on_signal(int number) {
  if (!g_platform) return;
  if (number == SIGUSR1) g_platform->pulse(g_motion_s);
  else g_platform->request_quit();
}

/// Connects to a port of this machine instead of where the core wants to go: a proxy there can delay, drop and cut.
class DetouredTransport final : public Transport {
 public:
  DetouredTransport(Platform& platform, uint16_t port) : tls_(platform), port_(port) {}
  bool dial(const Dial& dial) override {
    Dial detour = dial;
    if (port_) {
      detour.host = "127.0.0.1";
      detour.port = port_;
    }
    return tls_.dial(detour);
  }
  IoStatus poll() override { return tls_.poll(); }
  IoError error() const override { return tls_.error(); }
  int write(const uint8_t* data, size_t n) override { return tls_.write(data, n); }
  int read(uint8_t* data, size_t n) override { return tls_.read(data, n); }
  size_t save_session(uint8_t* out, size_t cap) override { return tls_.save_session(out, cap); }
  bool resumed() const override { return tls_.resumed(); }
  void close() override { tls_.close(); }
  int fd() const { return tls_.fd(); }

 private:
  TlsTransport tls_;
  uint16_t port_;
};

const char kHelp[] =
    "magicpi-camera: a MagicPi camera as a Linux process (same core and TLS as the ESP32 firmware)\n\n"
    "  --source PATH        folder of JPEGs (sorted), .mjpeg file, or video (needs ffmpeg); required\n"
    "  --id MAC             camera id, AA:BB:CC:DD:EE:FF\n"
    "  --model TEXT  --fw VERSION\n"
    "  --state DIR          flash (nvs/), RTC memory and firmware images; made if missing\n"
    "  --http-bind ADDR  --http-port N   setup endpoint (127.0.0.1, 8080; 0 = any free port, see the \"setup\" line)\n"
    "  --advertise ADDR     announce _magicpi-cam._tcp by mDNS on the interface with this IPv4 address\n"
    "  --setup-code CODE    instead of a random one\n"
    "  --time-factor F      sleep passes F times faster (1)\n"
    "  --motion-every S  --motion-s S  --motion-count N   fake PIR pulses by the clock\n"
    "  --fps N  --heartbeat S  --duration S  --max-event S  --power-mode battery|always_on   factory settings\n"
    "  --battery MV         has a battery of so many millivolts\n"
    "  --ring-kib N         frame memory (2048)\n"
    "  --wifi-ms N  --camera-ms N  --settle-ms N   how long the fake radio, sensor and PIR take\n"
    "  --radio-ms N         edges of the fake PIR are doubted this long after the radio went off (2000)\n"
    "  --detour PORT        connect to this port of this machine instead of the gateway's: a proxy that harms connections\n"
    "  --no-wifi            no Wi-Fi known: starts as access point (command: join NAME)\n"
    "  --confirm-motion     the picture must confirm a PIR alarm\n"
    "  --checkin-picture    one picture at each timer wake (a factory setting)\n"
    "  --ring               has a doorbell button (command: ring)\n"
    "  --ethernet           wired: no Wi-Fi, no access point, never sleeps\n"
    "  --no-sleep           a board that cannot sleep\n"
    "  --ota-key HEX        P-256 public point (130 digits): images must be signed\n"
    "  --quiet              no line per frame\n\n"
    "Commands on standard input: motion [S], pir 0|1, ring [S], battery MV, charging 0|1|-1, wifi up|down, camera ok|broken, set {\"framerate\":5},\n"
    "join NAME, reset, power (cycle), console TEXT, quit. SIGUSR1 is `motion`.\n"
    "Standard output has one JSON object per line: \"at\" (epoch ms), \"what\", and what belongs to it.\n";

[[noreturn]] void usage(const char* why) {
  fprintf(stderr, "magicpi-camera: %s (try --help)\n", why);
  exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  HostOptions o;
  bool wifi_known = true;
  enum { kSource = 256, kId, kModel, kFw, kState, kBind, kPort, kAdvertise, kCode, kFactor, kEvery, kMotionS, kCount, kFps,
         kHeartbeat, kDuration, kMaxEvent, kPower, kBattery, kRing, kWifi, kCameraMs, kSettle, kRadio, kDetour, kNoWifi, kConfirm, kNoSleep, kCheckin, kDoorbell, kEthernet,
         kOtaKey, kQuiet, kHelpOption };
  static const struct option kOptions[] = {
      {"source", 1, nullptr, kSource}, {"id", 1, nullptr, kId}, {"model", 1, nullptr, kModel}, {"fw", 1, nullptr, kFw},
      {"state", 1, nullptr, kState}, {"http-bind", 1, nullptr, kBind}, {"http-port", 1, nullptr, kPort},
      {"advertise", 1, nullptr, kAdvertise}, {"setup-code", 1, nullptr, kCode}, {"time-factor", 1, nullptr, kFactor},
      {"motion-every", 1, nullptr, kEvery}, {"motion-s", 1, nullptr, kMotionS}, {"motion-count", 1, nullptr, kCount},
      {"fps", 1, nullptr, kFps}, {"heartbeat", 1, nullptr, kHeartbeat}, {"duration", 1, nullptr, kDuration},
      {"max-event", 1, nullptr, kMaxEvent}, {"power-mode", 1, nullptr, kPower}, {"battery", 1, nullptr, kBattery},
      {"ring-kib", 1, nullptr, kRing}, {"wifi-ms", 1, nullptr, kWifi}, {"camera-ms", 1, nullptr, kCameraMs},
      {"settle-ms", 1, nullptr, kSettle}, {"radio-ms", 1, nullptr, kRadio}, {"detour", 1, nullptr, kDetour},
      {"no-wifi", 0, nullptr, kNoWifi}, {"confirm-motion", 0, nullptr, kConfirm},
      {"no-sleep", 0, nullptr, kNoSleep}, {"checkin-picture", 0, nullptr, kCheckin}, {"ring", 0, nullptr, kDoorbell},
      {"ethernet", 0, nullptr, kEthernet}, {"ota-key", 1, nullptr, kOtaKey}, {"quiet", 0, nullptr, kQuiet},
      {"help", 0, nullptr, kHelpOption}, {nullptr, 0, nullptr, 0}};
  for (int c = 0; (c = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    const long n = optarg ? strtol(optarg, nullptr, 10) : 0;
    switch (c) {
      case kSource: o.source = optarg; break;
      case kId: o.id = optarg; break;
      case kModel: o.model = optarg; break;
      case kFw: o.fw = optarg; break;
      case kState: o.state = optarg; break;
      case kBind: o.http_bind = optarg; break;
      case kPort: o.http_port = static_cast<uint16_t>(n); break;
      case kAdvertise: o.advertise = optarg; break;
      case kCode: o.setup_code = optarg; break;
      case kFactor: o.time_factor = atof(optarg); break;
      case kEvery: o.motion_every_s = atof(optarg); break;
      case kMotionS: o.motion_s = g_motion_s = atof(optarg); break;
      case kCount: o.motion_count = static_cast<uint32_t>(n); break;
      case kFps: o.settings.framerate = static_cast<uint8_t>(n < 1 ? 1 : n > 25 ? 25 : n); break;
      case kHeartbeat: o.settings.heartbeat_interval_s = static_cast<uint32_t>(n); break;
      case kDuration: o.settings.stream_duration_s = static_cast<uint16_t>(n); break;
      case kMaxEvent: o.settings.max_event_s = static_cast<uint16_t>(n); break;
      case kPower: o.settings.power_mode = strcmp(optarg, "always_on") ? PowerMode::Battery : PowerMode::AlwaysOn; break;
      case kBattery: o.battery_mv = static_cast<int>(n); break;
      case kRing: o.ring_kib = static_cast<size_t>(n); break;
      case kWifi: o.wifi_ms = static_cast<uint32_t>(n); break;
      case kCameraMs: o.camera_ms = static_cast<uint32_t>(n); break;
      case kSettle: o.settle_ms = static_cast<uint32_t>(n); break;
      case kRadio: o.radio_ms = static_cast<uint32_t>(n); break;
      case kDetour: o.detour = static_cast<uint16_t>(n); break;
      case kNoWifi: wifi_known = false; break;
      case kConfirm: o.settings.confirm_motion = true; break;
      case kCheckin: o.settings.checkin_picture = true; break;
      case kDoorbell: o.ring = true; break;
      case kEthernet:
        o.wired = true;
        o.sleeps = false;
        o.settings.power_mode = PowerMode::AlwaysOn;
        break;
      case kNoSleep: o.sleeps = false; break;
      case kOtaKey: o.ota_key = optarg; break;
      case kQuiet: o.frame_lines = false; break;
      case kHelpOption: fputs(kHelp, stdout); return 0;
      default: usage("unknown option");
    }
  }
  if (o.source.empty()) usage("--source is missing");
  if (o.id.size() != 17) usage("--id must look like AA:BB:CC:DD:EE:FF");
  if (o.time_factor < 1) usage("--time-factor must be at least 1");
  uint8_t key[65];
  if (!o.ota_key.empty() && (o.ota_key.size() != 130 || !hex_decode(o.ota_key.c_str(), key, sizeof key))) usage("--ota-key");

  LinuxPlatform platform(o);
  g_platform = &platform;
  signal(SIGPIPE, SIG_IGN);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);

  std::vector<uint8_t> ring(o.ring_kib * 1024);
  const std::string tail = o.id.substr(12, 2) + o.id.substr(15, 2);
  const std::string setup_name = "MagicPi-" + tail;
  WakeCause cause = WakeCause::Power;
  unsigned wakes = 0;
  while (!platform.quit()) {
    platform.boot(cause);
    ++wakes;
    const std::string fw = platform.running_fw();
    Identity identity;
    copy_string(identity.id, sizeof identity.id, o.id.c_str());
    identity.model = o.model.c_str();
    identity.fw = fw.c_str();
    identity.setup_name = setup_name.c_str();
    identity.caps.psram_bytes = static_cast<uint32_t>(ring.size());
    identity.caps.battery = o.battery_mv >= 0;
    identity.caps.flash = true;
    identity.caps.sleep = o.sleeps;
    identity.caps.ring = o.ring;
    identity.caps.charging = platform.charging() >= 0;
    identity.wired = o.wired;
    Options options;
    options.settings = o.settings;
    if (wifi_known) copy_string(options.wifi.ssid, sizeof options.wifi.ssid, "host");
    if (!o.ota_key.empty()) options.ota_key = key;
    options.pir.settle_ms = o.settle_ms;
    options.pir.radio_ms = o.radio_ms;

    DetouredTransport ws(platform, o.detour), https(platform, o.detour);
    Camera camera(platform, ws, https, identity, options, ring.data(), ring.size());
    platform.attach(&camera);
    camera.begin();
    say("boot", "\"boot\":%u,\"booted_at\":%lld,\"reason\":\"%s\",\"fw\":\"%s\",\"claimed\":%s,\"setup_code\":\"%s\"",
        camera.boot(), static_cast<long long>(platform.booted_at_ms()), reason_name(cause, false), fw.c_str(),
        camera.claimed() ? "true" : "false", camera.setup_code());
    while (!platform.quit() && !platform.asleep() && !platform.restarting()) {
      platform.tick();
      const uint32_t ms = camera.poll();
      if (platform.asleep() || platform.restarting()) break;
      platform.wait(ms, ws.fd(), https.fd());
    }
    platform.camera_stop();
    if (platform.quit()) break;
    if (platform.asleep()) cause = platform.sleep_it_out();
    else cause = WakeCause::Software;
  }
  say("quit", "\"wakes\":%u", wakes);
  return 0;
}
