// MagicPi camera for ESP32 and ESP32-S3 boards. Settings of a build: config.h. Boards: board.h. Everything else: README.md
// one folder up, and docs/design/firmware.md.
#include "config.h"
#include "src/esp32/bench.h"
#include "src/esp32/shell.h"

// The TLS handshake runs in loop()'s task.
SET_LOOP_TASK_STACK_SIZE(16 * 1024);

#if defined(MAGICPI_BENCH)
void setup() { magicpi::bench_run(); }

void loop() {}
#else
void setup() { magicpi::shell_begin(); }

void loop() { magicpi::shell_poll(); }
#endif
