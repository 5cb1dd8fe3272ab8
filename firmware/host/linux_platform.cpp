#include "linux_platform.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "../magicpi_cam/src/core/codec.h"

namespace magicpi {

namespace {

uint64_t steady_ms() {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000 + static_cast<uint64_t>(t.tv_nsec) / 1000000;
}

bool write_file(const std::string& path, const void* data, size_t n) {
  const std::string temporary = path + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool ok = write(fd, data, n) == static_cast<ssize_t>(n);
  close(fd);
  return ok && rename(temporary.c_str(), path.c_str()) == 0;
}

std::string read_text(const std::string& path) {
  std::string out;
  if (FILE* f = fopen(path.c_str(), "rbe")) {
    char block[4096];
    for (size_t n = 0; (n = fread(block, 1, sizeof block, f)) > 0;) out.append(block, n);
    fclose(f);
  }
  return out;
}

std::string first_word(const std::string& text) {
  const size_t from = text.find_first_not_of(" \r\n\t");
  if (from == std::string::npos) return "";
  return text.substr(from, text.find_first_of(" \r\n\t", from) - from);
}

}  // namespace

std::string quoted(const std::string& text) {
  std::string out(text.size() * 6 + 8, 0);
  json::Writer w(&out[0], out.size());
  w.element(text.c_str());
  out.resize(w.finish());
  return out;
}

void say(const char* what, const char* format, ...) {
  char members[1024] = {0};
  va_list args;
  va_start(args, format);
  vsnprintf(members, sizeof members, format, args);
  va_end(args);
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  // One call, so that lines of two threads do not mix.
  printf("{\"at\":%lld,\"what\":\"%s\"%s%s}\n", static_cast<long long>(t.tv_sec) * 1000 + t.tv_nsec / 1000000, what,
         members[0] ? "," : "", members);
  fflush(stdout);
}

void say(const char* what) { say(what, "\"ok\":true"); }

LinuxPlatform::LinuxPlatform(const HostOptions& options) : options_(options) {
  mkdir(options_.state.c_str(), 0700);
  mkdir(path("nvs").c_str(), 0700);
  // Power was off: what is in the file counts only if the process comes back from its own fake sleep.
  memset(rtc_, 0xa5, sizeof rtc_);
  battery_mv_ = options_.battery_mv;
  if (!options_.setup_code.empty()) {
    SetupCode code;
    if (code.parse(options_.setup_code.c_str())) store_set("setup_code", code.canonical(), 16);
  }
  fw_ = first_word(read_text(path("fw")));
  if (fw_.empty()) fw_ = options_.fw;
  rtc_base_ms_ = steady_ms();
  boot_at_ms_ = rtc_base_ms_;
  fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
  if (!options_.advertise.empty()) {
    mdns_ = mdns_socket(options_.advertise);
    if (mdns_ < 0) say("log", "\"level\":\"warning\",\"message\":\"no mDNS on this address\"");
  }
  if (options_.motion_every_s > 0) next_motion_ms_ = steady_ms() + static_cast<uint64_t>(options_.motion_every_s * 1000);
}

LinuxPlatform::~LinuxPlatform() {
  camera_stop();
  setup_close();
  if (mdns_ >= 0) close(mdns_);
  if (ota_) fclose(ota_);
}

void LinuxPlatform::boot(WakeCause cause) {
  cause_ = cause;
  asleep_ = restarting_ = false;
  boot_at_ms_ = steady_ms();
  wifi_wanted_ = false;
  // The boot loader gives an image one boot in which to confirm itself.
  const std::string trial = first_word(read_text(path("ota_trial")));
  if (trial == "booted") ota_rollback();
  else if (trial == "new") write_file(path("ota_trial"), "booted", 6);
  restarting_ = false;
  fw_ = first_word(read_text(path("fw")));
  if (fw_.empty()) fw_ = options_.fw;
}

void LinuxPlatform::save_rtc() { write_file(path("rtc.bin"), rtc_, sizeof rtc_); }

uint64_t LinuxPlatform::now_ms() { return steady_ms() - boot_at_ms_; }

int64_t LinuxPlatform::booted_at_ms() {
  // The process may have to wait between two clocks: the pair that was read fastest is right.
  int64_t best = 0;
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < 5; i++) {
    const uint64_t before = steady_ms();
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    const uint64_t took = steady_ms() - before;
    if (took < least) {
      least = took;
      best = static_cast<int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1000000 - static_cast<int64_t>(before - boot_at_ms_);
    }
  }
  return best;
}

uint64_t LinuxPlatform::rtc_ms() { return steady_ms() - rtc_base_ms_ + static_cast<uint64_t>(rtc_extra_ms_); }

void LinuxPlatform::random(uint8_t* out, size_t n) {
  while (n) {
    const ssize_t got = getrandom(out, n, 0);
    if (got <= 0) continue;
    out += got;
    n -= static_cast<size_t>(got);
  }
}

size_t LinuxPlatform::store_get(const char* key, void* out, size_t cap) {
  const std::string value = read_text(path(std::string("nvs/") + key));
  if (value.size() > cap) return 0;
  memcpy(out, value.data(), value.size());
  return value.size();
}

bool LinuxPlatform::store_set(const char* key, const void* data, size_t n) {
  return strlen(key) <= 15 && n <= 2048 && write_file(path(std::string("nvs/") + key), data, n);
}

void LinuxPlatform::store_erase(const char* key) { unlink(path(std::string("nvs/") + key).c_str()); }

bool LinuxPlatform::ring_level() { return steady_ms() < ring_until_ms_; }

bool LinuxPlatform::pir_level() { return pir_level_ || steady_ms() < pir_until_ms_; }

void LinuxPlatform::pulse(double seconds) { pir_until_ms_ = steady_ms() + static_cast<uint64_t>(seconds * 1000); }

// --- camera -----------------------------------------------------------------

bool LinuxPlatform::camera_start(const Settings& settings) {
  if (camera_broken_) return false;
  if (!source_) {
    std::string error;
    source_ = FrameSource::open(options_.source, &error);
    if (!source_) {
      say("log", "\"level\":\"error\",\"message\":%s", quoted(error).c_str());
      return false;
    }
  }
  usleep(options_.camera_ms * 1000);
  say("camera", "\"on\":true,\"resolution\":\"%s\",\"framerate\":%u", resolution_name(settings.resolution), settings.framerate);
  capturing_ = true;
  capture_ = std::thread([this] { capture_loop(); });
  return true;
}

void LinuxPlatform::camera_apply(const Settings& settings) {
  say("camera", "\"on\":true,\"resolution\":\"%s\",\"framerate\":%u", resolution_name(settings.resolution), settings.framerate);
}

void LinuxPlatform::camera_stop() {
  if (!capturing_) return;
  capturing_ = false;
  if (capture_.joinable()) capture_.join();
  say("camera", "\"on\":false");
}

void LinuxPlatform::capture_loop() {
  std::vector<uint8_t> jpeg;
  bool have = false;
  while (capturing_) {
    if (!have) have = source_->next(&jpeg, &frame_name_);
    const uint32_t due = have ? camera_->frame_due() : 20;
    if (due == 0) {
      frame_t_ = now_ms();
      camera_->frame(jpeg.data(), jpeg.size(), frame_t_);
      have = false;
    } else {
      usleep(std::min<uint32_t>(due, 10) * 1000);
    }
  }
}

// --- network ----------------------------------------------------------------

void LinuxPlatform::wifi_begin(const WifiCredentials&, WifiCache* cache) {
  wifi_wanted_ = true;
  // A second join with a filled cache is fast, as on the device.
  wifi_at_ms_ = steady_ms() + (cache->channel ? options_.wifi_ms / 2 : options_.wifi_ms);
  cache->channel = 6;
}

LinkStatus LinuxPlatform::wifi_status() {
  if (!wifi_wanted_) return LinkStatus::Down;
  if (wifi_down_) return steady_ms() > wifi_at_ms_ + 3000 ? LinkStatus::Failed : LinkStatus::Joining;
  return steady_ms() >= wifi_at_ms_ ? LinkStatus::Up : LinkStatus::Joining;
}

void LinuxPlatform::wifi_end() {
  if (wifi_wanted_) say("radio", "\"on\":false,\"ms\":%llu", static_cast<unsigned long long>(now_ms()));
  wifi_wanted_ = false;
}

void LinuxPlatform::wifi_scan() {
  camera_->improv_network("host", -40, true);
  camera_->improv_network_end();
}

void LinuxPlatform::mdns_find_begin(const char* ca16) {
  wanted_ca_ = ca16;
  found_.clear();
  find_until_ms_ = steady_ms() + 1500;
  say("lookup");
  if (mdns_ >= 0) mdns_send(mdns_, mdns_question("_magicpi-nvr._tcp.local"));
}

int LinuxPlatform::mdns_find_poll(GatewayAddress* out, size_t max) {
  if (mdns_ >= 0 && steady_ms() < find_until_ms_) return -1;
  size_t n = 0;
  for (const MdnsFound& f : found_) {
    if (f.value("ca") != wanted_ca_ || f.port == 0) continue;
    for (const std::string& a : f.addresses) {
      if (n == max) break;
      copy_string(out[n].host, sizeof out[n].host, a.c_str());
      out[n++].port = f.port;
    }
  }
  find_until_ms_ = 0;
  say("lookup_done", "\"found\":%zu", n);
  return static_cast<int>(n);
}

void LinuxPlatform::serve_mdns() {
  if (mdns_ < 0) return;
  if (advertising_ && announcements_ < 3 && steady_ms() >= announce_at_ms_) {
    mdns_send(mdns_, service_.announcement(120));
    announce_at_ms_ = steady_ms() + 1000;
    ++announcements_;
  }
  uint8_t packet[9000];
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  for (int i = 0; i < 32; ++i, size = sizeof from) {
    const ssize_t n = recvfrom(mdns_, packet, sizeof packet, 0, reinterpret_cast<struct sockaddr*>(&from), &size);
    if (n <= 0) return;
    if (find_until_ms_) mdns_collect(packet, static_cast<size_t>(n), "_magicpi-nvr._tcp.local", &found_);
    if (!advertising_) continue;
    const bool legacy = ntohs(from.sin_port) != 5353;
    const std::vector<uint8_t> answer = service_.answer(packet, static_cast<size_t>(n), legacy);
    if (answer.empty()) continue;
    if (legacy) sendto(mdns_, answer.data(), answer.size(), 0, reinterpret_cast<struct sockaddr*>(&from), size);
    else mdns_send(mdns_, answer);
  }
}

void LinuxPlatform::setup_open(bool access_point) {
  if (!server_.open(options_.http_bind, options_.http_port)) {
    say("log", "\"level\":\"error\",\"message\":\"setup port is taken\"");
    return;
  }
  say("setup", "\"open\":true,\"access_point\":%s,\"host\":\"%s\",\"port\":%u,\"code\":\"%s\"",
      access_point ? "true" : "false", options_.http_bind.c_str(), server_.port(), camera_->setup_code());
  if (access_point || mdns_ < 0) return;
  const std::string id = options_.id;
  std::string plain;
  for (char c : id) {
    if (c != ':') plain += static_cast<char>(tolower(c));
  }
  service_.type = "_magicpi-cam._tcp.local";
  service_.instance = "MagicPi " + plain.substr(plain.size() - 4);
  service_.host = "magicpi-" + plain + ".local";
  service_.port = server_.port();
  inet_pton(AF_INET, options_.advertise.c_str(), service_.address);
  service_.txt = {"id=" + id, "model=" + options_.model, "fw=" + fw_, "proto=1"};
  advertising_ = true;
  announcements_ = 0;
  announce_at_ms_ = 0;
}

void LinuxPlatform::setup_close() {
  if (server_.is_open()) say("setup", "\"open\":false");
  server_.close();
  if (advertising_) mdns_send(mdns_, service_.announcement(0));
  advertising_ = false;
}

void LinuxPlatform::console_write(const uint8_t* data, size_t n) {
  char hex[2 * 300 + 1];
  if (n > 300) n = 300;
  hex_encode(data, n, hex);
  bool text = true;
  for (size_t i = 0; i < n; ++i) text = text && (data[i] >= 0x20 || data[i] == '\r' || data[i] == '\n') && data[i] < 0x7f;
  if (text) say("console", "\"text\":%s", quoted(std::string(reinterpret_cast<const char*>(data), n)).c_str());
  else say("console", "\"hex\":\"%s\"", hex);
}

// --- OTA ----------------------------------------------------------------------

bool LinuxPlatform::ota_begin(uint32_t size) {
  if (ota_) fclose(ota_);
  ota_left_ = size;
  ota_ = size <= 16u << 20 ? fopen(path("ota.bin").c_str(), "wbe") : nullptr;
  return ota_ != nullptr;
}

bool LinuxPlatform::ota_write(const uint8_t* data, size_t n) {
  if (!ota_ || n > ota_left_) return false;
  ota_left_ -= static_cast<uint32_t>(n);
  return fwrite(data, 1, n, ota_) == n;
}

bool LinuxPlatform::ota_finish() {
  if (!ota_) return false;
  fclose(ota_);
  ota_ = nullptr;
  // An image for this shell is a text whose first words are MAGICPI-FW <version>: enough to "run" it.
  const std::string image = read_text(path("ota.bin"));
  const std::string version = image.rfind("MAGICPI-FW ", 0) == 0 ? first_word(image.substr(11, 40)) : fw_;
  write_file(path("fw.before"), fw_.data(), fw_.size());
  write_file(path("fw"), version.data(), version.size());
  rename(path("ota.bin").c_str(), path("firmware.bin").c_str());
  return write_file(path("ota_trial"), "new", 3);
}

void LinuxPlatform::ota_abort() {
  if (ota_) fclose(ota_);
  ota_ = nullptr;
  unlink(path("ota.bin").c_str());
}

bool LinuxPlatform::ota_pending() { return first_word(read_text(path("ota_trial"))) == "booted"; }

void LinuxPlatform::ota_confirm() {
  unlink(path("ota_trial").c_str());
  say("ota_confirmed", "\"fw\":%s", quoted(fw_).c_str());
}

bool LinuxPlatform::ota_rollback() {
  const std::string before = first_word(read_text(path("fw.before")));
  write_file(path("fw"), before.data(), before.size());
  unlink(path("ota_trial").c_str());
  say("ota_rollback", "\"fw\":%s", quoted(before).c_str());
  restarting_ = true;
  return true;
}

// --- sleep ----------------------------------------------------------------------

void LinuxPlatform::sleep(const SleepRequest& request) {
  request_ = request;
  asleep_ = true;
  save_rtc();
  static const char* const kPir[] = {"off", "high", "low"};
  say("sleep", "\"timer_s\":%u,\"pir\":\"%s\",\"ring\":%s,\"awake_ms\":%llu", request.timer_s,
      kPir[static_cast<int>(request.pir)], request.ring ? "true" : "false", static_cast<unsigned long long>(now_ms()));
}

void LinuxPlatform::restart() {
  restarting_ = true;
  save_rtc();
  say("restart");
}

WakeCause LinuxPlatform::sleep_it_out() {
  const uint64_t start = steady_ms();
  const double length = request_.timer_s ? request_.timer_s * 1000.0 / options_.time_factor : 1e18;
  WakeCause cause = WakeCause::Timer;
  for (;;) {
    tick();
    if (quit_ || restarting_) {
      cause = WakeCause::Power;
      break;
    }
    const bool high = pir_level();
    if ((request_.pir == PirWake::OnHigh && high) || (request_.pir == PirWake::OnLow && !high)) {
      cause = WakeCause::Pir;
      break;
    }
    if (request_.ring && ring_level()) {
      cause = WakeCause::Ring;
      break;
    }
    if (static_cast<double>(steady_ms() - start) >= length) break;
    struct pollfd input = {0, POLLIN, 0};
    ::poll(&input, 1, 10);
  }
  const double slept = static_cast<double>(steady_ms() - start);
  rtc_extra_ms_ += slept * (options_.time_factor - 1);
  // Through the file, so that nothing survives that would not on the device. A power cycle has spoilt the memory itself.
  const std::string kept = read_text(path("rtc.bin"));
  if (cause != WakeCause::Power && kept.size() == sizeof rtc_) memcpy(rtc_, kept.data(), sizeof rtc_);
  return cause;
}

void LinuxPlatform::wait(uint32_t ms, int socket_a, int socket_b) {
  std::vector<int> fds;
  if (socket_a >= 0) fds.push_back(socket_a);
  if (socket_b >= 0) fds.push_back(socket_b);
  server_.descriptors(&fds);
  if (mdns_ >= 0) fds.push_back(mdns_);
  std::vector<struct pollfd> set;
  for (int fd : fds) set.push_back({fd, POLLIN, 0});
  ::poll(set.data(), set.size(), static_cast<int>(ms));
  server_.poll(*camera_);
  serve_mdns();
}

void LinuxPlatform::tick() {
  char block[512];
  const ssize_t n = read(0, block, sizeof block);
  if (n > 0) input_.append(block, static_cast<size_t>(n));
  for (size_t end = 0; (end = input_.find('\n')) != std::string::npos;) {
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 1);
    command(line);
  }
  if (next_motion_ms_ && steady_ms() >= next_motion_ms_ && (!options_.motion_count || motions_ < options_.motion_count)) {
    ++motions_;
    next_motion_ms_ = steady_ms() + static_cast<uint64_t>(options_.motion_every_s * 1000);
    pulse(options_.motion_s);
  }
}

void LinuxPlatform::command(const std::string& line) {
  const std::string word = first_word(line);
  const std::string rest = line.size() > word.size() ? line.substr(line.find(word) + word.size()) : "";
  const std::string argument = first_word(rest);
  if (word == "motion") pulse(argument.empty() ? options_.motion_s : atof(argument.c_str()));
  else if (word == "pir") pir_level_ = argument == "1";
  else if (word == "ring") ring_until_ms_ = steady_ms() + (argument.empty() ? 300 : static_cast<uint64_t>(atof(argument.c_str()) * 1000));
  else if (word == "charging") charging_ = atoi(argument.c_str());
  else if (word == "battery") battery_mv_ = atoi(argument.c_str());
  else if (word == "wifi") wifi_down_ = argument == "down";
  else if (word == "camera") camera_broken_ = argument == "broken";
  else if (word == "set" && !asleep_) camera_->change_settings(rest.data(), rest.size());
  else if (word == "join" && !asleep_) camera_->set_wifi(argument.c_str(), "");
  else if (word == "reset" && !asleep_) camera_->factory_reset();
  else if (word == "power") {
    memset(rtc_, 0xa5, sizeof rtc_);
    restarting_ = true;
  } else if (word == "console" && !asleep_) {
    for (char c : argument + "\n") camera_->console_byte(static_cast<uint8_t>(c));
  } else if (word == "quit") quit_ = true;
  else if (!word.empty()) say("log", "\"level\":\"warning\",\"message\":\"unknown command\"");
}

// --- observation ----------------------------------------------------------------

void LinuxPlatform::log(LogLevel level, const char* message) {
  static const char* const kLevels[] = {"debug", "info", "warning", "error"};
  say("log", "\"level\":\"%s\",\"message\":%s", kLevels[static_cast<int>(level)], quoted(message).c_str());
}

void LinuxPlatform::note(const Note& n) {
  switch (n.kind) {
    case Note::StateChanged: say("state", "\"state\":\"%s\"", state_name(static_cast<State>(n.a))); break;
    case Note::EventStarted: say("event_started", "\"event\":%u,\"t\":%u", n.a, n.b); break;
    case Note::EventEnded: say("event_ended", "\"event\":%u,\"frames\":%u,\"lost\":%u", n.a, n.b, n.c); break;
    case Note::FrameCaptured:
      if (options_.frame_lines) {
        say("captured", "\"seq\":%u,\"event\":%u,\"flags\":%u,\"t\":%llu,\"source\":%s", n.a, n.b, n.c,
            static_cast<unsigned long long>(frame_t_), quoted(frame_name_).c_str());
      }
      break;
    case Note::FrameLost: say("lost", "\"seq\":%u,\"frames\":%u", n.a, n.b); break;
    case Note::FrameSent:
      if (options_.frame_lines) say("sent", "\"seq\":%u", n.a);
      break;
    case Note::Acked: say("acked", "\"seq\":%u", n.a); break;
    case Note::ConfigApplied: say("config", "\"rev\":%u", n.a); break;
    case Note::PirStuck: say("pir_stuck"); break;
    case Note::AlarmDropped: say("alarm_dropped", "\"event\":%u", n.a); break;
    case Note::Dismissed: say("dismissed", "\"frames\":%u", n.a); break;
    case Note::RingPressed: say("ring", "\"event\":%u", n.a); break;
    case Note::OtaProgress: say("ota", "\"percent\":%u", n.a); break;
    case Note::TlsReady: say("tls", "\"resumed\":%s,\"ms\":%u", n.a ? "true" : "false", n.b); break;
    case Note::CommandDone: say("command", "\"ok\":%s", n.a ? "true" : "false"); break;
    case Note::Closed: say("closed", "\"code\":%u", n.a); break;
  }
}

}  // namespace magicpi
