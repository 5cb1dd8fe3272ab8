#!/usr/bin/env bash
# Type-check the ESP32 shell for every board against the declarations in stubs/, with each compiler that is there, and test
# its HTTP server for real. Exit code 0 = all clean. Nothing is written but a test program in a temporary folder.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# MbedTLS's own headers only: the rest of /usr/include belongs to the host.
mkdir "$work/include"
ln -s "${MBEDTLS_INCLUDE:-/usr/include}/mbedtls" "$work/include/mbedtls"
[[ -d ${MBEDTLS_INCLUDE:-/usr/include}/psa ]] && ln -s "${MBEDTLS_INCLUDE:-/usr/include}/psa" "$work/include/psa"

# From board.h itself; every row must have its environment in platformio.ini.
listing=$(PYTHONDONTWRITEBYTECODE=1 python3 -c '
import package_images as p
rows = p.boards()
if missing := {row.model for row in rows.values()} - {board.model for board in p.environments().values()}:
    raise SystemExit(f"platformio.ini has no environment for {missing}")
for name, row in rows.items():
    print(name.removeprefix("MAGICPI_BOARD_") + (":ESP32S3" if row.esp32s3 else ":ESP32"))')
mapfile -t boards <<< "$listing"
warnings=(-Wall -Wextra -Wshadow -Wconversion -Werror)
# The same mode as the Arduino core's compiler, of which only the dialect is older here.
mode=(-std=gnu++20 -fsyntax-only -fno-rtti)

commands=$work/commands
# A file that asks board.h is checked for every board, any other once for each chip.
mapfile -t asking < <(grep -lE 'board\.h' magicpi_cam/src/esp32/*.cpp)
mapfile -t others < <(grep -LE 'board\.h' magicpi_cam/src/esp32/*.cpp)

defines() {  # BOARD:CHIP
  printf '%s' "-DMAGICPI_BOARD=MAGICPI_BOARD_${1%%:*} -DCONFIG_IDF_TARGET_${1##*:}=1"
  [[ ${1##*:} == ESP32S3 ]] && printf '%s' " -DARDUINO_USB_CDC_ON_BOOT=1 -DARDUINO_USB_MODE=1"
  return 0
}

check() {
  local compiler=$1 entry source chip seen=" "
  shift
  command -v "$compiler" >/dev/null || { echo "shell: $compiler is not installed, skipped"; return; }
  local start="$compiler ${mode[*]} ${warnings[*]} -isystem test/stubs $*"
  : > "$commands"
  for entry in "${boards[@]}"; do
    chip=${entry##*:}
    for source in "${asking[@]}"; do echo "$start $(defines "$entry") $source" >> "$commands"; done
    if [[ $seen != *" $chip "* ]]; then
      seen+="$chip "
      for source in "${others[@]}"; do echo "$start $(defines "$entry") $source" >> "$commands"; done
      # The Arduino builder puts its header in front of a sketch.
      echo "$start $(defines "$entry") -include Arduino.h -x c++ magicpi_cam/magicpi_cam.ino" >> "$commands"
    fi
  done
  # The build that prints figures.
  for chip in ESP32 ESP32S3; do
    echo "$start -DMAGICPI_BENCH=1 -DCONFIG_IDF_TARGET_$chip=1 magicpi_cam/src/esp32/bench.cpp" >> "$commands"
  done
  # Every option of config.h at once.
  echo "$start -DCONFIG_IDF_TARGET_ESP32=1 '-DMAGICPI_WIFI_SSID=\"net\"' '-DMAGICPI_WIFI_PASSWORD=\"password\"'" \
    "-DMAGICPI_PIR_PIN=14 -DMAGICPI_BUTTON_PIN=-1 -DMAGICPI_RING_PIN=15 -DMAGICPI_CHARGE_PIN=2 -DMAGICPI_SUPPLY=MAGICPI_SUPPLY_MAINS" \
    "-DMAGICPI_BATTERY_PIN=33 -DMAGICPI_STREAM_DURATION_S=150 -DMAGICPI_FRAMERATE=5 -DMAGICPI_RESOLUTION=VGA" \
    "-DMAGICPI_JPEG_QUALITY=20 -DMAGICPI_ALWAYS_ON=1 -DMAGICPI_CONFIRM_MOTION=1" \
    "'-DMAGICPI_OTA_KEY=\"$(printf '04%0128d' 0)\"' magicpi_cam/src/esp32/shell.cpp" >> "$commands"
  xargs -P "$(nproc)" -d '\n' -I{} bash -c '{}' < "$commands"
  echo "shell: $compiler: $(wc -l < "$commands") checks clean (${#boards[@]} boards)"
}

check g++ -isystem "$work/include"
check "$(command -v clang++ || command -v clang++-14 || echo clang++)" -isystem "$work/include"
check arm-none-eabi-g++ -isystem test/stubs/posix -isystem "$work/include"

# What the core and lwIP look for by name, and how strongly: the linkers of cores 3.0 and 3.1 fail without the third.
"${CXX:-g++}" "${mode[@]/-fsyntax-only/-c}" "${warnings[@]}" -isystem test/stubs magicpi_cam/src/esp32/boot_hooks.cpp -o "$work/hooks.o"
for symbol in "T verifyRollbackLater" "T testSPIRAM" "W lwip_hook_ip6_input"; do
  nm "$work/hooks.o" | grep -q " $symbol\$" || { echo "boot_hooks.cpp: no symbol '$symbol'" >&2; exit 1; }
done

# The console of a USB board whose host reads nothing, one that is not plugged in, and a UART.
"${CXX:-g++}" -std=gnu++20 "${warnings[@]}" -g1 -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -DARDUINO_USB_CDC_ON_BOOT=1 \
  -idirafter test/stubs magicpi_cam/src/esp32/console.cpp magicpi_cam/src/core/console.cpp test/shell_console.cpp -o "$work/shell_console"
"$work/shell_console"

"${CXX:-g++}" -std=gnu++17 "${warnings[@]}" -g1 -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
  magicpi_cam/src/esp32/http_server.cpp test/shell_http.cpp -o "$work/shell_http"
"$work/shell_http"

if [[ -e ${MBEDTLS_INCLUDE:-/usr/include}/mbedtls/ssl.h ]]; then
  "${CXX:-g++}" -std=gnu++20 "${warnings[@]}" -g0 -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
    -idirafter test/stubs magicpi_cam/src/core/*.cpp magicpi_cam/src/esp32/portal.cpp magicpi_cam/src/esp32/http_server.cpp \
    test/shell_portal.cpp -lmbedcrypto -lmbedx509 -o "$work/shell_portal"
  "$work/shell_portal"
else
  echo "shell: portal: needs libmbedtls-dev, skipped"
fi
