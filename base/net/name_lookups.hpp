// Names to addresses, so that one name whose servers do not answer delays nobody else: Asio 1.81
// looks up one name after the other and cannot be interrupted.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/net/task.hpp"
#include "base/result.hpp"

namespace rap::net {

// At once, in the process of one loop; each has a thread. A lookup that nobody waits for any more
// goes on until the system's resolver gives up (some 10 s), so this also bounds those.
inline constexpr std::size_t kLookupsMax = 32;

// One executor, the lookups on threads of their own. The threads may outlive it.
class NameLookups {
 public:
  // Addresses as text; `unavailable` when there are none. Called on any thread; may take long.
  using Function = std::function<Result<std::vector<std::string>>(const std::string& host)>;

  explicit NameLookups(asio::any_io_executor executor, Function function = system_lookup);
  ~NameLookups();
  NameLookups(const NameLookups&) = delete;
  NameLookups& operator=(const NameLookups&) = delete;

  // `share`: whoever asks; each has one lookup at a time, the next waits for its turn. Throws
  // NetError `unavailable`. Cancelled it ends at once.
  Task<std::vector<std::string>> find(std::string host, std::string share);

  // Those that run, waited for or not.
  std::size_t running() const;

  // getaddrinfo.
  static Result<std::vector<std::string>> system_lookup(const std::string& host);

  // The one of the context of `executor`, which lives as long as that.
  static NameLookups& of(const asio::any_io_executor& executor);

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the threads
};

}  // namespace rap::net
