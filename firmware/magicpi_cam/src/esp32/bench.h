// A build with MAGICPI_BENCH prints what only a board can tell, in place of being a camera. docs/hardware-bench.md.
#pragma once

namespace magicpi {

[[noreturn]] void bench_run();

}  // namespace magicpi
