// TLS over BSD sockets with mbedTLS: the same file on the ESP32 (lwIP, mbedTLS 3.x) and on Linux (2.28).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../core/platform.h"

namespace magicpi {

/// One TLS connection. The handshake verifies the chain against the pinned CA and the certificate's DNS name against
/// Dial::server_name; dates are not judged, because a camera has no clock at wake. Heap: about 45 KB while open.
class TlsTransport final : public Transport {
 public:
  /// Random bytes come from Platform::random().
  explicit TlsTransport(Platform& platform);
  ~TlsTransport();
  TlsTransport(const TlsTransport&) = delete;
  TlsTransport& operator=(const TlsTransport&) = delete;

  bool dial(const Dial& dial) override;
  IoStatus poll() override;
  IoError error() const override { return error_; }
  int write(const uint8_t* data, size_t n) override;
  int read(uint8_t* data, size_t n) override;
  size_t save_session(uint8_t* out, size_t cap) override;
  bool resumed() const override { return resumed_; }
  void close() override;

  /// mbedTLS's own number of the last failure, for the log; 0 if none.
  int last_error() const { return mbedtls_error_; }
  /// Socket, -1 when closed: for a select() in the shell.
  int fd() const { return fd_; }

 private:
  struct Context;
  bool fail(IoError error, int code);
  void release();

  Platform& platform_;
  Context* context_ = nullptr;
  int fd_ = -1;
  size_t pending_write_ = 0;
  IoStatus status_ = IoStatus::Idle;
  IoError error_ = IoError::None;
  int mbedtls_error_ = 0;
  bool resumed_ = false;
};

}  // namespace magicpi
