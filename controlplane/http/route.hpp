// The routing table: one entry says everything about an operation.
#pragma once

#include <functional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "controlplane/http/call.hpp"
#include "controlplane/http/fields.hpp"
#include "controlplane/http/query.hpp"

namespace rap::cp {

enum class Who { anyone, person, owner, node };

// Runs inside the request's transaction on a database thread, which commits unless it throws. May
// run again from the start.
using TransactionHandler = std::function<Reply(const Call&, Tx&)>;
// Runs on the server's executor, after the caller was authenticated. `call` outlives the task.
using TaskHandler = std::function<net::Task<Reply>(const Call&)>;

// A status that a route may answer, and the body: a shape (http/shapes.hpp), or media types, with a
// space between, whose content has a format of its own. Nothing: no body; from 400 on a Problem.
struct Answer {
  unsigned status = 0;
  std::string_view body = {};
  Answer(unsigned code, std::string_view what = {}) : status(code), body(what) {}
};
inline constexpr std::string_view kJsonMedia = "application/json";
inline constexpr std::string_view kBytesMedia = "application/octet-stream application/json";

// What the server takes at all; and of callers who are not known yet, whose bodies are parsed on
// the event loop: 64 KiB cost it 5 ms. A request to join has some KiB.
inline constexpr std::size_t kBodyMax = 1024 * 1024;
inline constexpr std::size_t kStrangerBodyMax = 64 * 1024;

struct Route {
  std::string_view method;
  std::string_view pattern;  // "/v1/clusters/{id}"; "{path...}" takes the rest, slashes included
  Who who;
  std::string_view summary;
  std::vector<Answer> answers;  // besides those that every route of `who` may give
  std::variant<TransactionHandler, TaskHandler> handler;

  std::vector<Field> body = {};  // of POST, PATCH, PUT; without any, an empty or absent object
  std::vector<QueryParameter> query = {};
  std::size_t body_max = kBodyMax;
  bool creates = false;        // accepts Idempotency-Key
  bool changes_trust = false;  // refused while the authority is not healthy

  // The same, where the table is written: Route{..}.creating().
  Route creating() && {
    creates = true;
    return std::move(*this);
  }
  Route changing_trust() && {
    changes_trust = true;
    return std::move(*this);
  }
  Route from_strangers() && {
    body_max = kStrangerBodyMax;
    return std::move(*this);
  }
};

// Every answer that `route` may give, those of its kind included; sorted by status.
std::vector<Answer> all_answers(const Route& route);

// Finds by method and path. Pure; built once.
class RouteTable {
 public:
  explicit RouteTable(std::vector<Route> routes);

  struct Match {
    const Route* route = nullptr;  // none: see path_known
    bool path_known = false;       // another method exists there
    std::map<std::string, std::string, std::less<>> values;
  };
  // `path` as sent; each segment is percent-decoded. A broken escape matches nothing.
  Match find(std::string_view method, std::string_view path) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
  std::vector<std::vector<std::string>> patterns_;
};

}  // namespace rap::cp
