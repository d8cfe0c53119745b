// Refusals of the API: RFC 9457 problem documents.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "base/net/http.hpp"
#include "base/result.hpp"

namespace rap::cp {

struct FieldError {
  std::string pointer;  // RFC 6901, into the request body
  std::string detail;
};

// Thrown by handlers to refuse a request; the transaction is rolled back. `detail` is shown to the
// caller: nothing of another organization, no secrets.
class Problem : public std::exception {
 public:
  Problem(unsigned http_status, std::string problem_code, std::string text)
      : status(http_status), code(std::move(problem_code)), detail(std::move(text)) {}
  explicit Problem(const Error& error);

  const char* what() const noexcept override { return detail.c_str(); }

  unsigned status;
  std::string code;  // an Errc name, or `totp_required`
  std::string detail;
  std::vector<FieldError> errors;
  int retry_after_s = 0;  // 0: no hint
};

unsigned http_status(Errc code);

[[noreturn]] void refuse(Errc code, std::string detail);
// Of everything that does not exist, and of everything that exists for others only.
[[noreturn]] void refuse_not_found();

// The value, or the refusal that its error means.
template <typename T>
T require(Result<T> result) {
  if (!result) throw Problem(result.error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

net::HttpResponse problem_response(const Problem& problem);

}  // namespace rap::cp
