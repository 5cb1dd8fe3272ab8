#include "tls_mbedtls.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <new>

#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

namespace magicpi {

struct TlsTransport::Context {
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  mbedtls_x509_crt ca;
  int fd;
  Platform* platform;
  bool offered_session;
  bool saw_certificate;

  Context() {
    mbedtls_ssl_init(&ssl);
    mbedtls_ssl_config_init(&config);
    mbedtls_x509_crt_init(&ca);
  }
  ~Context() {
    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&config);
    mbedtls_x509_crt_free(&ca);
  }
};

namespace {

// Forward secrecy and AES-GCM only; both key types, because the listener may carry either.
const int kSuites[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                       MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, 0};

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int random_bytes(void* platform, unsigned char* out, size_t n) {
  static_cast<Platform*>(platform)->random(out, n);
  return 0;
}

int send_bytes(void* fd, const unsigned char* data, size_t n) {
  const ssize_t sent = ::send(*static_cast<int*>(fd), data, n, MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<int>(sent);
  return would_block() ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_NET_SEND_FAILED;
}

int receive_bytes(void* fd, unsigned char* data, size_t n) {
  const ssize_t got = ::recv(*static_cast<int*>(fd), data, n, 0);
  if (got >= 0) return static_cast<int>(got);
  return would_block() ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_NET_RECV_FAILED;
}

/// Full handshakes come by here, resumed ones do not: that tells them apart without private fields.
/// Dates are not judged: a camera has no clock at wake, and the ESP32 build of mbedTLS does not look at them either.
int verify(void* saw_certificate, mbedtls_x509_crt*, int, uint32_t* flags) {
  *static_cast<bool*>(saw_certificate) = true;
  *flags &= ~static_cast<uint32_t>(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
  return 0;
}

}  // namespace

TlsTransport::TlsTransport(Platform& platform) : platform_(platform) {}

TlsTransport::~TlsTransport() { close(); }

void TlsTransport::release() {
  delete context_;
  context_ = nullptr;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  pending_write_ = 0;
}

bool TlsTransport::fail(IoError error, int code) {
  release();
  status_ = IoStatus::Failed;
  error_ = error;
  mbedtls_error_ = code;
  return false;
}

bool TlsTransport::dial(const Dial& d) {
  release();
  error_ = IoError::None;
  mbedtls_error_ = 0;
  resumed_ = false;
  if (!d.server_name || !d.server_name[0] || !d.ca_pem) return fail(IoError::Address, 0);

  context_ = new (std::nothrow) Context;
  if (!context_) return fail(IoError::Memory, 0);
  Context& c = *context_;
  c.platform = &platform_;
  c.offered_session = c.saw_certificate = false;
  int code = mbedtls_x509_crt_parse(&c.ca, reinterpret_cast<const unsigned char*>(d.ca_pem), strlen(d.ca_pem) + 1);
  if (code != 0) return fail(IoError::Certificate, code);
  code = mbedtls_ssl_config_defaults(&c.config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                     MBEDTLS_SSL_PRESET_DEFAULT);
  if (code != 0) return fail(IoError::Memory, code);
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
  mbedtls_ssl_conf_min_tls_version(&c.config, MBEDTLS_SSL_VERSION_TLS1_2);
  mbedtls_ssl_conf_max_tls_version(&c.config, MBEDTLS_SSL_VERSION_TLS1_2);
#else
  mbedtls_ssl_conf_min_version(&c.config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
  mbedtls_ssl_conf_max_version(&c.config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
  mbedtls_ssl_conf_authmode(&c.config, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_ca_chain(&c.config, &c.ca, nullptr);
  mbedtls_ssl_conf_verify(&c.config, verify, &c.saw_certificate);
  mbedtls_ssl_conf_rng(&c.config, random_bytes, &platform_);
  mbedtls_ssl_conf_ciphersuites(&c.config, kSuites);
#if defined(MBEDTLS_SSL_SESSION_TICKETS)
  mbedtls_ssl_conf_session_tickets(&c.config, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
#endif
  code = mbedtls_ssl_setup(&c.ssl, &c.config);
  if (code == 0) code = mbedtls_ssl_set_hostname(&c.ssl, d.server_name);
  if (code != 0) return fail(IoError::Memory, code);
  if (d.session && d.session_len) {
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    // One that cannot be read (another build wrote it) only costs a full handshake.
    if (mbedtls_ssl_session_load(&session, d.session, d.session_len) == 0) {
      c.offered_session = mbedtls_ssl_set_session(&c.ssl, &session) == 0;
    }
    mbedtls_ssl_session_free(&session);
  }

  char port[6];
  size_t n = sizeof port - 1;
  port[n] = 0;
  for (unsigned v = d.port; v || n == sizeof port - 1; v /= 10) port[--n] = static_cast<char>('0' + v % 10);
  struct addrinfo hints;
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  struct addrinfo* found = nullptr;
  int rc = getaddrinfo(d.host, port + n, &hints, &found);
  if (rc != 0) {
    hints.ai_flags = 0;
    rc = getaddrinfo(d.host, port + n, &hints, &found);
  }
  if (rc != 0 || !found) return fail(IoError::Address, rc);
  fd_ = ::socket(found->ai_family, SOCK_STREAM, 0);
  if (fd_ < 0) {
    freeaddrinfo(found);
    return fail(IoError::Memory, errno);
  }
  fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL, 0) | O_NONBLOCK);
  int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  // A deep kernel buffer hides a stall: frames would count as sent that nobody took. (lwIP has its own small one.)
  int buffer = 32768;
  setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  rc = ::connect(fd_, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  if (rc != 0 && errno != EINPROGRESS) {
    return fail(errno == ECONNREFUSED ? IoError::Refused : IoError::Address, errno);
  }
  c.fd = fd_;
  mbedtls_ssl_set_bio(&c.ssl, &c.fd, send_bytes, receive_bytes, nullptr);
  status_ = IoStatus::Connecting;
  return true;
}

IoStatus TlsTransport::poll() {
  if (status_ == IoStatus::Connecting) {
    fd_set writable;
    FD_ZERO(&writable);
    FD_SET(fd_, &writable);
    struct timeval none = {0, 0};
    if (::select(fd_ + 1, nullptr, &writable, nullptr, &none) <= 0) return status_;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
      fail(error == ECONNREFUSED ? IoError::Refused : IoError::Timeout, error);
      return status_;
    }
    status_ = IoStatus::Handshaking;
  }
  if (status_ == IoStatus::Handshaking) {
    const int code = mbedtls_ssl_handshake(&context_->ssl);
    if (code == 0) {
      // Belt and braces: VERIFY_REQUIRED has already failed the handshake otherwise.
      const uint32_t flags = mbedtls_ssl_get_verify_result(&context_->ssl);
      resumed_ = context_->offered_session && !context_->saw_certificate;
      if (!resumed_ && flags != 0) {
        fail(IoError::Certificate, static_cast<int>(flags));
        return status_;
      }
      status_ = IoStatus::Open;
    } else if (code != MBEDTLS_ERR_SSL_WANT_READ && code != MBEDTLS_ERR_SSL_WANT_WRITE) {
      fail(code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED ? IoError::Certificate : IoError::Handshake, code);
    }
  }
  return status_;
}

int TlsTransport::write(const uint8_t* data, size_t n) {
  if (status_ != IoStatus::Open) return -1;
  // mbedTLS has taken these bytes into a record already and wants to hear the same length again.
  if (pending_write_ && pending_write_ < n) n = pending_write_;
  const int code = mbedtls_ssl_write(&context_->ssl, data, n);
  if (code > 0) {
    pending_write_ = 0;
    return code;
  }
  if (code == MBEDTLS_ERR_SSL_WANT_WRITE || code == MBEDTLS_ERR_SSL_WANT_READ) {
    pending_write_ = n;
    return 0;
  }
  fail(IoError::Reset, code);
  return -1;
}

int TlsTransport::read(uint8_t* data, size_t n) {
  if (status_ != IoStatus::Open) return -1;
  const int code = mbedtls_ssl_read(&context_->ssl, data, n);
  if (code > 0) return code;
  if (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE) return 0;
  fail(code == 0 || code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ? IoError::Closed : IoError::Reset, code);
  return -1;
}

size_t TlsTransport::save_session(uint8_t* out, size_t cap) {
  if (status_ != IoStatus::Open) return 0;
  mbedtls_ssl_session session;
  mbedtls_ssl_session_init(&session);
  size_t n = 0;
  if (mbedtls_ssl_get_session(&context_->ssl, &session) != 0 ||
      mbedtls_ssl_session_save(&session, out, cap, &n) != 0) {
    n = 0;
  }
  mbedtls_ssl_session_free(&session);
  return n <= cap ? n : 0;
}

void TlsTransport::close() {
  if (status_ == IoStatus::Open && context_) mbedtls_ssl_close_notify(&context_->ssl);
  release();
  status_ = IoStatus::Idle;
}

}  // namespace magicpi
