#pragma once
struct netif {
  void* client_data[4];
};
