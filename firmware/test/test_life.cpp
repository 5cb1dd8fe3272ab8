// Thirty days of a camera's life in seconds, what they cost, and how fast a wake is. Modeled, not measured.
#include <doctest/doctest.h>

#include <stdlib.h>

#include "sim.h"

using namespace sim;

namespace {

constexpr uint64_t kSecond = 1000, kMinute = 60000, kHour = 3600000, kDay = 24 * kHour;
constexpr double kMahPerMas = 1.0 / 3600000.0;

/// Deterministic 0..n-1.
uint32_t pick(uint64_t* seed, uint32_t n) {
  *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
  return static_cast<uint32_t>((*seed >> 33) % n);
}

struct Life {
  std::unique_ptr<World> w;
  uint64_t start = 0;
};

Life live(int days, bool trouble, double sleep_ma, int events_a_day = 20) {
  Life life;
  life.w = std::make_unique<World>(1 << 20);
  World& w = *life.w;
  w.adopt();
  w.gateway.config_rev = 0;
  w.identity.caps.battery = true;
  w.mv = 4100;
  w.model.sleep_ma = sleep_ma;
  w.jpeg_bytes = 2100;   // small, so that a month is quick; the modeled link is slowed by as much
  w.model.bytes_per_ms = 20;
  w.boot(WakeCause::Power);
  w.run_to_sleep();
  life.start = w.now;
  if (trouble) {
    w.mv_model = [start = w.now, days](World& x) {
      const double part = static_cast<double>(x.now - start) / static_cast<double>(kDay) / days;
      return 4200 - static_cast<int>(900 * part);
    };
  }
  uint64_t seed = 7;
  for (int day = 0; day < days; ++day) {
    for (int i = 0; i < events_a_day; ++i) {
      uint64_t t = w.now + static_cast<uint64_t>(day) * kDay + pick(&seed, kDay - kHour);
      for (uint32_t pulses = 1 + pick(&seed, 4); pulses; --pulses) {
        w.motion.push_back({t, t + 2300});
        t += 3000 + pick(&seed, 12000);
      }
    }
  }
  if (trouble) {
    const uint64_t d = w.now;
    w.gateway_down.push_back({d + 9 * kDay, d + 10 * kDay});
    w.wifi_down.push_back({d + 14 * kDay + 10 * kHour, d + 14 * kDay + 16 * kHour});
    w.motion.push_back({d + 19 * kDay + 12 * kHour, d + 19 * kDay + 13 * kHour});
  }
  std::sort(w.motion.begin(), w.motion.end(), [](const Interval& a, const Interval& b) { return a.from < b.from; });
  return life;
}

int days_wanted() {
  const char* d = getenv("MAGICPI_DAYS");
  return d ? atoi(d) : 30;
}

}  // namespace

TEST_CASE("thirty days with trouble: budgets hold, the claim stays, setup never opens by itself") {
  const int days = days_wanted();
  Life life = live(days, true, 5);
  World& w = *life.w;
  uint64_t wakes = w.wakes, awake = w.awake_ms, radio = w.radio_ms;
  double mas = w.mas;
  printf("day  wakes  awake s  radio s  mAh(5 mA asleep)  events sent  note\n");
  for (int day = 0; day < days; ++day) {
    const int sent = w.gateway.count("\"type\":\"event_end\"");
    w.run_until(life.start + static_cast<uint64_t>(day + 1) * kDay);
    const double seconds = static_cast<double>(w.awake_ms - awake) / 1000;
    const char* note = day == 9 ? "Home Assistant down" : day == 14 ? "Wi-Fi down 6 h" : day == 19 ? "PIR stuck 1 h" : "";
    const int mv = w.mv_model(w);
    if (!*note && mv < 3400) note = "battery critical";
    else if (!*note && mv < 3600) note = "battery low";
    if (*note || day < 2) {
      printf("%3d  %5llu  %7.0f  %7.0f  %16.1f  %11d  %s\n", day, static_cast<unsigned long long>(w.wakes - wakes), seconds,
             static_cast<double>(w.radio_ms - radio) / 1000, (w.mas - mas) * kMahPerMas,
             w.gateway.count("\"type\":\"event_end\"") - sent, note);
    }
    // Twenty events of up to 60 s (the motion itself) and 60 s of looking for a gateway that is not there.
    CHECK(seconds < 20 * 120 + 24 * 30);
    if (mv < 3400 && days == 30) CHECK(seconds < 24 * 30);
    wakes = w.wakes;
    awake = w.awake_ms;
    radio = w.radio_ms;
    mas = w.mas;
  }
  printf("longest wake %.0f s; %llu wakes; flash writes %llu\n", static_cast<double>(w.longest_wake) / 1000,
         static_cast<unsigned long long>(w.wakes), static_cast<unsigned long long>(w.store_writes));
  // max_event_s, its offline minute, settling.
  CHECK(w.longest_wake < (120 + 60 + 10) * kSecond);
  CHECK(w.portal_opens + w.setup_opens == 0);
  CHECK(w.camera().claimed());
  CHECK(w.rollbacks + w.restarts == 0);
  CHECK(w.gateway.violations == 0);
  CHECK(w.store_writes < 20);
  // Every frame of a boot that reached the gateway is there, once.
  uint64_t taken = 0, kept = 0;
  for (const auto& boot : w.taken) {
    const auto it = w.gateway.kept.find(boot.first);
    if (it == w.gateway.kept.end()) continue;
    taken += boot.second.size();
    kept += it->second.size();
    CHECK(it->second.size() == boot.second.size());
  }
  printf("frames of boots that reached the gateway: %llu captured, %llu kept\n", static_cast<unsigned long long>(taken),
         static_cast<unsigned long long>(kept));
  CHECK(taken > 1000);
}

TEST_CASE("energy per event and day, by the model") {
  for (double sleep_ma : {5.0, 0.6}) {
    Life life = live(3, false, sleep_ma);
    World& w = *life.w;
    const double before = w.mas;
    const uint64_t awake = w.awake_ms;
    w.run_until(life.start + 3 * kDay);
    const double day = (w.mas - before) * kMahPerMas / 3;
    const double asleep = sleep_ma * 24 * (1 - static_cast<double>(w.awake_ms - awake) / static_cast<double>(3 * kDay));
    // The 24 check-ins a day, measured alone.
    Life quiet = live(1, false, sleep_ma, 0);
    const double quiet_before = quiet.w->mas;
    quiet.w->run_until(quiet.start + kDay);
    const double check_ins = (quiet.w->mas - quiet_before) * kMahPerMas - sleep_ma * 24;
    const double per_event = (day - asleep - check_ins) / 20;
    printf("asleep at %.1f mA: %.1f mAh a day = %.1f asleep + %.2f check-ins (24) + 20 events of %.2f mAh; 2000 mAh last %.0f days\n",
           sleep_ma, day, asleep, check_ins, per_event, 2000 / day);
    CHECK(per_event < 4);
    CHECK(check_ins < 24 * 0.5);
  }
}

TEST_CASE("thirty days with check-in pictures and confirmation: what false alarms and pictures cost, and nothing real dropped") {
  // A yard: 20 false alarms (the sun on a heat sensor, and a tree in cells that are ignored), 10 visits of somebody who walks
  // through, comes to the door and stands still, or comes by night; a check-in each hour.
  struct Visit {
    uint64_t from, to;
    bool stands;
  };
  const int days = days_wanted();
  double mah[3] = {0, 0, 0};
  for (int run = 0; run < 3; ++run) {
    const bool confirm = run == 2, pictures = run >= 1;
    World w(1 << 20);
    w.adopt();
    w.identity.caps.battery = true;
    w.mv = 4100;
    w.model.bytes_per_ms = 20;
    w.jpeg_bytes = 2100;
    std::string grid;
    for (int row = 0; row < kGridH; ++row) grid += "c000";
    w.gateway.config_rev = 2;
    w.gateway.config = std::string("{\"rev\":2,\"checkin_picture\":") + (pictures ? "true" : "false") +
                       ",\"confirm_motion\":" + (confirm ? "true" : "false") + ",\"ignore_grid\":\"" + grid + "\"}";
    std::vector<Visit> visits;
    w.sight = [&](World& x, LumaGrid* out) {
      const uint64_t hour = x.now / kHour % 24;
      const int light = hour < 6 || hour > 20 ? 6 : 60 + static_cast<int>(hour < 13 ? hour - 5 : 21 - hour) * 10;
      // The wind never rests.
      const int step = static_cast<int>(x.now / 200);
      for (int i = 0; i < kGridW * kGridH; ++i) out->cell[i] = static_cast<uint8_t>(light + (i * 7) % 19);
      for (int row = 0; row < kGridH; ++row) out->cell[row * kGridW] = static_cast<uint8_t>(light + (step + row) % 2 * 50);
      for (const Visit& v : visits) {
        if (x.now + 500 < v.from || x.now > v.to + 20 * kSecond) continue;
        const int column = v.stands ? 8 : 3 + step % 10;
        for (int row = 3; row < 10; ++row) out->cell[row * kGridW + column] = static_cast<uint8_t>(light > 20 ? light + 70 : light + 8);
      }
    };
    w.boot(WakeCause::Power);
    REQUIRE(w.run_to_sleep());
    const uint64_t start = w.now;
    uint64_t seed = 11;
    for (int day = 0; day < days; ++day) {
      for (int i = 0; i < 30; ++i) {
        // Slots of 48 minutes, so that none hides in another's event.
        const uint64_t t = start + static_cast<uint64_t>(day) * kDay + static_cast<uint64_t>(i) * 48 * kMinute + pick(&seed, 40 * kMinute);
        w.motion.push_back({t, t + 2300});
        if (i % 3 == 0) visits.push_back({t, t + 2300, i % 2 == 0});
      }
    }
    const double before = w.mas;
    const uint64_t radio = w.radio_ms;
    w.run_until(start + static_cast<uint64_t>(days) * kDay);
    REQUIRE(w.run_to_sleep());
    mah[run] = (w.mas - before) * kMahPerMas / days;
    // Every visit has an event that reached the gateway.
    size_t wakes = 0;
    for (const std::string& t : w.gateway.texts) {
      wakes += t.find("\"type\":\"motion\"") != std::string::npos && t.find("\"active\":true") != std::string::npos &&
               t.find("\"source\":\"pir\"") != std::string::npos;
    }
    const size_t dropped = w.dropped_at.size();
    printf("%s, %s: %.1f mAh a day, radio %.0f s; %zu events of %zu alarms, %zu visits; %zu dropped, %d pictures\n",
           confirm ? "confirm" : "no confirm", pictures ? "check-in pictures" : "no pictures", mah[run],
           static_cast<double>(w.radio_ms - radio) / 1000 / days, wakes,
           static_cast<size_t>(days) * 30, visits.size(), dropped, w.gateway.count("\"source\":\"timer\"") / 2);
    CHECK(wakes + dropped == static_cast<size_t>(days) * 30);
    if (!confirm) CHECK(dropped == 0);
    // The nights' alarms cannot be judged, so they are kept; of the others most go.
    if (confirm) {
      CHECK(dropped <= static_cast<size_t>(days) * 20);
      CHECK(dropped >= static_cast<size_t>(days) * 9);
    }
    size_t lost_visits = 0;
    for (const Visit& v : visits) {
      for (const uint64_t at : w.dropped_at) {
        if (at < v.from || at >= v.to + 15 * kSecond) continue;
        ++lost_visits;
      }
    }
    CHECK(lost_visits == 0);
    // An event is as good as a check-in: what is counted are the hours without one.
    if (pictures) CHECK(w.gateway.count("\"source\":\"timer\"") / 2 >= 4 * days);
  }
  CHECK(mah[1] - mah[0] < 24 * 0.1);
  CHECK(mah[2] < mah[1]);
}

TEST_CASE("wake order, by the model") {
  struct Row {
    const char* name;
    bool resume, warm, test;
  };
  printf("wake by PIR (ms from the edge)            first frame  radio joined  TLS done  hello sent  pre-roll frames\n");
  for (const Row& r : {Row{"full handshake, Wi-Fi scan", false, false, false}, Row{"full handshake, cached Wi-Fi", false, true, false},
                       Row{"resumed session, cached Wi-Fi", true, true, false},
                       Row{"full handshake, Wi-Fi scan, PSRAM test", false, false, true},
                       Row{"full handshake, cached, PSRAM test", false, true, true},
                       Row{"resumed, cached, PSRAM test (0.1.0)", true, true, true}}) {
    World w;
    w.model.psram_test_at_wake = r.test;
    w.adopt();
    w.gateway.config_rev = 0;
    w.gateway.resume_ok = r.resume;
    w.options.settings.stream_duration_s = 5;
    w.boot(WakeCause::Power);
    REQUIRE(w.run_to_sleep());
    if (!r.warm) {
      memset(&w.rtc().wifi, 0, sizeof w.rtc().wifi);
      rtc_seal(&w.rtc());
    }
    const uint64_t edge = w.now + 5000;
    w.move_pir(5000, 2000);
    uint64_t first = 0, joined = 0, tls = 0;
    const int hellos = w.gateway.count("\"hello\"");
    const uint64_t connections = w.gateway.connections;
    REQUIRE(w.run(kMinute, [&] {
      if (w.asleep()) return false;
      if (!first && w.camera().frames_captured()) first = w.now;
      if (!joined && w.camera().state() == State::Connecting) joined = w.now;
      if (!tls && w.gateway.connections > connections) tls = w.now;
      return w.gateway.count("\"hello\"") > hellos;
    }));
    const uint64_t hello = w.now;
    REQUIRE(w.run_to_sleep());
    const auto preroll = std::count_if(w.gateway.frames.begin(), w.gateway.frames.end(),
                                       [](const Frame& f) { return f.flags & kPreRoll; });
    printf("%-40s  %11llu  %12llu  %8llu  %10llu  %15ld\n", r.name, static_cast<unsigned long long>(first - edge),
           static_cast<unsigned long long>(joined - edge), static_cast<unsigned long long>(tls - edge),
           static_cast<unsigned long long>(hello - edge), static_cast<long>(preroll));
    const uint32_t test = r.test ? w.model.psram_test_ms : 0;
    CHECK(first - edge < 500 + test);
    CHECK(hello - edge < (r.resume ? 1300u : r.warm ? 2600u : 4100u) + test);
    CHECK(first < joined);
  }
}
