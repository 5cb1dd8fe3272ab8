#include "console.h"

#include <initializer_list>

#include <Arduino.h>

#include "../core/console.h"

namespace magicpi {

namespace {

constexpr uint32_t kDrainMs = 200, kIdleMs = 10;

/// A write of more than the port has room for waits: for ever on a USB console in a computer that reads nothing, when
/// its limit is 0 (arduino-esp32 #12634). So the limit stays the core's, and no write ever exceeds the room.
class SerialPort final : public ConsolePort {
 public:
  size_t room() override {
    const int n = Serial.availableForWrite();
    // Asking is what makes the USB driver look for a host again after its buffer was full.
    if (n <= 0) (void)static_cast<bool>(Serial);
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  void write(const uint8_t* data, size_t n) override { Serial.write(data, n); }
};

ConsoleQueue g_queue;
SerialPort g_port;
int g_idle_room;       // of a port with nothing left to send

}  // namespace

void console_begin() {
#if ARDUINO_USB_CDC_ON_BOOT
  Serial.begin();
#else
  Serial.setTxBufferSize(2048);
  Serial.begin(115200);
#endif
  g_idle_room = Serial.availableForWrite();
}

void console_put(const uint8_t* data, size_t n) { g_queue.put(data, n); }

void console_line(const char* prefix, const char* text) {
  // One line or none.
  char line[256];
  size_t n = 0;
  for (const char* part : {prefix, text, "\r\n"}) {
    for (; *part && n < sizeof line; ++part) line[n++] = *part;
  }
  g_queue.put(reinterpret_cast<const uint8_t*>(line), n);
}

int console_read() { return Serial.available() > 0 ? Serial.read() : -1; }

void console_poll() { g_queue.pump(g_port); }

void console_drain() {
  int room = -1;
  uint32_t still = 0;
  for (uint32_t ms = 0; ms < kDrainMs && still < kIdleMs; ++ms) {
    g_queue.pump(g_port);
    const int now = Serial.availableForWrite();
    if (g_queue.empty() && now >= g_idle_room) return;
    still = now == room ? still + 1 : 0;
    room = now;
    delay(1);
  }
}

}  // namespace magicpi
