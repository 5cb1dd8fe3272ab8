// The boards, one row each. A new board is a row here, its pins in camera_pins.h and an environment in platformio.ini.
#pragma once

#include "camera_pins.h"
#include "config.h"

#define MAGICPI_BOARD_AI_THINKER 0
#define MAGICPI_BOARD_FREENOVE_S3 1
#define MAGICPI_BOARD_ESP32S3_EYE 2
#define MAGICPI_BOARD_XIAO_SENSE 3
#define MAGICPI_BOARD_M5_TIMER_CAM 4
#define MAGICPI_BOARD_T_CAMERA_17 5
#define MAGICPI_BOARD_WAVESHARE_ETH 6
#define MAGICPI_BOARD_LILYGO_ETH 7

#ifndef MAGICPI_BOARD
#if defined(ARDUINO_XIAO_ESP32S3)
#define MAGICPI_BOARD MAGICPI_BOARD_XIAO_SENSE
#elif defined(ARDUINO_M5STACK_TIMER_CAM) || defined(ARDUINO_M5Stack_Timer_CAM)
#define MAGICPI_BOARD MAGICPI_BOARD_M5_TIMER_CAM
#elif defined(CONFIG_IDF_TARGET_ESP32S3)
#define MAGICPI_BOARD MAGICPI_BOARD_FREENOVE_S3
#else
#define MAGICPI_BOARD MAGICPI_BOARD_AI_THINKER
#endif
#endif

namespace magicpi {

/// GPIO numbers, -1 = the board has none.
struct Board {
  const char* model;           ///< name at the gateway, and `board` of firmware manifests
  CameraPins camera;
  bool esp32s3;                ///< chip: ESP32-S3, otherwise ESP32
  bool upside_down;            ///< the sensor is mounted so that vflip makes the picture upright
  int8_t pir;                  ///< must be an RTC pin to wake the chip
  int8_t button;               ///< to ground; may be the XCLK pin: then it is read only while the sensor is off
  int8_t status_led;
  bool status_led_low;         ///< lit by a low level
  int8_t flash_led;            ///< white LED, lit by a high level
  int8_t power_hold;           ///< kept high awake and asleep, or the board cuts its own supply
  int8_t battery_adc;          ///< an ADC1 pin: ADC2 does not work beside Wi-Fi
  uint16_t battery_permille;   ///< cell voltage / pin voltage * 1000
  bool ip5306;                 ///< power chip that switches off below 45 mA unless configured not to (I2C 21, 22)
  int8_t ring;                 ///< doorbell button to ground; must be an RTC pin with a pull-up to wake the chip
  int8_t charge;               ///< low while the cell is being charged (open-drain output of a charger chip)
  EthernetPins ethernet;
};

inline constexpr Board kBoards[] = {
    // PIR on GPIO13, ring on GPIO14 (free while the card slot is empty). GPIO0 is XCLK and the button of the USB base board.
    {"AI-Thinker ESP32-CAM", kPinsAiThinker, false, false, 13, 0, 33, true, 4, -1, -1, 0, false, 14, -1, kNoEthernet},
    // GPIO14 and GPIO21 (ring) are on the header and RTC pins; GPIO2 is the blue LED. Both from the vendor's pin drawing, not tried.
    {"Freenove ESP32-S3 CAM", kPinsEsp32S3Eye, true, true, 14, 0, 2, false, -1, -1, -1, 0, false, 21, -1, kNoEthernet},
    // All RTC pins have a use on this board: no PIR pin, unless one is soldered and named in config.h. LED GPIO3. Not tried.
    {"Espressif ESP32-S3-EYE", kPinsEsp32S3Eye, true, true, -1, 0, 3, false, -1, -1, -1, 0, false, -1, -1, kNoEthernet},
    // PIR on D0, ring on D1. The user LED shares GPIO21 with the card's chip select. The cell's voltage is on no pin.
    {"XIAO ESP32S3 Sense", kPinsXiaoSense, true, false, 1, 0, 21, true, -1, -1, -1, 0, false, 2, -1, kNoEthernet},
    // PIR on the Grove port's GPIO13, ring on its GPIO4. GPIO33 holds the supply, GPIO38 measures the cell over 0.661 (M5Stack's library).
    {"M5Stack Timer Camera", kPinsM5TimerCam, false, true, 13, -1, 2, false, -1, 33, 38, 1513, false, 4, -1, kNoEthernet},
    // On-board AS312 at GPIO33, button at GPIO34 (V1.7; on V1.6 the PIR is at GPIO19, which cannot wake the chip). Not tried.
    {"LilyGO T-Camera V1.7", kPinsTCamera17, false, false, 33, 34, -1, false, -1, -1, -1, 0, true, -1, -1, kNoEthernet},
    // PIR on GPIO17, ring on GPIO16, both on the header. GPIO21 is an addressable LED. Not tried.
    {"Waveshare ESP32-S3-ETH", kPinsWaveshareEth, true, false, 17, 0, -1, false, -1, -1, -1, 0, false, 16, -1, kEthernetWaveshare},
    // With the camera shield; PIR on GPIO21, ring on GPIO4, both on the header. Not tried.
    {"LilyGO T-ETH-Lite-S3", kPinsLilygoEth, true, false, 21, 0, -1, false, -1, -1, -1, 0, false, 4, -1, kEthernetLilygo},
};

constexpr Board chosen_board() {
  Board b = kBoards[MAGICPI_BOARD];
#ifdef MAGICPI_PIR_PIN
  b.pir = MAGICPI_PIR_PIN;
#endif
#ifdef MAGICPI_BUTTON_PIN
  b.button = MAGICPI_BUTTON_PIN;
#endif
#ifdef MAGICPI_RING_PIN
  b.ring = MAGICPI_RING_PIN;
#endif
#ifdef MAGICPI_CHARGE_PIN
  b.charge = MAGICPI_CHARGE_PIN;
#endif
#ifdef MAGICPI_BATTERY_PIN
  b.battery_adc = MAGICPI_BATTERY_PIN;
#ifdef MAGICPI_BATTERY_PERMILLE
  b.battery_permille = MAGICPI_BATTERY_PERMILLE;
#else
  b.battery_permille = 2000;
#endif
  if (b.status_led == b.battery_adc) b.status_led = -1;
#endif
  return b;
}

inline constexpr Board kBoard = chosen_board();
inline constexpr bool kWired = kBoard.ethernet.cs >= 0;
static_assert(kBoard.ring < 0 || (kBoard.ring != kBoard.pir && kBoard.ring != kBoard.button), "the doorbell needs a pin of its own");
static_assert(kBoard.pir < 0 || kBoard.pir != kBoard.button, "motion sensor and button share a pin");

#if defined(CONFIG_IDF_TARGET_ESP32S3)
static_assert(kBoard.esp32s3, "this board has an ESP32: choose it in the board menu too");
#elif defined(CONFIG_IDF_TARGET_ESP32)
static_assert(!kBoard.esp32s3, "this board has an ESP32-S3: choose it in the board menu too");
static_assert(kBoard.battery_adc < 0 || kBoard.battery_adc >= 32, "GPIO32..39 only: ADC2 does not work beside Wi-Fi");
static_assert(kBoard.pir != 12, "GPIO12 sets the flash voltage at reset: a high PIR would keep the chip from booting");
#endif

}  // namespace magicpi
