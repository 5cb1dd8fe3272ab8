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

check() {
  local compiler=$1 count=0
  shift
  command -v "$compiler" >/dev/null || { echo "shell: $compiler is not installed, skipped"; return; }
  for entry in "${boards[@]}"; do
    local board=${entry%%:*} chip=${entry##*:}
    local defines=("-DMAGICPI_BOARD=MAGICPI_BOARD_$board" "-DCONFIG_IDF_TARGET_$chip=1")
    [[ $chip == ESP32S3 ]] && defines+=(-DARDUINO_USB_CDC_ON_BOOT=1 -DARDUINO_USB_MODE=1)
    for source in magicpi_cam/src/esp32/*.cpp; do
      "$compiler" "${mode[@]}" "${warnings[@]}" "${defines[@]}" -isystem test/stubs "$@" "$source"
      count=$((count + 1))
    done
    # The Arduino builder puts its header in front of a sketch.
    "$compiler" "${mode[@]}" "${warnings[@]}" "${defines[@]}" -isystem test/stubs "$@" -include Arduino.h -x c++ magicpi_cam/magicpi_cam.ino
    count=$((count + 1))
  done
  # Every option of config.h at once.
  "$compiler" "${mode[@]}" "${warnings[@]}" -DCONFIG_IDF_TARGET_ESP32=1 -isystem test/stubs "$@" \
    '-DMAGICPI_WIFI_SSID="net"' '-DMAGICPI_WIFI_PASSWORD="password"' -DMAGICPI_PIR_PIN=14 -DMAGICPI_BUTTON_PIN=-1 \
    -DMAGICPI_BATTERY_PIN=33 -DMAGICPI_STREAM_DURATION_S=150 -DMAGICPI_FRAMERATE=5 -DMAGICPI_RESOLUTION=VGA \
    -DMAGICPI_JPEG_QUALITY=20 -DMAGICPI_ALWAYS_ON=1 -DMAGICPI_CONFIRM_MOTION=1 \
    "-DMAGICPI_OTA_KEY=\"$(printf '04%0128d' 0)\"" magicpi_cam/src/esp32/shell.cpp
  echo "shell: $compiler: $((count + 1)) checks clean (${#boards[@]} boards)"
}

check g++ -isystem "$work/include"
check clang++ -isystem "$work/include"
check arm-none-eabi-g++ -isystem test/stubs/posix -isystem "$work/include"

"${CXX:-g++}" -std=gnu++17 "${warnings[@]}" -g -fsanitize=address,undefined -fno-sanitize-recover=all \
  magicpi_cam/src/esp32/http_server.cpp test/shell_http.cpp -o "$work/shell_http"
"$work/shell_http"

if [[ -e ${MBEDTLS_INCLUDE:-/usr/include}/mbedtls/ssl.h ]]; then
  "${CXX:-g++}" -std=gnu++20 "${warnings[@]}" -g -fsanitize=address,undefined -fno-sanitize-recover=all \
    -idirafter test/stubs magicpi_cam/src/core/*.cpp magicpi_cam/src/esp32/portal.cpp magicpi_cam/src/esp32/http_server.cpp \
    test/shell_portal.cpp -lmbedcrypto -lmbedx509 -o "$work/shell_portal"
  "$work/shell_portal"
else
  echo "shell: portal: needs libmbedtls-dev, skipped"
fi
