// Choices of one build. None has to be made: Wi-Fi, name and all settings can be given after flashing.
// Uncomment a line, or pass the same name as a compiler flag (platformio.ini: build_flags = -D...).
#pragma once

// Board: a name from board.h. Without it the board is taken from the Arduino IDE's board menu where that tells.
// #define MAGICPI_BOARD MAGICPI_BOARD_AI_THINKER

// Wi-Fi of a camera that has not been given one by browser, portal or Improv.
// #define MAGICPI_WIFI_SSID "my network"
// #define MAGICPI_WIFI_PASSWORD "my password"

// Motion sensor: output pin, high on motion. -1 = none. Default: the board's row in board.h.
// #define MAGICPI_PIR_PIN 13

// What feeds the board. A camera without an owner sleeps after 15 minutes unless this says mains; Home Assistant's setting
// of the power mode is another matter. Without it: battery, unless MAGICPI_ALWAYS_ON is set.
// #define MAGICPI_SUPPLY MAGICPI_SUPPLY_MAINS
#define MAGICPI_SUPPLY_BATTERY 1
#define MAGICPI_SUPPLY_MAINS 2

// Button to ground: 1..5 s opens the Wi-Fi portal, 5 s and more forgets Wi-Fi and owner. -1 = none.
// #define MAGICPI_BUTTON_PIN 0

// Doorbell button to ground, on an RTC pin. Default: the board's row in board.h; -1 = none. Without a button there the pin
// rests on its pull-up, and nothing rings.
// #define MAGICPI_RING_PIN 14

// Pin that is low while a charger chip (TP4056's CHRG, for example) charges the cell.
// #define MAGICPI_CHARGE_PIN 15

// Battery voltage at an ADC1 pin behind a divider, in thousandths: cell voltage / pin voltage * 1000. Two equal
// resistors (for example 2 x 220 kOhm) are 2000.
// #define MAGICPI_BATTERY_PIN 33
// #define MAGICPI_BATTERY_PERMILLE 2000

// Factory settings; Home Assistant changes them later.
// #define MAGICPI_STREAM_DURATION_S 30
// #define MAGICPI_FRAMERATE 10
// #define MAGICPI_RESOLUTION SVGA
// #define MAGICPI_JPEG_QUALITY 12
// #define MAGICPI_ALWAYS_ON 1

// Keep the radio off until the picture agrees with the motion sensor (Home Assistant's setting "Confirm motion").
// #define MAGICPI_CONFIRM_MOTION 1

// Public key (P-256 point, 65 bytes 04|x|y in hex) that images sent by Home Assistant must be signed with. Without it an
// image is checked by the SHA-256 that came over the authenticated connection.
// #define MAGICPI_OTA_KEY "04..."

// Print figures of the board in place of being a camera (docs/hardware-bench.md).
// #define MAGICPI_BENCH 1

// Version of this build, as Home Assistant compares it.
#ifndef MAGICPI_FW
#define MAGICPI_FW "0.1.0"
#endif
