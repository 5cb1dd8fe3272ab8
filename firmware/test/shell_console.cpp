// The console over a USB port as Arduino's HWCDC is: a write of more than its room waits for a host that may never read.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>

#include <Arduino.h>

#include "../magicpi_cam/src/esp32/console.h"

namespace {

int g_failed = 0, g_checks = 0;
#define CHECK(condition)                                     \
  do {                                                       \
    ++g_checks;                                              \
    if (!(condition)) {                                      \
      ++g_failed;                                            \
      printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
    }                                                        \
  } while (0)

constexpr size_t kRing = 256;          // HWCDC's
bool g_plugged = true, g_reads = false;
std::string g_ring, g_host;
uint32_t g_waited = 0;
int g_asked = 0;

void host() {
  if (g_plugged && g_reads) {
    g_host += g_ring;
    g_ring.clear();
  }
}

}  // namespace

HWCDC Serial;
int Print::availableForWrite() { return 0; }
size_t Print::write(const uint8_t* data, size_t n) {
  if (!g_plugged) {
    // Nobody there: the oldest falls out.
    g_ring.append(reinterpret_cast<const char*>(data), n);
    if (g_ring.size() > kRing) g_ring.erase(0, g_ring.size() - kRing);
    return n;
  }
  if (n > kRing - g_ring.size()) {
    printf("the loop hangs in HWCDC::write for ever\n");
    exit(1);
  }
  g_ring.append(reinterpret_cast<const char*>(data), n);
  host();
  return n;
}
void HWCDC::begin(unsigned long) {}
int HWCDC::available() { return 0; }
int HWCDC::read() { return -1; }
int HWCDC::availableForWrite() {
  host();
  return static_cast<int>(kRing - g_ring.size());
}
HWCDC::operator bool() const {
  ++g_asked;
  host();
  return g_plugged;
}
extern "C" void delay(uint32_t ms) { g_waited += ms; }

int main() {
  using namespace magicpi;
  console_begin();
  // A cable in a computer that reads nothing: a day's log, and the loop turns.
  for (int i = 0; i < 10000; ++i) {
    console_line("warning: ", "gateway not reached");
    console_poll();
  }
  CHECK(g_ring.size() == kRing);
  CHECK(g_asked > 0);
  g_waited = 0;
  console_drain();
  CHECK(g_waited <= 20);
  // It begins to read: whole lines.
  g_reads = true;
  for (int i = 0; i < 100; ++i) console_poll();
  CHECK(g_host.size() > 4000);
  CHECK(g_host.size() % strlen("warning: gateway not reached\r\n") == 0);
  g_host.clear();
  console_line("info: ", "online");
  console_drain();
  CHECK(g_host == "info: online\r\n");
  // No cable at all.
  g_plugged = false;
  for (int i = 0; i < 1000; ++i) {
    console_line("info: ", "nobody hears this");
    console_poll();
  }
  g_waited = 0;
  console_drain();
  CHECK(g_waited <= 20);
  printf("shell: console: %d checks, %d failed\n", g_checks, g_failed);
  return g_failed ? 1 : 0;
}
