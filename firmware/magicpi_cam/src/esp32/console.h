// The serial console, on whatever the board has for one: a UART or the chip's own USB. Nothing here waits for a reader.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace magicpi {

void console_begin();
/// Queues output; drops it where nobody reads and the queue is full.
void console_put(const uint8_t* data, size_t n);
void console_line(const char* prefix, const char* text);
/// Next byte typed, -1 = none.
int console_read();
/// Hands output to the port. Once a turn.
void console_poll();
/// Before sleep or restart: gives the port up to 200 ms as long as it takes something.
void console_drain();

}  // namespace magicpi
