// Where a board has soldered its camera connector. The values are those of the vendors' and Espressif's pin lists
// (CameraWebServer's camera_pins.h of Arduino-ESP32, LilyGO's and M5Stack's examples).
#pragma once

#include <stdint.h>

namespace magicpi {

/// GPIO numbers, -1 = not connected.
struct CameraPins {
  int8_t pwdn;   ///< high = sensor off
  int8_t reset;  ///< low = reset
  int8_t xclk, sda, scl;
  int8_t d0, d1, d2, d3, d4, d5, d6, d7;  ///< Y2..Y9 of the sensor
  int8_t vsync, href, pclk;
};

//                                          pwdn rst xclk sda scl  d0  d1  d2  d3  d4  d5  d6  d7 vsync href pclk
inline constexpr CameraPins kPinsAiThinker{ 32, -1,   0, 26, 27,  5, 18, 19, 21, 36, 39, 34, 35, 25, 23, 22};
inline constexpr CameraPins kPinsEsp32S3Eye{-1, -1,  15,  4,  5, 11,  9,  8, 10, 12, 18, 17, 16,  6,  7, 13};
inline constexpr CameraPins kPinsXiaoSense{ -1, -1,  10, 40, 39, 15, 17, 18, 16, 14, 12, 11, 48, 38, 47, 13};
inline constexpr CameraPins kPinsM5TimerCam{-1, 15,  27, 25, 23, 32, 35, 34,  5, 39, 18, 36, 19, 22, 26, 21};
inline constexpr CameraPins kPinsTCamera17{ -1, -1,  32, 13, 12,  5, 14,  4, 15, 18, 23, 36, 39, 27, 25, 19};

// Waveshare's table leaves pwdn out; with it low the sensor answers (Waveshare's camera example, ESPHome reports).
inline constexpr CameraPins kPinsWaveshareEth{ 8, -1,  3, 48, 47, 41, 45, 46, 42, 40, 38, 15, 18,  1,  2, 39};
// LilyGO-T-ETH-Series, examples/CameraShield.
inline constexpr CameraPins kPinsLilygoEth{ -1, 47,  45, 38, 39, 17,  8,  3, 18, 16,  1,  2, 41, 40, 48, 15};

/// W5500 on SPI, -1 = the board has Wi-Fi only.
struct EthernetPins {
  int8_t miso, mosi, sclk, cs;
  int8_t irq;
  int8_t reset;  ///< low = reset
};

inline constexpr EthernetPins kNoEthernet{-1, -1, -1, -1, -1, -1};
//                                                  miso mosi sclk cs irq rst
inline constexpr EthernetPins kEthernetWaveshare{    12,  11,  13, 14, 10,  9};  // Waveshare's wiki, CircuitPython's board file
inline constexpr EthernetPins kEthernetLilygo{       11,  12,  10,  9, 13, 14};  // LilyGO-T-ETH-Series, utilities.h

}  // namespace magicpi
