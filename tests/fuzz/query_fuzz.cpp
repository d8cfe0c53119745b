// What follows '?' in a request to the control plane.
#include <cstdlib>

#include "controlplane/http/query.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using rap::cp::QueryParameter;
  static const std::vector<QueryParameter> known = {
      "limit",
      {"order", "oldest|newest"},
      {"state", "active|closed", QueryParameter::Many::several}};
  rap::net::HttpRequest request;
  request.target = "/v1/things?";
  request.target.append(reinterpret_cast<const char*>(data), size);
  const auto good = rap::cp::check_query(request, known);
  // The refusal goes into a JSON document: short, and nothing but what is printable.
  if (!good && good.error().detail.size() > 300) std::abort();
  if (!good) {
    for (const char c : good.error().detail) {
      if (c < ' ' || c > '~') std::abort();
    }
  }
  const auto order = request.query_parameter("order");
  if (good && order && !order->empty() && *order != "oldest" && *order != "newest") std::abort();
  return 0;
}
