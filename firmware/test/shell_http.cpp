// The setup mode's HTTP server and DNS responder over real sockets: no test library, because check_shell.sh runs it anywhere.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "../magicpi_cam/src/esp32/http_server.h"

using namespace magicpi;

namespace {

int g_failed = 0, g_checks = 0;
#define CHECK(condition)                                        \
  do {                                                          \
    ++g_checks;                                                 \
    if (!(condition)) {                                         \
      ++g_failed;                                               \
      printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
    }                                                           \
  } while (0)

std::string g_seen;

void handle(void*, const HttpQuery& query, HttpReply& reply) {
  g_seen = std::string(query.method) + " " + query.path + " [" + query.host + "] " + std::string(query.body, query.body_length);
  if (strcmp(query.path, "/away") == 0) {
    reply.status = 302;
    reply.location = "http://4.3.2.1/";
  } else if (strcmp(query.path, "/nothing") == 0) {
    reply.status = 204;
    reply.length = 5;
  } else if (strcmp(query.path, "/locked") == 0) {
    reply.status = 429;
    reply.retry_after_s = 60;
  } else if (strcmp(query.path, "/big") == 0) {
    memset(reply.body, 'x', reply.cap);
    reply.length = reply.cap;
  } else {
    memcpy(reply.body, "hello", 5);
    reply.length = 5;
  }
}

int dial(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0) abort();
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

/// Everything the server says until it closes; `turns` bounds the wait. Closed without a word: "".
std::string drain(HttpServer& server, int fd, uint64_t now = 0, int turns = 2000) {
  std::string out;
  char block[4096];
  for (int i = 0; i < turns; ++i) {
    server.poll(now);
    const ssize_t n = recv(fd, block, sizeof block, 0);
    if (n == 0) return out;
    if (n > 0) out.append(block, static_cast<size_t>(n));
    else usleep(500);
  }
  return out + "<open>";
}

std::string ask(HttpServer& server, const std::string& request) {
  const int fd = dial(server.port());
  if (send(fd, request.data(), request.size(), 0) != static_cast<ssize_t>(request.size())) abort();
  const std::string out = drain(server, fd);
  close(fd);
  return out;
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

void test_requests() {
  HttpServer server;
  CHECK(server.open(0, handle, nullptr));
  std::string out = ask(server, "GET / HTTP/1.1\r\nHost: 4.3.2.1:80\r\n\r\n");
  CHECK(g_seen == "GET / [4.3.2.1] ");
  CHECK(has(out, "HTTP/1.1 200 OK\r\n") && has(out, "Content-Length: 5\r\n") && has(out, "\r\n\r\nhello"));
  ask(server, "GET /scan?x=1 HTTP/1.1\r\n\r\n");
  CHECK(g_seen == "GET /scan [] ");
  out = ask(server, "POST /setup HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n{}!trailing");
  CHECK(g_seen == "POST /setup [a] {}!");
  out = ask(server, "GET /away HTTP/1.1\r\n\r\n");
  CHECK(has(out, "302 Found") && has(out, "Location: http://4.3.2.1/\r\n"));
  out = ask(server, "POST /nothing HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  CHECK(has(out, "204 No Content") && out.substr(out.size() - 4) == "\r\n\r\n" && !has(out, "Content-Length"));
  CHECK(has(ask(server, "GET /locked HTTP/1.1\r\n\r\n"), "Retry-After: 60\r\n"));
  out = ask(server, "GET /big HTTP/1.1\r\n\r\n");
  CHECK(out.size() > HttpServer::kReplyMax && out[out.size() - 1] == 'x');
}

void test_refusals() {
  HttpServer server;
  CHECK(server.open(0, handle, nullptr));
  CHECK(has(ask(server, "nonsense\r\n\r\n"), "400 "));
  CHECK(has(ask(server, "GET /\r\n\r\n"), "400 "));
  CHECK(has(ask(server, "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), "400 "));
  CHECK(has(ask(server, "POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n"), "413 "));
  CHECK(has(ask(server, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), "411 "));
  CHECK(has(ask(server, "GET / HTTP/1.1\r\nX: " + std::string(HttpServer::kRequestMax - 19, 'x')), "413 "));
  const std::string body(HttpServer::kRequestMax - 200, 'b');
  g_seen.clear();
  ask(server, "POST /w HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  CHECK(g_seen == "POST /w [] " + body);
}

void test_slow_clients() {
  HttpServer server;
  CHECK(server.open(0, handle, nullptr));
  // More silent connections than there are places do not keep a speaking one out.
  int silent[HttpServer::kClients + 2];
  for (int& fd : silent) {
    fd = dial(server.port());
    server.poll(0);
  }
  CHECK(has(ask(server, "GET / HTTP/1.1\r\n\r\n"), "200 OK"));
  for (const int fd : silent) close(fd);
  // One byte at a time.
  const std::string request = "POST /slow HTTP/1.1\r\nContent-Length: 2\r\n\r\nok";
  int fd = dial(server.port());
  for (const char c : request) {
    if (send(fd, &c, 1, 0) != 1) abort();
    server.poll(1);
  }
  CHECK(has(drain(server, fd, 1), "200 OK"));
  CHECK(g_seen == "POST /slow [] ok");
  close(fd);
  // Half a request is dropped in the end.
  fd = dial(server.port());
  if (send(fd, "GET", 3, 0) != 3) abort();
  for (int i = 0; i < 20; ++i) {
    server.poll(2);
    usleep(500);
  }
  CHECK(drain(server, fd, 3 + HttpServer::kClientMs + 1) == "");
  close(fd);
  CHECK(server.idle());
}

void test_form() {
  char out[16];
  CHECK(form_value("ssid=My+Net%21&password=", "ssid", out, sizeof out) && strcmp(out, "My Net!") == 0);
  CHECK(form_value("ssid=a&password=", "password", out, sizeof out) && out[0] == 0);
  CHECK(!form_value("xssid=a", "ssid", out, sizeof out));
  CHECK(form_value("xssid=a&ssid=b", "ssid", out, sizeof out) && strcmp(out, "b") == 0);
  CHECK(!form_value("ssid=a%2", "ssid", out, sizeof out));
  CHECK(!form_value("ssid=a%zz", "ssid", out, sizeof out));
  CHECK(!form_value("ssid=a%00b", "ssid", out, sizeof out));
  CHECK(!form_value("ssid=0123456789012345", "ssid", out, sizeof out));
  CHECK(form_value("ssid=012345678901234", "ssid", out, sizeof out));
  CHECK(!form_value("", "ssid", out, sizeof out));
}

void test_dns() {
  const uint8_t address[4] = {4, 3, 2, 1};
  uint8_t query[] = {0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'w', 'w', 'w', 1, 'a', 0, 0, 1, 0, 1};
  uint8_t out[512];
  size_t n = CaptiveDns::answer(query, sizeof query, address, out, sizeof out);
  CHECK(n == sizeof query + 16);
  CHECK(out[0] == 0x12 && out[1] == 0x34 && out[2] == 0x85 && out[7] == 1 && memcmp(out + n - 4, address, 4) == 0);
  query[20] = 28;  // AAAA: no address, but an answer
  n = CaptiveDns::answer(query, sizeof query, address, out, sizeof out);
  CHECK(n == sizeof query && out[7] == 0);
  query[20] = 1;
  for (size_t cut = 0; cut < sizeof query; ++cut) CHECK(CaptiveDns::answer(query, cut, address, out, sizeof out) == 0);
  CHECK(CaptiveDns::answer(query, sizeof query, address, out, sizeof query + 15) == 0);
  query[2] = 0x81;  // a response
  CHECK(CaptiveDns::answer(query, sizeof query, address, out, sizeof out) == 0);
  srand(1);
  for (int i = 0; i < 200000; ++i) {
    uint8_t noise[64];
    const size_t length = static_cast<size_t>(rand()) % sizeof noise;
    for (size_t k = 0; k < length; ++k) noise[k] = static_cast<uint8_t>(rand() % (i % 2 ? 256 : 4));
    if (length > 5 && i % 3) noise[2] = noise[4] = 0, noise[5] = 1;
    CHECK(CaptiveDns::answer(noise, length, address, out, sizeof out) <= length + 16);
  }
}

void test_noise() {
  HttpServer server;
  CHECK(server.open(0, handle, nullptr));
  srand(2);
  const char* const words[] = {"GET ", "POST ", "/setup ", "HTTP/1.1", "\r\n", "\r\n\r\n", "Content-Length: ", "7", "999",
                               "Host: ", "x", ":", " ", "?", "{}", "Transfer-Encoding: "};
  for (int i = 0; i < 2000; ++i) {
    std::string request;
    for (int k = rand() % 24; k >= 0; --k) request += words[static_cast<size_t>(rand()) % (sizeof words / sizeof *words)];
    const int fd = dial(server.port());
    if (send(fd, request.data(), request.size(), 0) < 0) abort();
    shutdown(fd, SHUT_WR);
    const std::string out = drain(server, fd);
    CHECK(out.empty() || out.compare(0, 9, "HTTP/1.1 ") == 0);
    close(fd);
  }
}

}  // namespace

int main() {
  test_requests();
  test_refusals();
  test_slow_clients();
  test_form();
  test_dns();
  test_noise();
  printf("shell: http and dns: %d checks, %d failed\n", g_checks, g_failed);
  return g_failed ? 1 : 0;
}
