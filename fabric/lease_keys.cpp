#include "fabric/lease_keys.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap::fabric {

Result<std::vector<LeaseKey>> lease_keys_from_json(const boost::json::object& object) {
  auto array = json_array(object, "lease_keys");
  if (!array) return fail(array.error());
  if ((*array)->size() > kLeaseKeysMax) return fail(Errc::too_large, "lease_keys: over 16");
  std::vector<LeaseKey> out;
  for (const boost::json::value& value : **array) {
    if (!value.is_object()) return fail(Errc::invalid, "lease_keys: not objects");
    auto kid = json_string(value.get_object(), "kid");
    auto text = json_string(value.get_object(), "public");
    if (!kid || !text) return fail(Errc::invalid, "lease_keys: kid, public");
    auto bytes = from_hex(*text);
    if (!bytes) return fail(bytes.error(), "lease_keys");
    out.push_back(LeaseKey{std::move(*kid), std::move(*bytes)});
  }
  return out;
}

}  // namespace rap::fabric
