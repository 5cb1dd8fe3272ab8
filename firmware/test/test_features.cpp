// What was found on a real compiler and in an emulator, and the features of 0.2, on the virtual clock.
#include <doctest/doctest.h>

#include "../magicpi_cam/src/core/console.h"
#include "../magicpi_cam/src/core/memory_plan.h"
#include "sim.h"

using namespace sim;

namespace {

constexpr uint64_t kSecond = 1000, kMinute = 60000, kHour = 3600000;

std::unique_ptr<World> sleeping(const std::function<void(World&)>& prepare = nullptr) {
  auto w = std::make_unique<World>(512 * 1024);
  w->adopt();
  w->gateway.config_rev = 0;
  w->options.settings.stream_duration_s = 5;
  if (prepare) prepare(*w);
  w->boot(WakeCause::Power);
  REQUIRE(w->run_to_sleep());
  return w;
}

std::string image_offer(World& w, size_t bytes) {
  w.gateway.image.assign(bytes, 0x5a);
  uint8_t hash[32];
  sha256(w.gateway.image.data(), w.gateway.image.size(), hash);
  char hex[65];
  hex_encode(hash, 32, hex);
  return std::string("{\"type\":\"ota\",\"version\":\"1.1.0\",\"sha256\":\"") + hex + "\",\"size\":" + std::to_string(bytes) +
         ",\"path\":\"/firmware/" + hex + "\"}";
}

/// A yard: even light, a tree that moves in the first column, a person who walks through the middle.
struct Yard {
  int light = 110;
  bool person = false, tree = false;
  int person_at = -1;                  // column where someone stands still
  void look(World& w, LumaGrid* out) const {
    for (int i = 0; i < kGridW * kGridH; ++i) out->cell[i] = static_cast<uint8_t>(light + (i * 7) % 23);
    const int step = static_cast<int>(w.uptime() / 200);
    if (tree) {
      for (int row = 0; row < kGridH; ++row) out->cell[row * kGridW] = static_cast<uint8_t>(light + (step + row) % 2 * 60);
    }
    const int column = person_at >= 0 ? person_at : person ? 3 + step % 10 : -1;
    for (int row = 3; row < 10 && column >= 0; ++row) out->cell[row * kGridW + column] = static_cast<uint8_t>(light + 70);
  }
};

/// Settings that a gateway sends, next time the camera is there.
void set_desired(World& w, uint32_t rev, const std::string& keys) {
  w.gateway.config_rev = rev;
  w.gateway.config = "{\"rev\":" + std::to_string(rev) + "," + keys + "}";
  REQUIRE(w.run(2 * kHour, [&] { return w.gateway.last("config_ack").find("\"rev\":" + std::to_string(rev)) != std::string::npos; }));
  REQUIRE(w.run_to_sleep());
}

size_t frames_of(World& w, uint32_t boot) {
  return static_cast<size_t>(std::count_if(w.gateway.frames.begin(), w.gateway.frames.end(), [boot](const Frame& f) { return f.boot == boot; }));
}

/// A port that hangs when it is given more than it has room for.
class Port final : public ConsolePort {
 public:
  size_t free = 0;
  std::string out;
  size_t room() override { return free; }
  void write(const uint8_t* data, size_t n) override {
    REQUIRE(n <= free);
    free -= n;
    out.append(reinterpret_cast<const char*>(data), n);
  }
};

}  // namespace

TEST_CASE("console: a port that takes nothing holds up nobody; what does not fit is dropped whole") {
  ConsoleQueue q;
  Port port;
  const std::string line(100, 'x');
  for (int i = 0; i < 1000; ++i) {
    q.put(line.c_str());
    CHECK(q.pump(port) == 0);
  }
  CHECK(q.dropped() == 1000 - ConsoleQueue::kBytes / 100);
  // A reader comes: what was kept arrives in order, in pieces as it takes them.
  while (!q.empty()) {
    port.free = 7;
    REQUIRE(q.pump(port) > 0);
  }
  CHECK(port.out == std::string(ConsoleQueue::kBytes / 100 * 100, 'x'));
  port.out.clear();
  for (int i = 0; i < 300; ++i) {
    const std::string text = std::to_string(i) + "\n";
    REQUIRE(q.put(text.c_str()));
    port.free = 5;
    q.pump(port);
  }
  port.free = 100000;
  q.pump(port);
  std::string all;
  for (int i = 0; i < 300; ++i) all += std::to_string(i) + "\n";
  CHECK(port.out == all);
  CHECK(!q.put(reinterpret_cast<const uint8_t*>(line.data()), ConsoleQueue::kBytes + 1));
}

TEST_CASE("a weak cell: every wake runs slow, not the first alone") {
  auto w = sleeping([](World& x) {
    x.identity.caps.battery = true;
    x.mv = 3550;
  });
  for (int i = 0; i < 4; ++i) {
    REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
    CHECK(w->saving);
    REQUIRE(w->run_to_sleep());
  }
  w->mv = 4100;
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  w->run(kSecond);
  CHECK(!w->saving);
}

TEST_CASE("a sensor without power-down pin is sent to standby at power-on and after a brownout, not at each wake") {
  World w;
  w.adopt();
  w.gateway.config_rev = 0;
  w.model.unparked_ma = 18.5;
  w.boot(WakeCause::Power);
  REQUIRE(w.run_to_sleep());
  CHECK(w.parked);
  CHECK(w.camera_starts == 0);
  REQUIRE(w.run(2 * kHour, [&] { return !w.asleep(); }));
  REQUIRE(w.run_to_sleep());
  CHECK(w.parks == 1);
  w.boot(WakeCause::Brownout);
  REQUIRE(w.run_to_sleep());
  CHECK(w.parked);
  CHECK(w.parks == 2);
  // In setup, too.
  World v;
  v.boot(WakeCause::Power);
  CHECK(v.parked);
}

TEST_CASE("no budget is measured across a blocking call: an image that takes long to verify is reported, and bye is said") {
  for (uint32_t ms : {100u, 2500u, 12000u}) {
    CAPTURE(ms);
    auto w = sleeping([ms](World& x) { x.model.ota_finish_ms = ms; });
    w->gateway.send_after_welcome = {image_offer(*w, 5000)};
    REQUIRE(w->run(2 * kHour, [&] { return w->restarts == 1; }));
    CHECK(w->gateway.count("\"state\":\"installed\"") == 1);
    CHECK(w->gateway.count("\"bye\",\"reason\":\"ota\"") == 1);
  }
  // The same for a slow sensor, a slow handshake and a slow change of settings.
  auto w = sleeping([](World& x) {
    x.model.camera_ms = 4000;
    x.model.tls_full_ms = 9500;
    x.gateway.resume_ok = false;
  });
  w->move_pir(5000, 2000);
  REQUIRE(w->run(30 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.count("\"reason\":\"pir\"") == 1);
  CHECK(w->gateway.count("event_end") == 1);
}

TEST_CASE("a rollback without another image: the camera goes on, and says so") {
  auto w = sleeping();
  w->gateway.send_after_welcome = {image_offer(*w, 5000)};
  REQUIRE(w->run(8 * kHour, [&] { return w->pending_image; }));
  w->no_other_image = true;
  w->run(100);
  w->gateway.up = false;
  REQUIRE(w->run(kHour, [&] { return w->rollbacks == 1; }));
  CHECK(w->camera().state() != State::Sleeping);
  CHECK(w->logged("no image to go back to"));
  // As a camera that does not reach its gateway: it sleeps and wakes, and is there when the gateway is.
  REQUIRE(w->run_to_sleep());
  w->gateway.up = true;
  REQUIRE(w->run(7 * kHour, [&] { return w->gateway.count("\"type\":\"bye\",\"reason\":\"sleep\"") == 2; }));
  CHECK(w->rollbacks == 1);
}

TEST_CASE("an unclaimed camera gives up after a quarter of an hour unless it has mains, whatever it can measure") {
  for (Supply supply : {Supply::Unknown, Supply::Battery, Supply::Mains}) {
    World w;
    w.options.supply = supply;
    w.identity.caps.battery = false;
    w.boot(WakeCause::Power);
    const bool slept = w.run(20 * kMinute, [&] { return w.asleep(); });
    CHECK(slept == (supply != Supply::Mains));
    if (slept) CHECK(w.sleeps.back().timer_s == 0);
  }
  World w;
  w.options.settings.power_mode = PowerMode::AlwaysOn;
  w.boot(WakeCause::Power);
  CHECK(!w.run(20 * kMinute, [&] { return w.asleep(); }));
}

TEST_CASE("scarce memory: the plan fits an ESP32 as measured, and says when it does not") {
  CHECK(works_without_psram(220 * 1024));
  CHECK(!works_without_psram(180 * 1024));
  CHECK(kPlanRing + kPlanSensor + 2 * kPlanTls > 220 * 1024 - kPlanRadio - kPlanReserve);   // not all at once
}

TEST_CASE("scarce memory: sensor and second connection are never there at the same time") {
  auto w = std::make_unique<World>(24 * 1024);
  w->adopt();
  w->gateway.config_rev = 0;
  w->options.scarce_memory = true;
  w->options.settings.stream_duration_s = 5;
  w->options.settings.framerate = 5;
  w->options.settings.power_mode = PowerMode::AlwaysOn;
  w->jpeg_bytes = 4000;
  w->boot(WakeCause::Power);
  REQUIRE(w->run_to(State::Online));
  w->move_pir(40 * kSecond, 2000);
  REQUIRE(w->run(kMinute, [&] { return w->gateway.frames.size() > 3; }));
  CHECK(w->camera().change_settings("{\"framerate\":4}", 15));
  w->gateway.send_text(image_offer(*w, 60000));
  REQUIRE(w->run(kMinute, [&] { return w->gateway.puts.size() == 1; }));
  REQUIRE(w->run(kMinute, [&] { return w->restarts == 1; }));
  CHECK(w->slot == w->gateway.image);
  CHECK(w->collisions == 0);
  CHECK(w->gateway.count("event_end") == 1);
  CHECK(w->gateway.last("event_end").find("\"lost\":0") != std::string::npos);
}

TEST_CASE("check-in picture: one good frame at each timer wake, as an event of its own") {
  auto w = sleeping();
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->camera_starts == 0);         // off by default
  CHECK(w->gateway.last("hello").find("\"features\":[\"checkin_picture\",\"confirm_motion\"]") != std::string::npos);
  set_desired(*w, 2, "\"checkin_picture\":true");
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  const uint64_t woke = w->now;
  REQUIRE(w->run_to_sleep());
  const uint32_t boot = w->camera().boot();
  REQUIRE(frames_of(*w, boot) == 1);
  const Frame& f = w->gateway.frames.back();
  CHECK((f.flags & kLast) != 0);
  CHECK((f.flags & (kWarming | kLostBefore)) == 0);
  CHECK(f.event == 1);
  CHECK(f.seq == 1);
  CHECK(f.t >= 500);                    // not the first that the sensor gave
  CHECK(w->gateway.last("\"active\":true").find("\"source\":\"timer\"") != std::string::npos);
  CHECK(w->gateway.last("event_end").find("\"frames\":1,\"lost\":0") != std::string::npos);
  CHECK(w->gateway.violations == 0);
  CHECK(w->now - woke < 8 * kSecond);
  CHECK(w->sensor_ms < 2500);
  // A gateway that is away: nothing is reported lost, and the next interval is as it was for a check-in.
  w->gateway.up = false;
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->uptime() < 30 * kSecond);
  CHECK(w->rtc().lost_before == 0);
  CHECK(w->rtc().timer_failures == 1);
  w->gateway.up = true;
  REQUIRE(w->run(3 * kHour, [&] { return !w->asleep(); }));
  // Motion during a check-in gets its own event.
  w->move_pir(200, 3000);
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.last("event_end").find("\"event\":2") != std::string::npos);
  CHECK(w->gateway.kept[w->camera().boot()] == w->taken[w->camera().boot()]);
  CHECK(w->gateway.count("\"source\":\"pir\"") == 2);
}

TEST_CASE("check-in picture: a sensor that does not answer holds nobody up, and a critical cell takes none") {
  auto w = sleeping([](World& x) {
    x.identity.caps.battery = true;
    x.mv = 4000;
    x.options.settings.checkin_picture = true;
  });
  w->camera_broken = true;
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->uptime() < 15 * kSecond);
  w->camera_broken = false;
  w->mv = 3300;
  const uint64_t starts = w->camera_starts;
  REQUIRE(w->run(9 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->camera_starts == starts);
}

TEST_CASE("confirm motion: a false alarm costs no radio and is counted; a real event is sent whole") {
  auto w = sleeping();
  Yard yard;
  w->sight = [&](World& x, LumaGrid* out) { yard.look(x, out); };
  set_desired(*w, 2, "\"confirm_motion\":true,\"framerate\":1");
  const uint64_t radio = w->radio_starts;
  for (int i = 0; i < 3; ++i) {
    w->move_pir(5000, 2000);
    REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
    REQUIRE(w->run_to_sleep());
    CHECK(w->uptime() < 8 * kSecond);   // a slow frame rate does not make it late
  }
  CHECK(w->radio_starts == radio);
  CHECK(w->noted(Note::AlarmDropped) == 3);
  CHECK(w->rtc().lost_before == 0);
  yard.person = true;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.kept[w->camera().boot()] == w->taken[w->camera().boot()]);
  CHECK(w->gateway.frames.back().boot == w->camera().boot());
  CHECK(*w->gateway.kept[w->camera().boot()].begin() == 1);     // begins before the verdict
  CHECK(w->gateway.last("hello").find("\"dropped\":3") != std::string::npos);
  // Reported once.
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.last("hello").find("\"dropped\"") == std::string::npos);
  // Somebody stands still all the time: not as the scene was.
  yard.person = false;
  yard.person_at = 8;
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->noted(Note::AlarmDropped) == 3);
  CHECK(frames_of(*w, w->camera().boot()) > 3);
}

TEST_CASE("confirm motion: what moves within the ignored cells alone is dropped, and nothing when in doubt") {
  auto w = sleeping();
  Yard yard;
  yard.tree = true;
  w->sight = [&](World& x, LumaGrid* out) { yard.look(x, out); };
  auto alarm = [&] {
    w->move_pir(5000, 2000);
    REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
    REQUIRE(w->run_to_sleep());
  };
  set_desired(*w, 2, "\"confirm_motion\":true");
  alarm();
  CHECK(w->noted(Note::AlarmDropped) == 0);     // the tree is motion
  std::string grid;
  for (int row = 0; row < kGridH; ++row) grid += "8000";
  set_desired(*w, 3, "\"confirm_motion\":true,\"ignore_grid\":\"" + grid + "\"");
  alarm();
  CHECK(w->noted(Note::AlarmDropped) == 1);
  yard.person = true;
  alarm();
  CHECK(w->noted(Note::AlarmDropped) == 1);
  yard.person = false;
  alarm();
  CHECK(w->noted(Note::AlarmDropped) == 2);
  // Night: the pictures tell nothing.
  yard.light = 3;
  alarm();
  CHECK(w->noted(Note::AlarmDropped) == 2);
  yard.light = 110;
  alarm();
  CHECK(w->noted(Note::AlarmDropped) == 3);
  // A sensor that dies before there is a verdict.
  w->move_pir(5000, 2000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  w->broken_frames = true;
  REQUIRE(w->run_to_sleep());
  w->broken_frames = false;
  CHECK(w->noted(Note::AlarmDropped) == 3);
  CHECK(w->gateway.count("\"reason\":\"pir\"") == 4);
  // Everything is ignored: the setting is of no use, and the alarm is real.
  set_desired(*w, 4, "\"confirm_motion\":true,\"ignore_grid\":\"" + std::string(48, 'f') + "\"");
  alarm();
  CHECK(w->noted(Note::AlarmDropped) == 3);
}

TEST_CASE("ring: wakes the camera, the picture is marked, a second press is said again") {
  auto w = sleeping([](World& x) { x.identity.caps.ring = true; });
  CHECK(w->sleeps.back().ring);
  w->press_ring(5000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  const uint64_t woke = w->now;
  REQUIRE(w->run(10 * kSecond, [&] { return w->gateway.count("\"source\":\"ring\"") >= 1; }));
  CHECK(w->now - woke < 2 * kSecond);
  CHECK(w->gateway.last("hello").find("\"reason\":\"ring\"") != std::string::npos);
  CHECK(w->gateway.last("hello").find("\"ring\"]") != std::string::npos);
  w->press_ring(1500);
  REQUIRE(w->run(5 * kSecond, [&] { return w->asleep() || w->noted(Note::RingPressed) == 2; }));
  w->run(200);
  CHECK(w->gateway.count("\"event\":1,\"active\":true") == 2);
  REQUIRE(w->run_to_sleep());
  const uint32_t boot = w->camera().boot();
  CHECK(w->gateway.kept[boot] == w->taken[boot]);
  std::vector<Frame> stills;
  for (const Frame& f : w->gateway.frames) {
    if (f.boot == boot && (f.flags & kStill)) stills.push_back(f);
  }
  REQUIRE(stills.size() == 2);
  CHECK(stills[0].event == 1);
  CHECK((stills[0].flags & kWarming) == 0);
  CHECK(stills[0].seq == 4);
  CHECK(w->noted(Note::RingPressed) == 2);
  CHECK(w->sleeps.back().ring);
}

TEST_CASE("ring: with motion off, in an event of the PIR, held down, bouncing") {
  auto w = sleeping([](World& x) {
    x.identity.caps.ring = true;
    x.options.settings.motion_enabled = false;
  });
  CHECK(w->sleeps.back().pir == PirWake::Off);
  w->press_ring(5000);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(frames_of(*w, w->camera().boot()) > 30);
  // Stuck down: the camera sleeps all the same, without it.
  w->press_ring(5000, 10 * kMinute);
  REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->uptime() < kMinute);
  CHECK(!w->sleeps.back().ring);
  auto v = sleeping([](World& x) { x.identity.caps.ring = true; });
  v->move_pir(5000, 3000);
  v->press_ring(7000);
  // A spike that is over at the next look.
  v->ring.push_back({v->now + 9003, v->now + 9005});
  REQUIRE(v->run(20 * kSecond, [&] { return !v->asleep(); }));
  REQUIRE(v->run_to_sleep());
  CHECK(v->gateway.count("\"event\":1,\"active\":true") == 2);
  CHECK(v->noted(Note::RingPressed) == 1);
  CHECK(v->gateway.count("event_end") == 1);
}

TEST_CASE("an order to sleep in mid-event: under a second of radio, what was not sent is neither kept nor lost") {
  for (const bool slow : {false, true}) {
    CAPTURE(slow);
    auto w = sleeping();
    w->jpeg_bytes = 30000;
    if (slow) w->model.bytes_per_ms = 60;       // frames pile up
    w->move_pir(5000, 3000);
    REQUIRE(w->run(20 * kSecond, [&] { return w->gateway.count("\"type\":\"motion\"") == 1; }));
    w->run(500);
    const uint64_t ordered = w->now;
    w->gateway.send_text("{\"type\":\"command\",\"id\":9,\"name\":\"sleep\"}");
    REQUIRE(w->run(10 * kSecond, [&] { return !w->radio_up(); }));
    printf("order to sleep: radio off %llu ms later%s\n", static_cast<unsigned long long>(w->now - ordered), slow ? ", slow link" : "");
    CHECK(w->now - ordered < 1000);
    REQUIRE(w->run_to_sleep());
    CHECK(w->rtc().lost_before == 0);
    CHECK(w->gateway.count("\"id\":9,\"ok\":true") == 1);
    CHECK(w->gateway.count("\"bye\",\"reason\":\"sleep\"") == 2);
    const std::string end = w->gateway.last("event_end");
    const size_t kept = w->gateway.kept[w->camera().boot()].size();
    CHECK(end.find("\"frames\":" + std::to_string(kept) + ",\"lost\":0") != std::string::npos);
    if (slow) CHECK(w->noted(Note::Dismissed) == 1);
    w->model.bytes_per_ms = 300;
    REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
    REQUIRE(w->run_to_sleep());
    CHECK(w->gateway.last("hello").find("\"lost\":0") != std::string::npos);
  }
}

TEST_CASE("twenty false alarms a day, each ordered back to sleep after four seconds of pictures: what it saves") {
  double awake_s[2], mah[2];
  uint64_t longest = 0;
  for (const bool stops : {false, true}) {
    auto w = sleeping([](World& x) { x.options.settings.stream_duration_s = 30; });
    const uint64_t start = w->now, awake = w->awake_ms;
    const double before = w->mas;
    for (int i = 0; i < 20; ++i) {
      const size_t reported = static_cast<size_t>(w->gateway.count("\"type\":\"motion\""));
      w->move_pir(5000, 3000);
      REQUIRE(w->run(20 * kSecond, [&] { return static_cast<size_t>(w->gateway.count("\"type\":\"motion\"")) > reported; }));
      if (stops) {
        // The first pictures were taken before the link was up: their times count, not when they came.
        w->run_until(w->now - w->uptime() + 4500);
        w->gateway.send_text("{\"type\":\"command\",\"id\":7,\"name\":\"sleep\"}");
      }
      REQUIRE(w->run_to_sleep());
      if (stops && w->uptime() > longest) longest = w->uptime();
      w->run_until(start + static_cast<uint64_t>(i + 1) * (24 * kHour / 20));
      REQUIRE(w->run_to_sleep());
    }
    awake_s[stops] = static_cast<double>(w->awake_ms - awake) / 1000;
    mah[stops] = (w->mas - before) / 3600000;
  }
  printf("20 false alarms and 24 check-ins: awake %.0f s and %.1f mAh a day; stopped early %.0f s and %.1f mAh, saved %.1f mAh; the longest was awake for %llu ms\n",
         awake_s[0], mah[0], awake_s[1], mah[1], mah[0] - mah[1], static_cast<unsigned long long>(longest));
  CHECK(longest < 8000);
  CHECK(mah[0] - mah[1] > 20);
}

TEST_CASE("an end of the live view: the camera that has nothing else to do sleeps within a second of radio") {
  auto w = sleeping();
  w->gateway.send_after_welcome = {"{\"type\":\"command\",\"id\":1,\"name\":\"stream_start\"}"};
  REQUIRE(w->run(2 * kHour, [&] { return w->gateway.frames.size() > 5; }));
  w->run(2 * kSecond);
  const uint64_t ordered = w->now;
  w->gateway.send_text("{\"type\":\"command\",\"id\":2,\"name\":\"stream_stop\"}");
  REQUIRE(w->run(10 * kSecond, [&] { return !w->radio_up(); }));
  printf("end of the live view: radio off %llu ms later\n", static_cast<unsigned long long>(w->now - ordered));
  CHECK(w->now - ordered < 1000);
  REQUIRE(w->run_to_sleep());
  CHECK(w->rtc().lost_before == 0);
}

TEST_CASE("where the cell went: wakes and seconds of earlier boots are reported once; charging is read from a pin") {
  auto w = sleeping([](World& x) {
    x.identity.caps.charging = true;
    x.charge = 1;
  });
  CHECK(w->gateway.last("hello").find("\"charging\":true") != std::string::npos);
  CHECK(w->gateway.last("hello").find("\"spent\"") == std::string::npos);
  w->gateway.up = false;
  for (int i = 0; i < 2; ++i) {
    w->move_pir(5000, 2000);
    REQUIRE(w->run(20 * kSecond, [&] { return !w->asleep(); }));
    REQUIRE(w->run_to_sleep());
  }
  w->gateway.up = true;
  w->charge = 0;
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  const std::string hello = w->gateway.last("hello");
  CAPTURE(hello);
  CHECK(hello.find("\"charging\":false") != std::string::npos);
  const json::Value m = json::parse(hello.data(), hello.size());
  uint32_t pir = 0, other = 0, awake = 0, radio = 0, sensor = 0;
  REQUIRE(m.get("spent").get("pir").to_u32(&pir));
  REQUIRE(m.get("spent").get("other").to_u32(&other));
  REQUIRE(m.get("spent").get("awake_s").to_u32(&awake));
  REQUIRE(m.get("spent").get("radio_s").to_u32(&radio));
  REQUIRE(m.get("spent").get("sensor_s").to_u32(&sensor));
  CHECK(pir == 2);
  CHECK(other == 1);                    // power-on
  CHECK(awake > 100);
  CHECK(awake >= radio);
  CHECK(radio > 60);
  CHECK(sensor >= 10);
  CHECK(sensor < 30);
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  REQUIRE(w->run_to_sleep());
  CHECK(w->gateway.last("hello").find("\"pir\":0,\"timer\":1") != std::string::npos);
}

TEST_CASE("Ethernet: no Wi-Fi to be given, no access point; claimed and always on") {
  World w;
  w.options.wifi = WifiCredentials();
  w.identity.wired = true;
  w.identity.caps.sleep = false;
  w.options.supply = Supply::Mains;
  w.options.settings.power_mode = PowerMode::AlwaysOn;
  w.wifi_down.push_back({0, 90 * kSecond});     // the cable comes later
  w.boot(WakeCause::Power);
  REQUIRE(w.run(5 * kMinute, [&] { return w.setup_opens == 1; }));
  CHECK(w.portal_opens == 0);
  CHECK(!w.camera().set_wifi("home", "password"));
  w.adopt();
  w.boot(WakeCause::Power);
  w.gateway.config_rev = 0;
  REQUIRE(w.run_to(State::Online));
  w.wifi_down.push_back({w.now + 1000, w.now + 20 * kSecond});
  w.run(30 * kSecond);
  REQUIRE(w.run_to(State::Online));
  w.camera().button(true);
  w.advance(2000);
  w.camera().button(false);
  CHECK(w.camera().state() == State::Online);
  CHECK(w.portal_opens == 0);
  CHECK(w.sleeps.empty());
  CHECK(w.gateway.last("hello").find("\"features\":[]") != std::string::npos);
}

TEST_CASE("the settings of firmware 0.1.0 are read, and those it took since are not mistaken for the newest") {
  auto w = sleeping();
  set_desired(*w, 5, "\"checkin_picture\":true,\"framerate\":7");
  CHECK(w->camera().settings().checkin_picture);
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  CHECK(w->camera().settings().checkin_picture);
  CHECK(w->camera().settings().rev == 5);
  REQUIRE(w->run_to_sleep());
  // A camera that comes from 0.1.0 has but the old blob.
  w->store.erase("config2");
  w->gateway.config = "{\"rev\":5,\"framerate\":7,\"checkin_picture\":true}";
  REQUIRE(w->run(2 * kHour, [&] { return !w->asleep(); }));
  CHECK(w->camera().settings().framerate == 7);
  CHECK(w->camera().settings().rev == 0);
  REQUIRE(w->run_to_sleep());
  CHECK(w->camera().settings().rev == 5);
  CHECK(w->camera().settings().checkin_picture);
}
