#include "host/agent/state/floor.hpp"

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"

namespace rap::agent {
namespace json = boost::json;

Result<Floor> parse_floor(std::string_view text) {
  auto value = parse_json(text, {.bytes_max = 256 * 1024, .depth_max = 4});
  if (!value) return fail(std::move(value.error()));
  if (!value->is_object()) return fail(Errc::malformed, "want an object");
  const json::object& object = value->get_object();
  Floor out;
  auto term = json_int(object, "authority_term");
  if (!term || *term < 0) return fail(Errc::malformed, "authority_term");
  out.authority_term = *term;
  auto clock = json_int(object, "clock_unix_s");
  if (!clock || *clock < 0) return fail(Errc::malformed, "clock_unix_s");
  out.clock_unix_s = *clock;
  auto epochs = json_object(object, "security_epochs");
  if (!epochs) return fail(Errc::malformed, epochs.error().detail);
  for (const auto& entry : **epochs) {
    if (!entry.value().is_int64() || entry.value().get_int64() < 0) {
      return fail(Errc::malformed, "security_epochs: " + std::string(entry.key()));
    }
    out.security_epochs[std::string(entry.key())] = entry.value().get_int64();
  }
  return out;
}

std::string serialize(const Floor& floor) {
  json::object epochs;
  for (const auto& [product, epoch] : floor.security_epochs) epochs[product] = epoch;
  return json::serialize(json::object{{"format", 1},
                                      {"authority_term", floor.authority_term},
                                      {"clock_unix_s", floor.clock_unix_s},
                                      {"security_epochs", std::move(epochs)}}) +
         "\n";
}

Result<Floor> read_floor(const std::filesystem::path& path) {
  auto text = read_text_file(path, 256 * 1024);
  if (!text && text.error().code == Errc::not_found) return Floor{};
  if (!text) return fail(std::move(text.error()));
  auto floor = parse_floor(*text);
  if (!floor) return fail(floor.error(), path.string());
  return floor;
}

Status write_floor(const std::filesystem::path& path, const Floor& floor) {
  return write_file_atomic(path, serialize(floor), 0600);
}

}  // namespace rap::agent
