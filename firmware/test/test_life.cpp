// Thirty days of a camera's life in seconds, what they cost, and how fast a wake is. Modelled, not measured.
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
  w.jpeg_bytes = 2100;   // small, so that a month is quick; the modelled link is slowed by as much
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
  printf("day  wakes  awake s  radio s  mAh(5 mA asleep)  events told  note\n");
  for (int day = 0; day < days; ++day) {
    const int told = w.gateway.count("\"type\":\"event_end\"");
    w.run_until(life.start + static_cast<uint64_t>(day + 1) * kDay);
    const double seconds = static_cast<double>(w.awake_ms - awake) / 1000;
    const char* note = day == 9 ? "Home Assistant down" : day == 14 ? "Wi-Fi down 6 h" : day == 19 ? "PIR stuck 1 h" : "";
    const int mv = w.mv_model(w);
    if (!*note && mv < 3400) note = "battery critical";
    else if (!*note && mv < 3600) note = "battery low";
    if (*note || day < 2) {
      printf("%3d  %5llu  %7.0f  %7.0f  %16.1f  %11d  %s\n", day, static_cast<unsigned long long>(w.wakes - wakes), seconds,
             static_cast<double>(w.radio_ms - radio) / 1000, (w.mas - mas) * kMahPerMas,
             w.gateway.count("\"type\":\"event_end\"") - told, note);
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

TEST_CASE("wake order, by the model") {
  struct Row {
    const char* name;
    bool resume, warm;
  };
  printf("wake by PIR (ms from the edge)            first frame  radio joined  TLS done  hello sent  pre-roll frames\n");
  for (const Row& r : {Row{"full handshake, Wi-Fi scan", false, false}, Row{"full handshake, cached Wi-Fi", false, true},
                       Row{"resumed session, cached Wi-Fi", true, true}}) {
    World w;
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
    CHECK(first - edge < 900);
    CHECK(hello - edge < (r.resume ? 1700u : r.warm ? 3000u : 4500u));
    CHECK(first < joined);
  }
}
