#include "entropy.h"

#include <string.h>

#include <bootloader_random.h>
#include <esp_random.h>
#include <esp_rom_sys.h>

#include "../core/crypto.h"

namespace magicpi {

namespace {
uint8_t g_pool[32];
uint32_t g_counter;
}  // namespace

void entropy_begin() {
  bootloader_random_enable();
  uint32_t words[32];
  for (uint32_t& word : words) {
    word = esp_random();
    esp_rom_delay_us(20);
  }
  bootloader_random_disable();
  sha256(reinterpret_cast<const uint8_t*>(words), sizeof words, g_pool);
  wipe(words, sizeof words);
}

void entropy_fill(uint8_t* out, size_t n) {
  uint8_t block[sizeof g_pool + 12];
  uint8_t digest[32];
  while (n) {
    const uint32_t fresh[2] = {esp_random(), esp_random()};
    ++g_counter;
    memcpy(block, g_pool, sizeof g_pool);
    memcpy(block + sizeof g_pool, &g_counter, 4);
    memcpy(block + sizeof g_pool + 4, fresh, 8);
    sha256(block, sizeof block, digest);
    const size_t take = n < sizeof digest ? n : sizeof digest;
    memcpy(out, digest, take);
    out += take;
    n -= take;
  }
  // What was given away cannot be computed back from the pool.
  block[0] ^= 0x5c;
  sha256(block, sizeof block, g_pool);
  wipe(block, sizeof block);
  wipe(digest, sizeof digest);
}

}  // namespace magicpi
