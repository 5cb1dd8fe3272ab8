// The setup page and its endpoints, as a phone and Home Assistant see them: the portal with the real core behind real sockets.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "../magicpi_cam/src/core/camera.h"
#include "../magicpi_cam/src/esp32/portal.h"
#include "../magicpi_cam/src/esp32/wifi_radio.h"

using namespace magicpi;

namespace {

int g_failed = 0, g_checks = 0, g_scans = 0;
#define CHECK(condition)                                     \
  do {                                                       \
    ++g_checks;                                              \
    if (!(condition)) {                                      \
      ++g_failed;                                            \
      printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
    }                                                        \
  } while (0)

/// A machine with nothing but memory; the portal is opened by hand.
class BarePlatform final : public Platform {
 public:
  uint64_t now_ms() override { return now; }
  uint64_t rtc_ms() override { return now; }
  void random(uint8_t* out, size_t n) override {
    for (size_t i = 0; i < n; ++i) out[i] = static_cast<uint8_t>(rand());
  }
  void lock() override {}
  void unlock() override {}
  uint8_t* rtc_memory() override { return rtc; }
  size_t store_get(const char* key, void* out, size_t cap) override {
    const std::string& value = nvs[key];
    if (value.size() > cap) return 0;
    memcpy(out, value.data(), value.size());
    return value.size();
  }
  bool store_set(const char* key, const void* data, size_t n) override {
    nvs[key].assign(static_cast<const char*>(data), n);
    return true;
  }
  void store_erase(const char* key) override { nvs.erase(key); }
  WakeCause wake_cause() override { return WakeCause::Power; }
  bool pir_level() override { return false; }
  int battery_mv() override { return -1; }
  int rssi() override { return 0; }
  uint32_t free_heap() override { return 0; }
  void flash(bool) override {}
  void identify(uint32_t) override {}
  void power_saving(bool) override {}
  bool camera_start(const Settings&) override { return false; }
  void camera_apply(const Settings&) override {}
  void camera_stop() override {}
  void camera_park() override {}
  void wifi_begin(const WifiCredentials& credentials, WifiCache*) override { joined = credentials; }
  LinkStatus wifi_status() override { return LinkStatus::Joining; }
  void wifi_end() override {}
  void wifi_scan() override {}
  void mdns_find_begin(const char*) override {}
  int mdns_find_poll(GatewayAddress*, size_t) override { return 0; }
  void setup_open(bool) override {}
  void setup_close() override { ++closed; }
  void console_write(const uint8_t*, size_t) override {}
  bool ota_begin(uint32_t) override { return false; }
  bool ota_write(const uint8_t*, size_t) override { return false; }
  bool ota_finish() override { return false; }
  void ota_abort() override {}
  bool ota_pending() override { return false; }
  void ota_confirm() override {}
  bool ota_rollback() override { return false; }
  void sleep(const SleepRequest&) override {}
  void restart() override {}
  void log(LogLevel, const char*) override {}

  uint64_t now = 1000;
  WifiCredentials joined;
  int closed = 0;

 private:
  alignas(8) uint8_t rtc[kRtcBytes] = {0};
  std::map<std::string, std::string> nvs;
};

class NoTransport final : public Transport {
 public:
  bool dial(const Dial&) override { return false; }
  IoStatus poll() override { return IoStatus::Failed; }
  IoError error() const override { return IoError::Refused; }
  int write(const uint8_t*, size_t) override { return -1; }
  int read(uint8_t*, size_t) override { return -1; }
  size_t save_session(uint8_t*, size_t) override { return 0; }
  bool resumed() const override { return false; }
  void close() override {}
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

BarePlatform g_platform;
Portal* g_portal;

std::string ask(const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons(g_portal->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0) abort();
  if (send(fd, request.data(), request.size(), 0) != static_cast<ssize_t>(request.size())) abort();
  std::string out;
  char block[4096];
  for (int i = 0; i < 4000; ++i) {
    g_portal->poll(++g_platform.now);
    const ssize_t n = recv(fd, block, sizeof block, MSG_DONTWAIT);
    if (n == 0) break;
    if (n > 0) out.append(block, static_cast<size_t>(n));
    else usleep(200);
  }
  close(fd);
  return out;
}

std::string get(const std::string& path, const std::string& host = "4.3.2.1") {
  return ask("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
}

std::string post(const std::string& path, const std::string& body) {
  return ask("POST " + path + " HTTP/1.1\r\nHost: 4.3.2.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

}  // namespace

// The radio's half that the portal calls.
namespace magicpi {
bool WifiRadio::scan(bool) { return ++g_scans != 0; }
size_t WifiRadio::networks(Network* out, size_t max) {
  if (g_scans < 2 || max < 2) return 0;
  strcpy(out[0].ssid, "A \"quoted\" <net>");
  out[0].secured = true;
  strcpy(out[1].ssid, "Cafe");
  out[1].secured = false;
  return 2;
}
}  // namespace magicpi

int main() {
  NoTransport ws, https;
  Identity identity;
  strcpy(identity.id, "AA:BB:CC:DD:EE:FF");
  identity.model = "Test <board>";
  identity.fw = "1.2.3";
  identity.setup_name = "MagicPi-EEFF";
  std::vector<uint8_t> ring(128 * 1024);
  Camera camera(g_platform, ws, https, identity, Options(), ring.data(), ring.size());
  camera.begin();
  WifiRadio radio("magicpi-test");
  Portal portal(radio, 0, 0);
  g_portal = &portal;
  portal.begin(&camera);
  portal.open(true);
  CHECK(portal.is_open());

  std::string page = get("/");
  CHECK(has(page, "200 OK") && has(page, "text/html") && has(page, camera.setup_code()) && has(page, "</html>"));
  CHECK(has(page, "Test &lt;board>") && has(page, "name=ssid"));
  CHECK(has(page, "<svg ") && has(page, "'/></svg>"));
  CHECK(has(page, std::string("?domain=magicpi_nvr#AA:BB:CC:DD:EE:FF/") + camera.setup_code()));
  if (const char* file = getenv("MAGICPI_PAGE")) {
    FILE* f = fopen(file, "we");
    fputs(page.substr(page.find("\r\n\r\n") + 4).c_str(), f);
    fclose(f);
  }
  // A phone's question whether there is internet, and any other path, lead to the page.
  // Android, iOS and macOS, Windows, Firefox: 204 or their own word would mean that there is; a redirect opens the portal.
  for (const auto& probe : {std::pair{"connectivitycheck.gstatic.com", "/generate_204"}, {"www.google.com", "/gen_204"},
                            {"connectivitycheck.android.com", "/generate_204"}, {"captive.apple.com", "/hotspot-detect.html"},
                            {"www.apple.com", "/library/test/success.html"}, {"www.msftconnecttest.com", "/connecttest.txt"},
                            {"www.msftncsi.com", "/ncsi.txt"}, {"www.msftconnecttest.com", "/redirect"},
                            {"detectportal.firefox.com", "/canonical.html"}}) {
    page = get(probe.second, probe.first);
    CHECK(has(page, "302 Found") && has(page, "Location: http://4.3.2.1/\r\n") && has(page, "href='http://4.3.2.1/'"));
  }
  CHECK(has(get("/"  , "evil.example"), "302 Found"));
  CHECK(has(get("/favicon.ico"), "302 Found"));
  // Nothing scanned yet: an empty list and another scan.
  CHECK(has(get("/scan"), "{\"secured\":[],\"open\":[]}"));
  CHECK(has(get("/scan"), "{\"secured\":[\"A \\\"quoted\\\" <net>\"],\"open\":[\"Cafe\"]}"));

  // The endpoint of Home Assistant.
  page = get("/setup", "somewhere.example:80");
  CHECK(has(page, "200 OK") && has(page, "application/json") && has(page, "\"id\":\"AA:BB:CC:DD:EE:FF\"") && has(page, "\"nonce\":\""));
  CHECK(has(post("/setup", "{}"), "400 Bad Request"));
  CHECK(has(post("/setup", std::string(HttpServer::kRequestMax, 'x')), "413 "));
  CHECK(has(ask("DELETE /setup HTTP/1.1\r\n\r\n"), "404 "));

  CHECK(has(post("/wifi", "ssid=Home&password=short"), "400 Bad Request"));
  CHECK(g_platform.joined.ssid[0] == 0);
  page = post("/wifi", "ssid=Home+%26+garden&password=correct+horse");
  CHECK(has(page, "200 OK") && has(page, "Home &amp; garden") && !has(page, "correct horse"));
  CHECK(g_platform.joined.ssid[0] == 0);
  g_platform.now += 1000;
  portal.poll(g_platform.now);
  CHECK(strcmp(g_platform.joined.ssid, "Home & garden") == 0 && strcmp(g_platform.joined.password, "correct horse") == 0);

  // On the home network: no Wi-Fi form, no list, and the code is for local names only.
  portal.open(false);
  page = get("/", "192.168.1.20");
  CHECK(has(page, camera.setup_code()) && !has(page, "name=ssid"));
  CHECK(has(get("/", "magicpi-aabbccddeeff.local"), camera.setup_code()));
  page = get("/", "evil.example");
  CHECK(has(page, "403 ") && !has(page, camera.setup_code()));
  CHECK(has(get("/scan"), "404 ") && has(post("/wifi", "ssid=Other&password=12345678"), "404 "));
  CHECK(has(get("/setup"), "200 OK"));
  portal.close();
  CHECK(!portal.is_open());

  printf("shell: portal: %d checks, %d failed\n", g_checks, g_failed);
  return g_failed ? 1 : 0;
}
