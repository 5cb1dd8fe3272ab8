#pragma once
#include <stddef.h>
#include <sys/time.h>
#include "esp_err.h"
extern "C" {
typedef enum { LEDC_TIMER_0 = 0 } ledc_timer_t;
typedef enum { LEDC_CHANNEL_0 = 0 } ledc_channel_t;
typedef enum { PIXFORMAT_RGB565, PIXFORMAT_YUV422, PIXFORMAT_YUV420, PIXFORMAT_GRAYSCALE, PIXFORMAT_JPEG } pixformat_t;
typedef enum {
  FRAMESIZE_QVGA, FRAMESIZE_VGA, FRAMESIZE_SVGA, FRAMESIZE_XGA, FRAMESIZE_HD, FRAMESIZE_SXGA, FRAMESIZE_UXGA
} framesize_t;
typedef enum {
  GAINCEILING_2X, GAINCEILING_4X, GAINCEILING_8X, GAINCEILING_16X, GAINCEILING_32X, GAINCEILING_64X, GAINCEILING_128X
} gainceiling_t;
typedef enum { OV2640_PID = 0x26, OV3660_PID = 0x3660, OV5640_PID = 0x5640 } camera_pid_t;
typedef enum { CAMERA_GRAB_WHEN_EMPTY, CAMERA_GRAB_LATEST } camera_grab_mode_t;
typedef enum { CAMERA_FB_IN_PSRAM, CAMERA_FB_IN_DRAM } camera_fb_location_t;
typedef struct {
  uint8_t MIDH, MIDL;
  uint16_t PID;
  uint8_t VER;
} sensor_id_t;
typedef struct _sensor sensor_t;
struct _sensor {
  sensor_id_t id;
  int (*set_contrast)(sensor_t* sensor, int level);
  int (*set_brightness)(sensor_t* sensor, int level);
  int (*set_saturation)(sensor_t* sensor, int level);
  int (*set_gainceiling)(sensor_t* sensor, gainceiling_t gainceiling);
  int (*set_quality)(sensor_t* sensor, int quality);
  int (*set_hmirror)(sensor_t* sensor, int enable);
  int (*set_vflip)(sensor_t* sensor, int enable);
  int (*set_aec2)(sensor_t* sensor, int enable);
  int (*set_ae_level)(sensor_t* sensor, int level);
  int (*set_reg)(sensor_t* sensor, int reg, int mask, int value);
};
typedef struct {
  int pin_pwdn, pin_reset, pin_xclk, pin_sccb_sda, pin_sccb_scl;
  int pin_d7, pin_d6, pin_d5, pin_d4, pin_d3, pin_d2, pin_d1, pin_d0, pin_vsync, pin_href, pin_pclk;
  int xclk_freq_hz;
  ledc_timer_t ledc_timer;
  ledc_channel_t ledc_channel;
  pixformat_t pixel_format;
  framesize_t frame_size;
  int jpeg_quality;
  size_t fb_count;
  camera_fb_location_t fb_location;
  camera_grab_mode_t grab_mode;
  int sccb_i2c_port;
} camera_config_t;
typedef struct {
  uint8_t* buf;
  size_t len, width, height;
  pixformat_t format;
  struct timeval timestamp;
} camera_fb_t;
esp_err_t esp_camera_init(const camera_config_t* config);
esp_err_t esp_camera_deinit(void);
camera_fb_t* esp_camera_fb_get(void);
void esp_camera_fb_return(camera_fb_t* fb);
sensor_t* esp_camera_sensor_get(void);
}
