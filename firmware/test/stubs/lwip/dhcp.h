#pragma once
#include <stdint.h>
#include "netif.h"
struct dhcp {
  uint32_t offered_t0_lease;
};
#define netif_dhcp_data(netif) (static_cast<struct dhcp*>((netif)->client_data[0]))
