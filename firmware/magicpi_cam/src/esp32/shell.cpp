#include "shell.h"

#include <new>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>

#include <Arduino.h>

#include <driver/rtc_io.h>
#include <esp_heap_caps.h>
#include <esp_mac.h>
#include <esp_system.h>
#include <esp_task_wdt.h>

#include "../../board.h"
#include "../core/camera.h"
#include "../core/codec.h"
#include "../core/memory_plan.h"
#include "../net/tls_mbedtls.h"
#include "console.h"
#include "esp32_platform.h"

namespace magicpi {

namespace {

constexpr uint32_t kWatchdogMs = 30000;
constexpr uint8_t kOnlyQvga = 0x01;      // without PSRAM
constexpr uint8_t kSmallFramerate = 5;
constexpr uint32_t kRestartMs = 5000;

#ifndef MAGICPI_STREAM_DURATION_S
#define MAGICPI_STREAM_DURATION_S 30
#endif
#ifndef MAGICPI_FRAMERATE
#define MAGICPI_FRAMERATE 10
#endif
#ifndef MAGICPI_RESOLUTION
#define MAGICPI_RESOLUTION SVGA
#endif
#ifndef MAGICPI_JPEG_QUALITY
#define MAGICPI_JPEG_QUALITY 12
#endif
#ifndef MAGICPI_ALWAYS_ON
#define MAGICPI_ALWAYS_ON 0
#endif
#ifndef MAGICPI_SUPPLY
#define MAGICPI_SUPPLY 0
#endif
#ifndef MAGICPI_CONFIRM_MOTION
#define MAGICPI_CONFIRM_MOTION 0
#endif
#ifndef MAGICPI_WIFI_SSID
#define MAGICPI_WIFI_SSID ""
#endif
#ifndef MAGICPI_WIFI_PASSWORD
#define MAGICPI_WIFI_PASSWORD ""
#endif

static_assert(MAGICPI_STREAM_DURATION_S >= 3 && MAGICPI_STREAM_DURATION_S <= 300, "MAGICPI_STREAM_DURATION_S: 3..300");
static_assert(MAGICPI_SUPPLY >= 0 && MAGICPI_SUPPLY <= MAGICPI_SUPPLY_MAINS, "MAGICPI_SUPPLY: a name from config.h");
static_assert(MAGICPI_FRAMERATE >= 1 && MAGICPI_FRAMERATE <= 25, "MAGICPI_FRAMERATE: 1..25");
static_assert(MAGICPI_JPEG_QUALITY >= 4 && MAGICPI_JPEG_QUALITY <= 63, "MAGICPI_JPEG_QUALITY: 4..63");

char g_name[16];       // MagicPi-EEFF
char g_hostname[24];   // magicpi-aabbccddeeff

/// The camera is made once the name, the memory and the cause of the start are known; static, so that its 16 KiB are
/// accounted for by the linker and not by luck.
alignas(Esp32Platform) uint8_t g_platform_memory[sizeof(Esp32Platform)];
alignas(TlsTransport) uint8_t g_ws_memory[sizeof(TlsTransport)];
alignas(TlsTransport) uint8_t g_https_memory[sizeof(TlsTransport)];
alignas(Camera) uint8_t g_camera_memory[sizeof(Camera)];
Esp32Platform* g_platform;
TlsTransport* g_ws;
TlsTransport* g_https;
Camera* g_camera;

void start_watchdog() {
  esp_task_wdt_config_t config = {};
  config.timeout_ms = kWatchdogMs;
  config.idle_core_mask = 0;
  config.trigger_panic = true;
  if (esp_task_wdt_reconfigure(&config) != ESP_OK) esp_task_wdt_init(&config);
  esp_task_wdt_add(nullptr);
}

/// As memory_plan.h says, or not at all: a camera that stalls after two frames helps nobody.
uint8_t* ring_memory(size_t psram, size_t* bytes) {
  if (psram) {
    *bytes = ring_of_psram(psram);
    return static_cast<uint8_t*>(heap_caps_malloc(*bytes, MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT));
  }
  if (!works_without_psram(heap_caps_get_free_size(MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT))) return nullptr;
  *bytes = kPlanRing;
  return static_cast<uint8_t*>(heap_caps_malloc(*bytes, MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT));
}

const uint8_t* ota_key() {
#ifdef MAGICPI_OTA_KEY
  static uint8_t key[65];
  static_assert(sizeof MAGICPI_OTA_KEY == 131, "MAGICPI_OTA_KEY: 130 hex digits, 04|x|y");
  // A key that is no key must not mean that anything goes: all zero verifies nothing.
  if (!hex_decode(MAGICPI_OTA_KEY, key, sizeof key)) memset(key, 0, sizeof key);
  return key;
#else
  return nullptr;
#endif
}

Identity identify_board(size_t psram) {
  uint8_t mac[6] = {0};
  esp_read_mac(mac, ESP_MAC_WIFI_STA);
  snprintf(g_name, sizeof g_name, "MagicPi-%02X%02X", mac[4], mac[5]);
  snprintf(g_hostname, sizeof g_hostname, "magicpi-%02x%02x%02x%02x%02x%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  Identity identity;
  snprintf(identity.id, sizeof identity.id, "%02X:%02X:%02X:%02X:%02X:%02X", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  identity.model = kBoard.model;
  identity.fw = MAGICPI_FW;
  identity.setup_name = g_name;
  identity.caps = Caps();
  if (!psram) identity.caps.resolutions = kOnlyQvga;
  identity.caps.psram_bytes = static_cast<uint32_t>(psram);
  identity.caps.battery = kBoard.battery_adc >= 0;
  identity.caps.flash = kBoard.flash_led >= 0;
  identity.caps.sd = false;
  identity.caps.pir = kBoard.pir >= 0;
  // A sensor that cannot wake the chip would miss everything while it sleeps.
  identity.caps.sleep = kBoard.pir < 0 || rtc_gpio_is_valid_gpio(static_cast<gpio_num_t>(kBoard.pir));
  if (kWired) identity.caps.sleep = false;
  identity.caps.ota = OtaSlot::available();
  identity.caps.ring = kBoard.ring >= 0;
  identity.caps.charging = kBoard.charge >= 0;
  identity.wired = kWired;
  return identity;
}

Options options(bool has_psram) {
  Options o;
  o.settings.stream_duration_s = MAGICPI_STREAM_DURATION_S;
  if (o.settings.max_event_s < o.settings.stream_duration_s) o.settings.max_event_s = o.settings.stream_duration_s;
  o.settings.framerate = has_psram || MAGICPI_FRAMERATE < kSmallFramerate ? MAGICPI_FRAMERATE : kSmallFramerate;
  o.settings.resolution = has_psram ? Resolution::MAGICPI_RESOLUTION : Resolution::QVGA;
  o.settings.jpeg_quality = MAGICPI_JPEG_QUALITY;
  if (MAGICPI_ALWAYS_ON || kWired) o.settings.power_mode = PowerMode::AlwaysOn;
  o.supply = kWired ? Supply::Mains : static_cast<Supply>(MAGICPI_SUPPLY);
  o.scarce_memory = !has_psram;
  o.settings.confirm_motion = MAGICPI_CONFIRM_MOTION != 0;
  if (wifi_valid(MAGICPI_WIFI_SSID, MAGICPI_WIFI_PASSWORD)) {
    copy_string(o.wifi.ssid, sizeof o.wifi.ssid, MAGICPI_WIFI_SSID);
    copy_string(o.wifi.password, sizeof o.wifi.password, MAGICPI_WIFI_PASSWORD);
  }
  o.ota_key = ota_key();
  return o;
}

/// Until a socket has something to read, `ms` at most.
void wait(uint32_t ms) {
  const int fds[] = {g_ws->fd(), g_https->fd()};
  fd_set readable;
  FD_ZERO(&readable);
  int last = -1;
  for (const int fd : fds) {
    if (fd < 0) continue;
    FD_SET(fd, &readable);
    if (fd > last) last = fd;
  }
  if (last < 0) {
    delay(ms);
    return;
  }
  struct timeval timeout = {0, static_cast<suseconds_t>(ms * 1000)};
  // A broken descriptor must not turn the wait into a spin.
  if (::select(last + 1, &readable, nullptr, nullptr, &timeout) < 0) delay(1);
}

}  // namespace

void shell_begin() {
  console_begin();
  start_watchdog();
  const size_t psram = psramFound() ? heap_caps_get_total_size(MALLOC_CAP_SPIRAM) : 0;
  const Identity identity = identify_board(psram);
  g_platform = new (g_platform_memory) Esp32Platform(g_name, g_hostname);
  g_platform->begin();
  size_t bytes = 0;
  uint8_t* ring = ring_memory(psram, &bytes);
  if (!ring) {
    g_platform->log(LogLevel::Error, "too little memory: this board needs PSRAM (S3: OPI PSRAM in the board menu)");
    console_drain();
    delay(kRestartMs);
    esp_restart();
  }
  g_ws = new (g_ws_memory) TlsTransport(*g_platform);
  g_https = new (g_https_memory) TlsTransport(*g_platform);
  g_camera = new (g_camera_memory) Camera(*g_platform, *g_ws, *g_https, identity, options(psram != 0), ring, bytes);
  g_platform->attach(g_camera, psram != 0);
  g_camera->begin();
}

void shell_poll() {
  esp_task_wdt_reset();
  g_platform->tick();
  const uint32_t ms = g_camera->poll();
  // Bytes that TLS has read and not handed out show on no socket, so never long.
  wait(ms < 1 ? 1 : ms < 20 ? ms : 20);
}

}  // namespace magicpi
