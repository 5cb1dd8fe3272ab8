// RTC memory with any content, with and without a right checksum: the camera must wake, work and sleep.
#include "fuzz.h"

using namespace sim;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  World w(64 * 1024);
  w.adopt();
  w.gateway.config_rev = 0;
  w.options.settings.stream_duration_s = 3;
  w.jpeg_bytes = 500;
  const bool sealed = size && (data[0] & 1);
  if (sealed) {
    rtc_open(&w.rtc());
    const size_t head = offsetof(RtcState, wifi);
    memcpy(w.rtc_memory() + head, data + 1, std::min(size - 1, sizeof(RtcState) - head));
    rtc_seal(&w.rtc());
  } else {
    memcpy(w.rtc_memory(), data, std::min(size, sizeof(RtcState)));
  }
  w.move_pir(0, 600);
  w.boot(WakeCause::Pir);
  w.run_to_sleep(400000);
  MUST(w.asleep());
  return 0;
}
