#pragma once
#include <stddef.h>
#include <stdint.h>
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#define SET_LOOP_TASK_STACK_SIZE(bytes) \
  size_t getArduinoLoopTaskStackSize() { return bytes; }
class Print {
 public:
  size_t write(const uint8_t* buffer, size_t size);
  size_t print(const char* text);
  size_t println(const char* text);
};
class HardwareSerial : public Print {
 public:
  void begin(unsigned long baud);
  size_t setTxBufferSize(size_t size);
  int available();
  int read();
  void flush();
};
class HWCDC : public Print {
 public:
  void begin(unsigned long baud = 0);
  void setTxTimeoutMs(uint32_t timeout);
  int available();
  int read();
  void flush();
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
