// The one exception of base/net.
#pragma once

#include <stdexcept>
#include <string>

#include "base/result.hpp"

namespace rap::net {

// Everything that awaits I/O in base/net throws this, so that callers that must branch can:
//   unavailable   nobody there, connection refused, reset, closed in the middle
//   timeout       a deadline passed
//   unauthorized  the peer's certificate, or ours in the peer's eyes, is not accepted
//   mismatch      the certificate is valid but for another name or another cluster
//   expired       a certificate is outside its validity
//   malformed     the peer does not speak the protocol
//   too_large     a limit was reached
//   cancelled     close() or cancellation of the task
// Parsers and verifiers return Result instead.
class NetError : public std::runtime_error {
 public:
  NetError(Errc code, std::string detail)
      : std::runtime_error(std::string(name(code)) + ": " + detail),
        error_{code, std::move(detail)} {}
  explicit NetError(Error error) : std::runtime_error(error.text()), error_(std::move(error)) {}

  Errc code() const { return error_.code; }
  const std::string& detail() const { return error_.detail; }
  const Error& error() const { return error_; }

 private:
  Error error_;
};

}  // namespace rap::net
