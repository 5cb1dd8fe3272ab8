#pragma once
#include <stddef.h>
#include <stdint.h>
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
// The macros of the real header that a name could collide with.
#define HIGH 0x1
#define ESP_ARDUINO_VERSION_MAJOR 3
#define ESP_ARDUINO_VERSION_MINOR 3
#define ESP_ARDUINO_VERSION_PATCH 7
#define LOW 0x0
#define INPUT 0x01
#define OUTPUT 0x03
#define PULLUP 0x04
#define OPEN_DRAIN 0x10
#define ANALOG 0xC0
#define RISING 0x01
#define FALLING 0x02
#define CHANGE 0x03
#define DEFAULT 1
#define EXTERNAL 0
#define SERIAL 0x0
#define DISPLAY 0x1
#define LSBFIRST 0
#define MSBFIRST 1
#define PI 3.1415926535897932384626433832795
#define EULER 2.718281828459045235360287471352
#define B0 0
#define B1 1
#define F(text) (text)
#define sq(x) ((x) * (x))
#define bit(b) (1UL << (b))
#define word(...) makeWord(__VA_ARGS__)
#define radians(degrees) ((degrees) * 0.017453292519943295)
#define constrain(v, low, high) ((v) < (low) ? (low) : ((v) > (high) ? (high) : (v)))
#define SET_LOOP_TASK_STACK_SIZE(bytes) \
  size_t getArduinoLoopTaskStackSize() { return bytes; }
class Print {
 public:
  size_t write(const uint8_t* buffer, size_t size);
  size_t print(const char* text);
  size_t println(const char* text);
  virtual int availableForWrite();
};
class HardwareSerial : public Print {
 public:
  void begin(unsigned long baud);
  size_t setTxBufferSize(size_t size);
  int available();
  int availableForWrite();
  int read();
  void flush();
  operator bool() const;
};
class HWCDC : public Print {
 public:
  void begin(unsigned long baud = 0);
  void setTxTimeoutMs(uint32_t timeout);
  int available();
  int availableForWrite();
  int read();
  void flush();
  operator bool() const;
};
#if ARDUINO_USB_CDC_ON_BOOT
extern HWCDC Serial;
#else
extern HardwareSerial Serial;
#endif
size_t getArduinoLoopTaskStackSize();
void setup();
void loop();
extern "C" {
void delay(uint32_t ms);
bool setCpuFrequencyMhz(uint32_t cpu_freq_mhz);
uint32_t analogReadMilliVolts(uint8_t pin);
bool psramFound(void);
}
