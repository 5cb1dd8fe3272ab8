#pragma once
#include <stdint.h>
struct pbuf;
extern "C" uint8_t pbuf_free(struct pbuf* p);
