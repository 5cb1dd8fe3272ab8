// The whole camera, as setup() and loop() see it.
#pragma once

namespace magicpi {

/// Pins, memory, core: starts the sensor at once after a PIR wake.
void shell_begin();
/// One turn of the network task; waits until something is due or a socket has news, 20 ms at most.
void shell_poll();

}  // namespace magicpi
