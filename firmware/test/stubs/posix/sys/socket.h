#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
typedef uint32_t socklen_t;
struct sockaddr {
  uint8_t sa_len, sa_family;
  char sa_data[14];
};
#define AF_INET 2
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOL_SOCKET 0xfff
#define SO_REUSEADDR 0x0004
#define MSG_PEEK 0x01
#define SHUT_WR 1
extern "C" {
int socket(int domain, int type, int protocol);
int bind(int fd, const struct sockaddr* address, socklen_t length);
int listen(int fd, int backlog);
int accept(int fd, struct sockaddr* address, socklen_t* length);
int getsockname(int fd, struct sockaddr* address, socklen_t* length);
int setsockopt(int fd, int level, int option, const void* value, socklen_t length);
ssize_t recv(int fd, void* data, size_t n, int flags);
ssize_t recvfrom(int fd, void* data, size_t n, int flags, struct sockaddr* from, socklen_t* length);
ssize_t send(int fd, const void* data, size_t n, int flags);
ssize_t sendto(int fd, const void* data, size_t n, int flags, const struct sockaddr* to, socklen_t length);
int shutdown(int fd, int how);
}
