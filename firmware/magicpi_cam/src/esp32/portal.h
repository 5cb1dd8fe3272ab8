// Setup mode as a person sees it: the page with setup code and Wi-Fi form, and GET and POST /setup for Home Assistant.
#pragma once

#include "http_server.h"

namespace magicpi {

class Camera;
class WifiRadio;

class Portal {
 public:
  /// Other ports than the usual ones are for tests; 0 = any.
  explicit Portal(WifiRadio& radio, uint16_t http_port = 80, uint16_t dns_port = 53)
      : radio_(radio), http_port_(http_port), dns_port_(dns_port) {}
  void begin(Camera* camera) { camera_ = camera; }

  /// `access_point`: with Wi-Fi form, and every name leads here.
  void open(bool access_point);
  void close();
  bool is_open() const { return open_; }
  uint16_t port() const { return server_.port(); }
  /// Network task. Hands chosen credentials to the core once the page that says so is out.
  void poll(uint64_t now_ms);

 private:
  static void handle(void* self, const HttpQuery& query, HttpReply& reply);
  void respond(const HttpQuery& query, HttpReply& reply);
  void page(HttpReply& reply);
  void scan(HttpReply& reply);
  void choose_wifi(const HttpQuery& query, HttpReply& reply);

  WifiRadio& radio_;
  const uint16_t http_port_, dns_port_;
  Camera* camera_ = nullptr;
  HttpServer server_;
  CaptiveDns dns_;
  bool open_ = false, access_point_ = false;
  bool chosen_ = false;
  uint64_t chosen_ms_ = 0, now_ms_ = 0;
  char ssid_[33] = {0};
  char password_[65] = {0};
};

}  // namespace magicpi
