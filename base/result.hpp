// Outcomes that a caller must branch on. Faults (I/O failed, cancelled) are thrown instead;
// docs/style.md says which is which.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace rap {

// What kind of outcome; closed list, never renumbered (it appears in IPC messages by name).
enum class Errc {
  invalid,    // the input breaks its contract
  malformed,  // bytes that do not parse
  too_large,  // over a limit; the detail names the limit
  not_found,
  conflict,      // already exists, or changed meanwhile
  unauthorized,  // who you are is not known
  forbidden,     // who you are may not
  expired,
  bad_signature,  // also: too few valid signatures
  rollback,       // older than what was already trusted
  mismatch,       // two things that must agree do not
  unsupported,
  unavailable,  // try again later
  timeout,
  exhausted,  // out of memory, descriptors, quota, disk
  cancelled,
  internal,
};

// The lower-case name of `code`, as in the enum. Static storage.
std::string_view name(Errc code);

// Inverse of name(); `internal` for a name it does not know.
Errc errc_from_name(std::string_view name);

struct Error {
  Errc code = Errc::internal;
  std::string detail;  // for people; no secrets, nothing of another organization

  // "code: detail"
  std::string text() const;
};

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

// return fail(Errc::too_large, "manifest: 3 MB, at most 1 MB");
[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string detail) {
  return tl::unexpected<Error>(Error{code, std::move(detail)});
}

// Adds where it happened: "context: detail".
[[nodiscard]] inline tl::unexpected<Error> fail(const Error& error, std::string_view context) {
  return fail(error.code, std::string(context) + ": " + error.detail);
}

// Passes an error on unchanged.
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace rap
