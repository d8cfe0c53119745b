// How rapctl ends when it does not end well.
#pragma once

#include <stdexcept>
#include <string>

#include "base/result.hpp"

namespace rap::cli {

// Exit statuses; docs/man/rapctl.1 lists them. A session that ends by itself gives the exit status
// of the remote shell instead.
enum class Exit : int {
  ok = 0,
  error = 1,
  usage = 2,
  unauthorized = 3,
  forbidden = 4,
  not_found = 5,
  conflict = 6,
  unavailable = 7,
  taken_over = 250,
  stream_lost = 251,
  terminated = 252,
  remote_lost = 253,
};

Exit exit_of(Errc code);

// What happened, to which thing; and what to do about it. Thrown anywhere, printed by main.
class Failure : public std::runtime_error {
 public:
  Failure(Exit exit_code, const std::string& what_happened, std::string what_to_do = {})
      : std::runtime_error(what_happened), code(exit_code), todo(std::move(what_to_do)) {}
  // "about: detail".
  Failure(const Error& error, const std::string& about, std::string what_to_do = {})
      : Failure(exit_of(error.code), about + ": " + error.detail, std::move(what_to_do)) {}

  const Exit code;
  const std::string todo;
};

// The value, or its error as a Failure about `about`.
template <typename T>
T require(Result<T> result, const std::string& about) {
  if (!result) throw Failure(result.error(), about);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace rap::cli
