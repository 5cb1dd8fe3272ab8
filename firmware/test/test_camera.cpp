// The whole camera on the virtual clock.
#include <doctest/doctest.h>

#include "sim.h"

using namespace sim;

namespace {

constexpr uint64_t kSecond = 1000, kMinute = 60000, kHour = 3600000;

/// Awake once after power-on and asleep again, so that tests begin where life does.
std::unique_ptr<World> sleeping(size_t ring = 512 * 1024, const std::function<void(World&)>& prepare = nullptr) {
  auto w = std::make_unique<World>(ring);
  w->adopt();
  w->gateway.config_rev = 0;
  w->options.settings.stream_duration_s = 5;
  if (prepare) prepare(*w);
  w->boot(WakeCause::Power);
  REQUIRE(w->run_to_sleep());
  return w;
}

void all_kept(World& w, uint32_t boot) { CHECK(w.gateway.kept[boot] == w.taken[boot]); }

std::string sealed(World& w, const std::string& code, std::string bundle) {
  char body[768];
  REQUIRE(w.camera().setup_get(body, sizeof body) == 200);
  const json::Value about = json::parse(body, strlen(body));
  char nonce[32];
  REQUIRE(about.get("nonce").to_string(nonce, sizeof nonce));
  uint8_t raw[16], key[32], iv[12] = {1, 2, 3};
  size_t n = 0;
  REQUIRE(base64_decode(nonce, strlen(nonce), raw, sizeof raw, &n));
  REQUIRE(setup_key(code.c_str(), raw, key));
  Bytes box(bundle.size() + 16);
  const char* id = "AA:BB:CC:DD:EE:FF";
  REQUIRE(gcm_seal(key, iv, reinterpret_cast<const uint8_t*>(id), strlen(id),
                   reinterpret_cast<const uint8_t*>(bundle.data()), bundle.size(), box.data()));
  std::string text(box.size() * 2, 0), iv_text(20, 0);
  text.resize(base64url_encode(box.data(), box.size(), &text[0], text.size()));
  iv_text.resize(base64url_encode(iv, 12, &iv_text[0], iv_text.size()));
  return std::string("{\"nonce\":\"") + nonce + "\",\"iv\":\"" + iv_text + "\",\"box\":\"" + text + "\"}";
}

std::string bundle_text(World& w) {
  std::string pem = "-----BEGIN CERTIFICATE-----\\n";
  for (int i = 0; i < 8; ++i) pem += "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v\\n";
  pem += "-----END CERTIFICATE-----\\n";
  return "{\"v\":1,\"gateway\":{\"hosts\":[\"192.168.1.10\",\"10.0.0.2\"],\"port\":3443,\"name\":\"nvr.magicpi.internal\"},\"ca\":\"" +
         pem + "\",\"token\":\"" + w.gateway.token + "\",\"time\":1700000000000,\"name\":\"Front door\"}";
}

int post(World& w, const std::string& body) { return w.camera().setup_post(body.data(), body.size()); }

std::string plain_code(World& w) {
  std::string code = w.camera().setup_code();
  code.erase(std::remove(code.begin(), code.end(), '-'), code.end());
  return code;
}

void type_line(World& w, const char* line) {
  for (; *line; ++line) w.camera().console_byte(static_cast<uint8_t>(*line));
}

void rpc(World& w, uint8_t command, const Bytes& data) {
  Bytes p{'I', 'M', 'P', 'R', 'O', 'V', 1, 3, static_cast<uint8_t>(data.size() + 2), command, static_cast<uint8_t>(data.size())};
  p.insert(p.end(), data.begin(), data.end());
  uint8_t sum = 0;
  for (uint8_t b : p) sum = static_cast<uint8_t>(sum + b);
  p.push_back(sum);
  for (uint8_t b : p) w.camera().console_byte(b);
}

bool console_has(World& w, const std::string& text) {
  return std::search(w.console.begin(), w.console.end(), text.begin(), text.end()) != w.console.end();
}

}  // namespace

TEST_CASE("power-on of a claimed camera: checks in, waits for the PIR to settle, sleeps armed") {
  auto w = sleeping();
  CHECK(w->gateway.count("\"type\":\"hello\"") == 1);
  CHECK(w->gateway.count("\"reason\":\"power\"") == 1);
  CHECK(w->gateway.count("\"bye\",\"reason\":\"sleep\",\"next_wake_s\":3600") == 1);
  CHECK(w->sleeps.back().timer_s == 3600);
  CHECK(w->sleeps.back().pir == PirWake::OnHigh);
  CHECK(w->uptime() >= 30 * kSecond);
  CHECK(w->portal_opens == 0);
  CHECK(w->camera_starts == 0);
  CHECK(w->gateway.violations == 0);
}

TEST_CASE("PIR wake: sensor first, pre-roll flagged, event whole, session resumed") {
  auto w = sleeping();
  w->move_pir(10 * kSecond, 2000);
  REQUIRE(w->run(15 * kSecond, [&] { return !w->asleep(); }));
  CHECK(w->radio_starts == 1);          // the radio waits for the first frame
  REQUIRE(w->run_to_sleep());
  const uint32_t boot = w->camera().boot();
  all_kept(*w, boot);
  CHECK(w->gateway.resumptions == 1);
  CHECK(w->gateway.violations == 0);
  CHECK(w->gateway.duplicates == 0);
  const auto& f = w->gateway.frames;
  REQUIRE(f.size() > 50);
  CHECK((f.front().flags & (kPreRoll | kWarming)) == (kPreRoll | kWarming));
  CHECK((f[3].flags & kWarming) == 0);
  CHECK((f.back().flags & kPreRoll) == 0);
  CHECK((f.back().flags & kLast) == kLast);
  CHECK(std::count_if(f.begin(), f.end(), [](const Frame& x) { return x.flags & kLast; }) == 1);
  CHECK(f.front().event == 1);
  CHECK(f.front().seq == 1);
  CHECK(f.front().t <= 800);
  CHECK(w->gateway.count("\"motion\",\"event\":1,\"active\":true") == 1);
  CHECK(w->gateway.count("\"motion\",\"event\":1,\"active\":false") == 1);
  CHECK(w->gateway.last("event_end").find("\"frames\":" + std::to_string(w->taken[boot].size()) + ",\"lost\":0") != std::string::npos);
  CHECK(w->uptime() < 15 * kSecond);
  CHECK(w->max_capture_gap < 150);      // the handshake did not hold the capture task
}

TEST_CASE("motion extends an event up to the maximum; the next edge begins another") {
  auto w = sleeping(2 << 20, [](World& x) { x.options.settings.max_event_s = 20; });
  for (int i = 0; i < 12; ++i) w->move_pir(5000 + static_cast<uint64_t>(i) * 3000, 1500);
  REQUIRE(w->run(10 * kSecond, [&] { return !w->asleep(); }));
  w->run(kMinute);
  CHECK(w->gateway.count("event_end") == 2);
  all_kept(*w, w->camera().boot());
  CHECK(std::count_if(w->gateway.frames.begin(), w->gateway.frames.end(), [](const Frame& x) { return x.flags & kLast; }) == 2);
}

TEST_CASE("link lost in mid-event: every frame arrives once, messages are repeated") {
  auto w = sleeping();
  w->gateway.ack = false;
  w->gateway.drop_after_bytes = 60000;
  w->move_pir(5000, 4000);
  REQUIRE(w->run(30 * kSecond, [&] { return w->gateway.drop_after_bytes == 0; }));
  w->gateway.ack = true;
  REQUIRE(w->run_to_sleep());
  all_kept(*w, w->camera().boot());
  CHECK(w->gateway.count("\"type\":\"hello\"") == 3);
  CHECK(w->gateway.last("event_end").find("\"lost\":0") != std::string::npos);
  CHECK(w->gateway.violations == 0);
  // Bytes were restored: masked twice they would not pass the CRC, and here is their content.
  for (const Frame& f : w->gateway.frames) CHECK(f.jpeg == w->jpeg_of(get_be32(f.jpeg.data() + 4)));
}

TEST_CASE("a gateway that lost what was acknowledged last gets it again as far as the ring has it") {
  auto w = sleeping();
  w->move_pir(5000, 8000);
  w->gateway.ack = false;
  REQUIRE(w->run(60 * kSecond, [&] { return w->gateway.kept[w->camera().boot()].size() >= 20; }));
  const uint32_t boot = w->camera().boot();
  w->gateway.have[boot] = 5;
  w->wire(0).cut();
  w->gateway.ack = true;
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.duplicates >= 15);
  all_kept(*w, boot);
}

TEST_CASE("a stalled socket never blocks capture; the oldest are lost, counted and flagged") {
  auto w = sleeping(64 * 1024);
  w->move_pir(5000, 2000);
  REQUIRE(w->run(60 * kSecond, [&] { return w->gateway.frames.size() > 3; }));
  w->gateway.stalled = true;
  w->max_capture_gap = 0;
  const uint32_t before = w->camera().frames_captured();
  w->run(4 * kSecond);
  CHECK(w->camera().frames_captured() - before >= 39);
  CHECK(w->max_capture_gap <= 110);
  CHECK(w->camera().frames_lost() > 5);
  w->gateway.stalled = false;
  REQUIRE(w->run_to_sleep());
  const uint32_t boot = w->camera().boot();
  const uint32_t missing = static_cast<uint32_t>(w->taken[boot].size() - w->gateway.kept[boot].size());
  CHECK(missing == w->camera().frames_lost());
  CHECK(w->gateway.last("event_end").find("\"lost\":" + std::to_string(missing)) != std::string::npos);
  uint32_t previous = 0;
  for (const Frame& f : w->gateway.frames) {
    CHECK(((f.flags & kLostBefore) != 0) == (f.seq != previous + 1));
    previous = f.seq;
  }
}

TEST_CASE("a stall that lasts ends the connection, and the next one goes on") {
  auto w = sleeping();
  w->move_pir(5000, 2000);
  REQUIRE(w->run(60 * kSecond, [&] { return w->gateway.frames.size() > 3; }));
  w->gateway.stalled = true;
  REQUIRE(w->run(40 * kSecond, [&] { return w->camera().state() == State::Backoff; }));
  w->gateway.stalled = false;
  REQUIRE(w->run_to_sleep());
  all_kept(*w, w->camera().boot());
}

TEST_CASE("frames given up after they were sent count as lost only if they did not arrive") {
  for (bool arrived : {true, false}) {
    auto w = sleeping(64 * 1024);
    w->gateway.ack = false;
    w->move_pir(5000, 2000);
    REQUIRE(w->run(60 * kSecond, [&] { return w->gateway.frames.size() >= 40; }));
    const uint32_t boot = w->camera().boot();
    CHECK(w->camera().frames_lost() == 0);
    if (!arrived) w->gateway.have[boot] = 10;
    w->wire(0).cut();
    w->gateway.ack = true;
    REQUIRE(w->run_to_sleep());
    if (arrived) CHECK(w->camera().frames_lost() == 0);
    else CHECK(w->camera().frames_lost() > 5);
  }
}

TEST_CASE("what was lost in a boot that reached nobody is reported in the next one's hello") {
  auto w = sleeping();
  w->gateway.up = false;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->uptime() < 90 * kSecond);
  const size_t captured = w->taken[w->camera().boot()].size();
  CHECK(w->lookups == 1);
  w->gateway.up = true;
  REQUIRE(w->run(kHour + kMinute, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.last("hello").find("\"lost\":" + std::to_string(captured)) != std::string::npos);
  CHECK(w->rtc().lost_before == 0);
}

TEST_CASE("timer wakes back off while nobody answers, and recover") {
  auto w = sleeping();
  w->gateway.up = false;
  std::vector<uint32_t> intervals;
  for (int i = 0; i < 5; ++i) {
    REQUIRE(w->run(25 * kHour, [&] { return !w->asleep(); }));
    REQUIRE(w->run_to_sleep());
    CHECK(w->uptime() < 30 * kSecond);
    intervals.push_back(w->sleeps.back().timer_s);
  }
  CHECK(intervals == std::vector<uint32_t>{7200, 14400, 21600, 21600, 21600});
  w->gateway.up = true;
  REQUIRE(w->run(25 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->sleeps.back().timer_s == 3600);
  CHECK(w->portal_opens + w->setup_opens == 0);
  CHECK(w->camera().claimed());
}

TEST_CASE("a PIR wake that reaches nobody does not postpone the check-in") {
  auto w = sleeping();
  w->gateway.up = false;
  w->move_pir(30 * kMinute, 2000);
  REQUIRE(w->run(kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->sleeps.back().timer_s < 30 * 60);
}

TEST_CASE("the gateway moved: known addresses first, then mDNS, then remembered") {
  auto w = sleeping();
  w->dead_hosts.insert("192.168.1.10:3443");
  w->mdns.push_back({"192.168.1.77", 3444});
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->lookups == 1);
  CHECK(w->gateway.count("\"reason\":\"pir\"") == 1);
  CHECK(std::string(w->rtc().gateway_host) == "192.168.1.77");
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->lookups == 1);
  Claim c;
  REQUIRE(claim_load(*w, &c));
  CHECK(c.hosts == 2);
  CHECK(std::string(c.host[0]) == "192.168.1.77");
  CHECK(c.port == 3444);
}

TEST_CASE("close codes") {
  struct Case {
    uint16_t code;
    uint32_t hellos_max;
    bool refused;
  };
  // Code answered to the first hello of a PIR wake; then the gateway behaves.
  for (const Case& c : {Case{1001, 3, false}, Case{1008, 1, false}, Case{1011, 3, false}, Case{4001, 1, false},
                        Case{4003, 1, true}, Case{4008, 3, false}, Case{1000, 3, false}}) {
    CAPTURE(c.code);
    auto w = sleeping();
    w->gateway.close_with = c.code;
    w->move_pir(5000, 2000);
    REQUIRE(w->run(30 * kSecond, [&] { return w->gateway.count("\"reason\":\"pir\"") == 1; }));
    w->gateway.close_with = 0;
    REQUIRE(w->run_to_sleep());
    const int hellos = w->gateway.count("\"reason\":\"pir\"");
    if (c.hellos_max == 1) {
      CHECK(hellos == 1);
    } else {
      CHECK(hellos == 2);
      all_kept(*w, w->camera().boot());
    }
    CHECK(w->camera().claimed());
    CHECK(w->portal_opens == 0);
    if (c.refused) {
      CHECK(w->sleeps.back().timer_s == 6 * 3600);
      CHECK(w->sleeps.back().pir == PirWake::Off);
      // After six hours the key is good again: back to normal.
      REQUIRE(w->run(7 * kHour, [&] { return !w->asleep(); }));
      REQUIRE(w->run_to_sleep());
      CHECK(w->sleeps.back().pir == PirWake::OnHigh);
    }
  }
}

TEST_CASE("1009: the frame that was too big is dropped, the rest goes on, quality is lowered") {
  auto w = sleeping();
  w->gateway.close_on_frame = 1009;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(30 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  const uint32_t boot = w->camera().boot();
  CHECK(w->taken[boot].size() - w->gateway.kept[boot].size() == w->camera().frames_lost());
  CHECK(w->camera().frames_lost() >= 1);
  CHECK(w->camera().frames_lost() <= 2);
}

TEST_CASE("the key is refused at the door: no retry storm, claim kept, setup stays shut") {
  auto w = sleeping();
  w->gateway.refuse_key = true;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->uptime() < 10 * kSecond);
  CHECK(w->sleeps.back().timer_s == 6 * 3600);
  CHECK(w->camera().claimed());
  CHECK(w->portal_opens + w->setup_opens == 0);
  CHECK(w->logged("refuses"));
}

TEST_CASE("busy gateway: Retry-After is respected") {
  auto w = sleeping();
  w->gateway.upgrade_status = 429;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return w->camera().state() == State::Backoff; }));
  const uint64_t then = w->now;
  w->gateway.upgrade_status = 101;
  REQUIRE(w->run_to(State::Online));
  CHECK(w->now - then >= 7000);
}

TEST_CASE("wrong certificate: nothing is sent, whatever address") {
  auto w = sleeping();
  w->wrong_ca = true;
  const size_t requests = w->gateway.requests.size();
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.requests.size() == requests);
  CHECK(w->logged("certificate refused"));
}

TEST_CASE("settings: delivered at a timer wake, rejected with a reason, kept over sleep") {
  auto w = sleeping();
  w->gateway.config_rev = 5;
  w->gateway.config = "{\"rev\":5,\"framerate\":5,\"jpeg_quality\":99,\"resolution\":\"HD\",\"flash\":\"motion\",\"vflip\":1,\"unknown\":3}";
  REQUIRE(w->run(2 * kHour, [&] { return w->gateway.count("config_ack") == 1; }));
  const std::string ack = w->gateway.last("config_ack");
  CHECK(ack.find("\"rev\":5") != std::string::npos);
  CHECK(ack.find("\"rejected\":{\"jpeg_quality\":\"range\",\"vflip\":\"type\"}") != std::string::npos);
  CHECK(ack.find("\"applied\":{\"resolution\":\"HD\",\"framerate\":5,\"flash\":\"motion\"}") != std::string::npos);
  REQUIRE(w->run_to_sleep());
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  CHECK(w->flash_on);
  REQUIRE(w->run_to_sleep());
  CHECK(!w->flash_on);
  CHECK(w->camera().settings().framerate == 5);
  CHECK(w->applied.resolution == Resolution::HD);
  CHECK(w->gateway.last("\"hello\"").find("\"config_rev\":5") != std::string::npos);
  const auto& f = w->gateway.frames;
  CHECK(f[10].t - f[9].t == 200);
}

TEST_CASE("settings changed at the camera are reported and get a revision") {
  auto w = sleeping();
  w->gateway.stay_awake_s = 30;
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep() && w->camera().state() == State::Online; }));
  CHECK(w->camera().change_settings("{\"framerate\":7}", 15));
  CHECK(!w->camera().change_settings("{\"framerate\":70}", 16));
  CHECK(!w->camera().change_settings("nonsense", 8));
  REQUIRE(w->run(20 * kSecond, [&] { return w->gateway.puts.size() == 1; }));
  CHECK(w->gateway.puts[0] == "{\"rev\":0,\"framerate\":7}");
  w->gateway.stay_awake_s = 0;
  REQUIRE(w->run_to_sleep());
  CHECK(w->camera().settings().rev == 1);
  CHECK(w->camera().settings().framerate == 7);
  CHECK(w->store.count("dirty") == 0);
}

TEST_CASE("commands") {
  auto w = sleeping();
  auto awake = [&] {
    w->gateway.stay_awake_s = 60;
    REQUIRE(w->run(2 * kHour, [&] { return !w->asleep() && w->camera().state() == State::Online; }));
  };
  auto command = [&](const std::string& name, const std::string& args = "{}") {
    w->gateway.send_text("{\"type\":\"command\",\"id\":7,\"name\":\"" + name + "\",\"args\":" + args + "}");
    const int before = w->gateway.count("\"type\":\"result\"");
    w->run(10 * kSecond, [&] { return w->gateway.count("\"type\":\"result\"") > before; });
    return w->gateway.last("\"type\":\"result\"");
  };
  const std::string ok = "{\"type\":\"result\",\"id\":7,\"ok\":true}";
  awake();
  CHECK(command("snapshot") == ok);
  w->run(500);
  REQUIRE(w->gateway.frames.size() == 1);
  CHECK((w->gateway.frames[0].flags & kStill) == kStill);
  CHECK((w->gateway.frames[0].flags & kWarming) == 0);
  CHECK(w->gateway.frames[0].event == 0);
  CHECK(command("identify") == ok);
  CHECK(w->identifies == 1);
  CHECK(command("dance").find("\"error\":\"unknown_command\"") != std::string::npos);
  CHECK(command("stream_start", "{\"duration_s\":4}") == ok);
  w->run(8 * kSecond);
  const size_t streamed = w->gateway.frames.size();
  CHECK(streamed >= 30);
  CHECK(streamed <= 45);
  CHECK(command("stream_start") == ok);
  w->run(kSecond);
  CHECK(command("stream_stop") == ok);
  w->run(kSecond);
  const size_t stopped = w->gateway.frames.size();
  w->run(kSecond);
  CHECK(w->gateway.frames.size() == stopped);
  CHECK(command("rekey", "{\"api_key\":\"short\"}").find("malformed") != std::string::npos);
  w->gateway.new_key = "NEWNEWNEWNEWNEWNEWNEWNEWNEWNEWNEWNEWNEWNEWN";
  CHECK(command("rekey", "{\"api_key\":\"" + w->gateway.new_key + "\"}") == ok);
  CHECK(command("restart") == ok);
  w->gateway.key = "OLD KEY IS GONE";
  REQUIRE(w->run(30 * kSecond, [&] { return w->restarts == 1; }));
  awake();
  Claim c;
  REQUIRE(claim_load(*w, &c));
  CHECK(std::string(c.api_key) == w->gateway.new_key);
  CHECK(c.new_key[0] == 0);
  CHECK(command("sleep") == ok);
  REQUIRE(w->run_to_sleep(20 * kSecond));
  w->camera_broken = true;
  awake();
  CHECK(command("stream_start").find("\"error\":\"camera\"") != std::string::npos);
  CHECK(command("snapshot").find("\"error\":\"camera\"") != std::string::npos);
  CHECK(command("forget") == ok);
  REQUIRE(w->run(30 * kSecond, [&] { return w->restarts == 2; }));
  w->run(5 * kSecond);
  CHECK(!w->camera().claimed());
  CHECK(w->camera().state() == State::Setup);
}

TEST_CASE("a rekey that the gateway forgot: the old key still opens") {
  auto w = sleeping();
  Claim c;
  REQUIRE(claim_load(*w, &c));
  copy_string(c.new_key, sizeof c.new_key, "NEWNEWNEWNEWNEWNEWNEWNEWNEWNEWNEWNEWNEWNEWN");
  REQUIRE(claim_save(*w, c));
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  all_kept(*w, w->camera().boot());
  REQUIRE(claim_load(*w, &c));
  CHECK(std::string(c.api_key) == w->gateway.key);
  CHECK(c.new_key[0] == 0);
}

TEST_CASE("heartbeats and silence") {
  auto w = sleeping();
  w->gateway.stay_awake_s = 100;
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep() && w->camera().state() == State::Online; }));
  w->run(65 * kSecond);
  CHECK(w->gateway.count("heartbeat") == 6);
  // A peer whose host has vanished: writes go nowhere, nothing comes back.
  w->wifi_down.push_back({w->now, w->now + 5 * kSecond});
  REQUIRE(w->run(60 * kSecond, [&] { return w->camera().state() != State::Online; }));
  REQUIRE(w->run_to(State::Online, 120 * kSecond));
}

TEST_CASE("server pings are answered, junk is survived, protocol violations end the connection") {
  auto w = sleeping();
  w->gateway.stay_awake_s = 100;
  auto online = [&] { REQUIRE(w->run(2 * kHour, [&] { return !w->asleep() && w->camera().state() == State::Online; })); };
  online();
  w->gateway.send_frame(0x89, {'x'});
  w->gateway.send_text("{\"type\":\"news\"}");
  w->gateway.send_text("[1]");
  w->gateway.send_text("{\"type\":\"config\",\"framerate\":9}");
  w->gateway.send_text("{\"type\":\"ack\",\"boot\":1,\"seq\":9}");
  w->gateway.send_frame(0x82, Bytes(300));
  w->gateway.send_text("{\"type\":\"" + std::string(5000, 'x') + "\"}");
  w->run(kSecond);
  CHECK(w->camera().state() == State::Online);
  CHECK(w->logged("config without rev"));
  CHECK(w->logged("skipped"));
  w->gateway.send_frame(0xc1, {'x'});
  w->run(50);
  CHECK(w->camera().state() != State::Online);
  online();
}

TEST_CASE("PIR stuck: event ends at the limit, reported once, sleep waits for it to fall, then armed again") {
  auto w = sleeping(512 * 1024, [](World& x) {
    x.options.settings.max_event_s = 20;
    x.options.pir.stuck_ms = 20000;
  });
  w->move_pir(5000, kHour);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->uptime() < 45 * kSecond);
  CHECK(w->noted(Note::PirStuck) == 1);
  CHECK(w->gateway.count("pir_stuck") == 1);
  CHECK(w->gateway.count("event_end") == 1);
  CHECK(w->sleeps.back().pir == PirWake::OnLow);
  const uint64_t radio = w->radio_starts;
  w->gateway.texts.clear();
  REQUIRE(w->run(2 * kHour, [&] { return !w->sleeps.empty() && w->sleeps.back().pir == PirWake::OnHigh; }));
  CHECK(w->radio_starts - radio <= 1);
  CHECK(w->gateway.count("\"motion\"") == 0);
}

TEST_CASE("motion while the radio's pulse is waited for: a person who keeps moving gets an event, the transmitter none") {
  auto w = sleeping();
  w->radio_pulse_ms = 2500;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.count("event_end") == 1);
  CHECK(w->sleeps.back().pir == PirWake::OnHigh);
  w->radio_pulse_ms = 0;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to(State::Settling));
  const uint64_t off = w->now;
  w->motion.push_back({off + 500, off + 1000});
  w->motion.push_back({off + 1500, off + 9000});
  REQUIRE(w->run(10 * kSecond, [&] { return w->camera().capturing(); }));
  CHECK(w->now - off >= 5000);
  CHECK(w->now - off < 5500);
  const uint32_t boot = w->camera().boot();
  REQUIRE(w->run_to_sleep());
  CHECK(w->camera().boot() == boot);       // no sleep in between
  CHECK(w->gateway.count("event_end") == 3);
  all_kept(*w, boot);
  CHECK(w->gateway.duplicates == 0);
  CHECK(w->rtc().lost_before == 0);
  CHECK(w->rtc().wakes_in_window == 3);
  CHECK(w->sleeps.back().pir == PirWake::OnHigh);
}

TEST_CASE("an event out of reach, another from the settling window within reach: frames are delivered, not counted lost") {
  auto w = sleeping(2 << 20);
  w->gateway.up = false;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to(State::Settling, 3 * kMinute));
  w->gateway.up = true;
  w->motion.push_back({w->now + 500, w->now + 9000});
  REQUIRE(w->run_to_sleep());
  all_kept(*w, w->camera().boot());
  CHECK(w->gateway.count("event_end") == 2);
  CHECK(w->gateway.hello.find("\"lost\":0") != std::string::npos);
  CHECK(w->rtc().lost_before == 0);
}

TEST_CASE("a sensor that the radio triggers for longer than a pulse: events end with the hour's budget") {
  auto w = sleeping(512 * 1024, [](World& x) {
    x.options.pir.wakes_per_hour = 5;
    x.options.settings.stream_duration_s = 3;
  });
  w->radio_pulse_ms = 8000;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.count("event_end") == 5);
  CHECK(w->logged("storm"));
  CHECK(w->sleeps.back().pir == PirWake::Off);
  CHECK(w->uptime() < 3 * kMinute);
}

TEST_CASE("a storm of PIR wakes: rests until the hour is over, check-ins go on") {
  auto w = sleeping(512 * 1024, [](World& x) {
    x.options.pir.wakes_per_hour = 5;
    x.options.settings.stream_duration_s = 3;
  });
  const uint64_t start = w->now;
  for (uint64_t t = 0; t < 2 * kHour; t += 40000) w->motion.push_back({start + t, start + t + 1500});
  w->run(kHour - kMinute);
  CHECK(w->gateway.count("\"type\":\"event_end\"") == 5);
  CHECK(w->logged("storm"));
  CHECK(w->sleeps.back().pir == PirWake::Off);
  w->run(kHour);
  CHECK(w->gateway.count("\"type\":\"event_end\"") >= 9);
  CHECK(w->gateway.count("\"type\":\"event_end\"") <= 11);
}

TEST_CASE("battery: half events when low, timer only when critical, no image below the gate") {
  auto w = sleeping(512 * 1024, [](World& x) {
    x.identity.caps.battery = true;
    x.mv = 4000;
    x.options.settings.stream_duration_s = 12;
  });
  CHECK(w->gateway.last("hello").find("\"battery_mv\":4000,\"battery_pct\":80") != std::string::npos);
  w->mv = 3550;
  w->move_pir(5000, 1000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->saving);
  CHECK(w->taken[w->camera().boot()].size() < 75);
  w->mv = 3350;
  w->gateway.stay_awake_s = 5;
  w->gateway.send_after_welcome = {"{\"type\":\"command\",\"id\":\"a\",\"name\":\"stream_start\",\"args\":{}}",
                                   "{\"type\":\"command\",\"id\":\"b\",\"name\":\"snapshot\",\"args\":{}}",
                                   "{\"type\":\"ota\",\"version\":\"2.0\",\"sha256\":\"" + std::string(64, '0') + "\",\"size\":9,\"path\":\"/firmware/0\"}"};
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.count("\"error\":\"battery\"") == 3);
  CHECK(w->sleeps.back().pir == PirWake::Off);
  CHECK(w->sleeps.back().timer_s == 6 * 3600);
  // Within the hysteresis nothing changes; above it, it does.
  w->mv = 3420;
  REQUIRE(w->run(7 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->sleeps.back().pir == PirWake::Off);
  w->mv = 4100;
  REQUIRE(w->run(7 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->sleeps.back().pir == PirWake::OnHigh);
  CHECK(!w->saving);
}

TEST_CASE("brownouts: after three in a row the camera rests on a long timer") {
  auto w = sleeping();
  for (int i = 0; i < 3; ++i) {
    w->gateway.up = false;
    w->boot(WakeCause::Brownout);
    if (i < 2) w->run(2 * kSecond);
  }
  REQUIRE(w->run_to_sleep(10 * kSecond));
  CHECK(w->sleeps.back().timer_s >= 3600);
  CHECK(w->sleeps.back().pir == PirWake::Off);
  w->gateway.up = true;
  REQUIRE(w->run(7 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->rtc().brownouts == 0);
  CHECK(w->sleeps.back().pir == PirWake::OnHigh);
}

TEST_CASE("pre-roll off: capture begins with the link") {
  auto w = sleeping(512 * 1024, [](World& x) { x.options.settings.pre_roll = false; });
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  REQUIRE(w->gateway.frames.size() > 10);
  CHECK((w->gateway.frames.front().flags & kPreRoll) == 0);
}

TEST_CASE("frames that the driver cut off are no frames; the quality is lowered") {
  auto w = sleeping();
  w->truncated_jpeg = true;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return w->logged("quality lowered"); }));
  CHECK(w->camera().frames_captured() == 0);
  w->truncated_jpeg = false;
  REQUIRE(w->run_to_sleep());
  CHECK(w->applied.jpeg_quality > 12);
  CHECK(w->gateway.frames.size() > 10);
}

TEST_CASE("a sensor that dies in mid-event: the newest frame gets the mark") {
  auto w = sleeping();
  w->gateway.up = false;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  w->run(2 * kSecond);
  w->broken_frames = true;
  w->run(8 * kSecond);
  w->gateway.up = true;
  REQUIRE(w->run_to_sleep());
  REQUIRE(!w->gateway.frames.empty());
  CHECK((w->gateway.frames.back().flags & kLast) == kLast);
}

TEST_CASE("update: fetched with a resumed range, verified, confirmed by welcome") {
  for (bool ranges : {true, false}) {
    auto w = sleeping();
    w->gateway.image.assign(150000, 0x5a);
    w->gateway.no_ranges = !ranges;
    uint8_t hash[32];
    sha256(w->gateway.image.data(), w->gateway.image.size(), hash);
    char hex[65];
    hex_encode(hash, 32, hex);
    const std::string offer = std::string("{\"type\":\"ota\",\"version\":\"1.1.0\",\"sha256\":\"") + hex +
                              "\",\"size\":150000,\"path\":\"/firmware/" + hex + "\"}";
    w->gateway.cut_image_at = 60000;
    w->gateway.send_after_welcome = {offer};
    REQUIRE(w->run(2 * kHour, [&] { return w->restarts == 1; }));
    CHECK(w->slot == w->gateway.image);
    CHECK(w->gateway.count("\"state\":\"installed\"") == 1);
    CHECK(w->gateway.count("\"state\":\"downloading\"") >= 9);
    CHECK(w->gateway.count("\"bye\",\"reason\":\"ota\"") == 1);
    CHECK(std::count_if(w->gateway.requests.begin(), w->gateway.requests.end(),
                        [](const std::string& r) { return r.find("/firmware/") != std::string::npos; }) == 2);
    REQUIRE(w->run_to(State::Online));
    CHECK(w->gateway.last("hello").find("\"reason\":\"ota\"") != std::string::npos);
    CHECK(w->confirms == 1);
    w->identity.fw = "1.0.0";
    REQUIRE(w->run_to_sleep());
    CHECK(w->rollbacks == 0);
  }
}

TEST_CASE("update: refusals and a wrong hash") {
  auto w = sleeping();
  w->gateway.image.assign(5000, 0x5a);
  w->gateway.stay_awake_s = 60;
  const std::string tail = ",\"size\":5000,\"path\":\"/firmware/0\"}";
  const std::string zero = "\"sha256\":\"" + std::string(64, '0') + "\"";
  w->gateway.send_after_welcome = {
      "{\"type\":\"ota\",\"version\":\"1.0.0\"," + zero + tail, "{\"type\":\"ota\",\"version\":\"0.9.9\"," + zero + tail,
      "{\"type\":\"ota\",\"version\":\"2\",\"sha256\":\"zz\"" + tail, "{\"type\":\"ota\",\"version\":\"1.1.0\"," + zero + tail};
  REQUIRE(w->run(2 * kHour, [&] { return w->gateway.count("\"state\":\"failed\"") == 4; }));
  for (const char* slug : {"same", "downgrade", "malformed", "sha256"}) {
    CAPTURE(slug);
    CHECK(w->gateway.count(std::string("\"error\":\"") + slug) == 1);
  }
  w->gateway.send_text("{\"type\":\"ota\",\"version\":\"1.1.0\"," + zero + ",\"size\":4000,\"path\":\"/firmware/0\"}");
  REQUIRE(w->run(kMinute, [&] { return w->gateway.count("\"error\":\"size\"") == 1; }));
  w->gateway.send_text("{\"type\":\"ota\",\"version\":\"1.1.0\"," + zero + ",\"size\":5000000,\"path\":\"/firmware/0\"}");
  REQUIRE(w->run(kMinute, [&] { return w->gateway.count("\"error\":\"slot\"") == 1; }));
  w->gateway.image.clear();
  CHECK(w->restarts == 0);
}

TEST_CASE("update that never reaches the gateway: rolled back, and refused after the second time") {
  auto w = sleeping();
  w->gateway.image.assign(5000, 0x5a);
  uint8_t hash[32];
  sha256(w->gateway.image.data(), w->gateway.image.size(), hash);
  char hex[65];
  hex_encode(hash, 32, hex);
  const std::string offer = std::string("{\"type\":\"ota\",\"version\":\"1.1.0\",\"sha256\":\"") + hex +
                            "\",\"size\":5000,\"path\":\"/firmware/0\"}";
  for (int i = 0; i < 2; ++i) {
    w->gateway.up = true;
    w->gateway.send_after_welcome = {offer};
    REQUIRE(w->run(8 * kHour, [&] { return w->pending_image; }));
    w->run(100);
    w->gateway.up = false;
    REQUIRE(w->run(kHour, [&] { return w->rollbacks == static_cast<uint64_t>(i + 1); }));
    CHECK(w->uptime() < 200 * kSecond);
  }
  w->gateway.up = true;
  w->gateway.send_after_welcome = {offer};
  REQUIRE(w->run(12 * kHour, [&] { return w->gateway.count("rolled_back") == 1; }));
}

TEST_CASE("setup: claimed with the code, registered, online, setup closed") {
  World w;
  w.boot(WakeCause::Power);
  CHECK(console_has(w, w.camera().setup_code()));
  REQUIRE(w.run(10 * kSecond, [&] { return w.setup_opens == 1; }));
  CHECK(post(w, "{}") == 400);
  CHECK(post(w, sealed(w, "0000000000000000", bundle_text(w))) == 403);
  std::string stale = sealed(w, plain_code(w), bundle_text(w));
  CHECK(post(w, sealed(w, "0000000000000000", bundle_text(w))) == 403);
  CHECK(post(w, stale) == 410);
  CHECK(post(w, sealed(w, plain_code(w), "{\"v\":2}")) == 400);
  w.gateway.register_status = 401;
  REQUIRE(post(w, sealed(w, plain_code(w), bundle_text(w))) == 204);
  REQUIRE(w.run(30 * kSecond, [&] { return w.gateway.requests.size() == 1; }));
  w.run(kSecond);
  CHECK(w.camera().state() == State::Setup);
  w.gateway.register_status = 201;
  w.gateway.config = "{\"rev\":3,\"framerate\":6}";
  w.gateway.config_rev = 3;
  REQUIRE(post(w, sealed(w, plain_code(w), bundle_text(w))) == 204);
  REQUIRE(w.run_to(State::Online));
  CHECK(w.setup_closes == 1);
  CHECK(w.camera().claimed());
  CHECK(w.camera().settings().framerate == 6);
  char body[768];
  CHECK(w.camera().setup_get(body, sizeof body) == 409);
  CHECK(post(w, "{}") == 409);
  CHECK(w.gateway.last("hello").find("\"config_rev\":3") != std::string::npos);
  REQUIRE(w.run_to_sleep());
  CHECK(w.uptime() > 60 * kSecond);
  CHECK(w.portal_opens == 0);
  // The setup code is not among what was logged.
  for (const std::string& l : w.logs) CHECK(l.find(plain_code(w)) == std::string::npos);
}

TEST_CASE("setup: the gateway is slow to come up; registration is tried again") {
  World w;
  w.boot(WakeCause::Power);
  REQUIRE(w.run(10 * kSecond, [&] { return w.setup_opens == 1; }));
  w.gateway.up = false;
  REQUIRE(post(w, sealed(w, plain_code(w), bundle_text(w))) == 204);
  w.run(kMinute);
  CHECK(!w.camera().claimed());
  w.gateway.up = true;
  REQUIRE(w.run_to(State::Online, 2 * kMinute));
  World v;
  v.boot(WakeCause::Power);
  REQUIRE(v.run(10 * kSecond, [&] { return v.setup_opens == 1; }));
  v.gateway.up = false;
  REQUIRE(post(v, sealed(v, plain_code(v), bundle_text(v))) == 204);
  REQUIRE(v.run(15 * kMinute, [&] { return v.logged("registration failed"); }));
  CHECK(v.camera().state() == State::Setup);
}

TEST_CASE("setup without Wi-Fi: portal, wrong password, Improv; on a battery it ends after a quarter of an hour") {
  World w;
  w.options.wifi = WifiCredentials();
  w.identity.caps.battery = true;
  w.mv = 4000;
  w.boot(WakeCause::Power);
  w.run(kSecond);
  CHECK(w.portal_opens == 1);
  CHECK(!w.camera().set_wifi("", "x"));
  CHECK(!w.camera().set_wifi("home", "short"));
  w.wifi_bad_password = true;
  w.console.clear();
  Bytes credentials{4, 'h', 'o', 'm', 'e', 8, 'p', 'a', 's', 's', 'w', 'o', 'r', 'd'};
  rpc(w, 2, {});
  CHECK(console_has(w, std::string("IMPROV\x01\x01\x01\x02", 10)));
  rpc(w, 1, credentials);
  w.run(5 * kSecond);
  CHECK(console_has(w, std::string("IMPROV\x01\x02\x01\x03", 10)));
  CHECK(w.portal_opens == 2);
  w.wifi_bad_password = false;
  rpc(w, 3, {});
  CHECK(console_has(w, "MagicPi camera"));
  rpc(w, 4, {});
  CHECK(console_has(w, "-107"));
  rpc(w, 9, {});
  CHECK(console_has(w, std::string("IMPROV\x01\x02\x01\x02", 10)));
  rpc(w, 1, {9, 'x'});
  CHECK(console_has(w, std::string("IMPROV\x01\x02\x01\x01", 10)));
  rpc(w, 1, credentials);
  REQUIRE(w.run(10 * kSecond, [&] { return w.setup_opens == 1; }));
  CHECK(console_has(w, "my.home-assistant.io"));
  rpc(w, 2, {});
  // Wi-Fi goes and comes back: setup is served again.
  w.wifi_down.push_back({w.now + 1000, w.now + 8000});
  REQUIRE(w.run(kMinute, [&] { return w.setup_opens == 2; }));
  REQUIRE(w.run(20 * kMinute, [&] { return w.asleep(); }));
  CHECK(w.sleeps.back().timer_s == 0);
  CHECK(w.sleeps.back().pir == PirWake::Off);
}

TEST_CASE("console and button on a claimed camera") {
  auto w = sleeping();
  w->gateway.stay_awake_s = 100;
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep() && w->camera().state() == State::Online; }));
  w->console.clear();
  type_line(*w, "code\nstatus\n");
  CHECK(console_has(*w, w->camera().setup_code()));
  CHECK(w->logged("online"));
  rpc(*w, 1, {4, 'e', 'v', 'i', 'l', 0});
  CHECK(console_has(*w, std::string("IMPROV\x01\x02\x01\x04", 10)));
  // 2 s: the portal, by hand; the claim stays.
  w->camera().button(true);
  w->run(2 * kSecond);
  w->camera().button(false);
  CHECK(w->camera().state() == State::Setup);
  CHECK(w->portal_opens == 1);
  REQUIRE(w->camera().set_wifi("other", "password2"));
  REQUIRE(w->run_to(State::Online));
  CHECK(w->camera().claimed());
  w->camera().button(true);
  w->run(2 * kSecond);
  w->camera().button(false);
  REQUIRE(w->run(11 * kMinute, [&] { return w->camera().state() != State::Setup; }));
  // 6 s: everything but the code is forgotten.
  const std::string code = w->camera().setup_code();
  w->gateway.stay_awake_s = 100;
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  w->camera().button(true);
  w->advance(6000);
  w->camera().button(false);
  w->run(3 * kSecond);
  CHECK(!w->camera().claimed());
  CHECK(w->camera().setup_code() == code);
  type_line(*w, "reset claim\n");
  CHECK(w->restarts >= 1);
}

TEST_CASE("always on: stays connected through quiet hours and a gateway restart") {
  World w;
  w.adopt();
  w.gateway.config_rev = 0;
  w.options.settings.power_mode = PowerMode::AlwaysOn;
  w.options.settings.stream_duration_s = 5;
  w.boot(WakeCause::Power);
  w.run(2 * kHour);
  CHECK(w.sleeps.empty());
  CHECK(w.gateway.connections == 1);
  w.gateway_down.push_back({w.now, w.now + kHour});
  w.run(kHour);
  REQUIRE(w.run_to(State::Online, 2 * kMinute));
  w.move_pir(5000, 2000);
  w.run(20 * kSecond);
  all_kept(w, w.camera().boot());
  CHECK(w.gateway.count("event_end") == 1);
  w.gateway.send_text("{\"type\":\"command\",\"id\":1,\"name\":\"sleep\"}");
  w.run(kSecond);
  CHECK(w.gateway.count("always_on") == 1);
}

TEST_CASE("restart in mid-event: the event is ended and reported, the sensor stays off") {
  auto w = sleeping();
  w->move_pir(5000, 10000);
  REQUIRE(w->run(30 * kSecond, [&] { return w->gateway.frames.size() > 20; }));
  const uint64_t starts = w->camera_starts;
  w->gateway.send_text("{\"type\":\"command\",\"id\":1,\"name\":\"restart\"}");
  const uint64_t restarts = w->restarts;
  REQUIRE(w->run(10 * kSecond, [&] { return w->restarts > restarts; }));
  CHECK(w->camera_starts - starts <= 1);   // the PIR is still high: the new boot's own event
  CHECK(w->gateway.count("\"motion\",\"event\":1,\"active\":false") == 1);
  CHECK(w->gateway.count("event_end") == 1);
  CHECK(w->gateway.count("\"bye\",\"reason\":\"restart\"") == 1);
}

TEST_CASE("a live view ends with the connection that asked for it") {
  World w;
  w.adopt();
  w.gateway.config_rev = 0;
  w.options.settings.power_mode = PowerMode::AlwaysOn;
  w.boot(WakeCause::Power);
  REQUIRE(w.run_to(State::Online));
  w.gateway.send_text("{\"type\":\"command\",\"id\":1,\"name\":\"stream_start\"}");
  w.run(2 * kMinute);
  CHECK(w.gateway.frames.size() > 1000);
  w.wire(0).cut();
  w.run(5 * kSecond);
  CHECK(!w.camera().capturing());
  CHECK(w.camera().state() == State::Online);
}

TEST_CASE("a kept stream continues without the link, one picture every keep_ms, and ends with its requester") {
  World w;
  w.adopt();
  w.gateway.config_rev = 0;
  w.options.settings.power_mode = PowerMode::AlwaysOn;
  w.boot(WakeCause::Power);
  REQUIRE(w.run_to(State::Online));
  w.gateway.send_text("{\"type\":\"command\",\"id\":1,\"name\":\"stream_start\",\"args\":{\"keep_ms\":800}}");
  w.run(5 * kSecond);
  size_t before = w.gateway.frames.size();
  w.gateway.up = false;
  w.wire(0).cut();
  w.run(40 * kSecond);
  CHECK(w.camera().capturing());
  CHECK(w.gateway.frames.size() == before);
  w.gateway.up = true;
  REQUIRE(w.run(60 * kSecond, [&] { return w.gateway.frames.size() > before + 40; }));
  // Without a gap above a second, from the last picture before to the last one
  for (size_t i = before; i < w.gateway.frames.size(); ++i) {
    const auto& frame = w.gateway.frames[i];
    CHECK(frame.event == 0);
    CHECK(frame.t - w.gateway.frames[i - 1].t <= 1000);
    if (i > before + 10 && i < before + 40) {
      CHECK(frame.t - w.gateway.frames[i - 1].t >= 700);
      CHECK((frame.flags & kPreRoll) != 0);
    }
  }
  // Nobody asks again
  w.run(35 * kSecond);
  CHECK(!w.camera().capturing());
  before = w.gateway.frames.size();
  w.run(5 * kSecond);
  CHECK(w.gateway.frames.size() == before);
}

TEST_CASE("pictures that are kept are thinned out evenly where memory is full, leave room for events, and end after ten minutes") {
  World w;
  w.adopt();
  w.gateway.config_rev = 0;
  w.options.settings.power_mode = PowerMode::AlwaysOn;
  w.boot(WakeCause::Power);
  REQUIRE(w.run_to(State::Online));
  w.gateway.send_text("{\"type\":\"command\",\"id\":1,\"name\":\"stream_start\",\"args\":{\"keep_ms\":250}}");
  w.run(5 * kSecond);
  const size_t before = w.gateway.frames.size();
  w.gateway.up = false;
  w.wire(0).cut();
  w.run(5 * kMinute);
  CHECK(w.camera().capturing());
  CHECK(w.camera().frames_lost() > 100);
  w.gateway.up = true;
  REQUIRE(w.run(kMinute, [&] { return w.gateway.frames.size() > before && w.camera().backlog() < 5; }));
  uint64_t longest = 0;
  for (size_t i = before; i < w.gateway.frames.size(); ++i) {
    const uint64_t gap = w.gateway.frames[i].t - w.gateway.frames[i - 1].t;
    longest = gap > longest ? gap : longest;
  }
  // From the first to the last minute, and no wider than needed
  CHECK(longest <= 4000);
  CHECK(w.taken[w.camera().boot()].size() - w.gateway.kept[w.camera().boot()].size() - w.camera().backlog() == w.camera().frames_lost());
  w.gateway.send_text("{\"type\":\"command\",\"id\":2,\"name\":\"stream_start\",\"args\":{\"keep_ms\":250}}");
  w.run(5 * kSecond);
  w.gateway.up = false;
  w.wire(0).cut();
  w.run(9 * kMinute);
  const size_t taken = w.taken[w.camera().boot()].size();
  const uint32_t lost = w.camera().frames_lost();
  w.move_pir(100, 2000);
  w.run(3 * kSecond);
  CHECK(w.taken[w.camera().boot()].size() > taken + 15);
  CHECK(w.camera().frames_lost() > lost);
  w.run(2 * kMinute);
  CHECK(!w.camera().capturing());
}

TEST_CASE("spoilt RTC memory and NVS are survived") {
  auto w = sleeping();
  for (int i = 0; i < 40; ++i) {
    w->random(w->rtc_memory() + 16 * i, 16);
    if (i % 7 == 0) w->store["config"] = Bytes{1, 2, 3};
    w->move_pir(5000, 2000);
    REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
    REQUIRE(w->run_to_sleep());
    all_kept(*w, w->camera().boot());
  }
}

TEST_CASE("static memory of the core") {
  printf("Camera object: %zu bytes; RTC state: %zu bytes\n", sizeof(Camera), sizeof(RtcState));
  CHECK(sizeof(Camera) < 16 * 1024);
  CHECK(sizeof(RtcState) <= kRtcBytes);
}
