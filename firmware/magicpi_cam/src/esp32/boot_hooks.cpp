// Functions that the Arduino core and lwIP look for by name. Here and not in the sketch, whose prototypes the Arduino
// builder writes itself and without C linkage.
#include <stdint.h>

#include <esp_rom_sys.h>
#include <lwip/pbuf.h>

extern "C" {

bool esp_psram_extram_test(void);
bool testSPIRAM(void);
bool verifyRollbackLater();
int lwip_hook_ip6_input(struct pbuf* packet, struct netif* from);

/// A new image stays on trial until the gateway has welcomed it; without this the Arduino core accepts it before setup().
bool verifyRollbackLater() { return true; }

/// The core writes and reads all PSRAM before setup(): 0.4 s and more (arduino-esp32 #6906). At power-on that is worth it; at a
/// wake it is film. The core asks before constructors run, so the ROM is asked and not esp_reset_reason().
bool testSPIRAM(void) {
  return esp_rom_get_reset_reason(0) == RESET_REASON_CORE_DEEP_SLEEP || esp_psram_extram_test();
}

/// Cores 3.0 and 3.1 build lwIP with this hook and define it in their Network library, which is not linked here. Weak, so
/// that a build with that library takes its own. The camera speaks IPv4 alone.
__attribute__((weak)) int lwip_hook_ip6_input(struct pbuf* packet, struct netif*) {
  pbuf_free(packet);
  return 1;
}

}  // extern "C"
