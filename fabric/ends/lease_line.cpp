#include "fabric/ends/lease_line.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/net/net_error.hpp"
#include "fabric/names.hpp"

namespace rap::fabric {

namespace {

namespace json = boost::json;

Result<json::object> parse_line(std::string_view line, std::size_t bytes_max) {
  JsonLimits limits;
  limits.bytes_max = bytes_max;
  limits.depth_max = 2;
  auto value = parse_json(line, limits);
  if (!value) return fail(value.error());
  if (!value->is_object()) return fail(Errc::malformed, "not an object");
  return std::move(value->get_object());
}

}  // namespace

std::string lease_line(std::string_view lease) {
  json::object object;
  object["lease"] = lease;
  return json::serialize(object) + "\n";
}

std::string answer_line(const Status& answer) {
  json::object object;
  object["ok"] = answer.has_value();
  if (!answer) {
    object["code"] = name(answer.error().code);
    object["detail"] = header_safe(answer.error().detail);
  }
  return json::serialize(object) + "\n";
}

Result<std::string> parse_lease_line(std::string_view line) {
  const auto object = parse_line(line, kLeaseLineMax);
  if (!object) return fail(object.error(), "lease line");
  auto lease = json_string(*object, "lease");
  if (!lease || object->size() != 1) return fail(Errc::malformed, "lease line");
  return lease;
}

Status parse_answer_line(std::string_view line) {
  const auto object = parse_line(line, kAnswerLineMax);
  if (!object) return fail(Errc::malformed, "the service's answer");
  const auto ok = json_bool(*object, "ok");
  if (!ok) return fail(Errc::malformed, "the service's answer");
  if (*ok) return {};
  const auto code = json_string(*object, "code");
  const auto detail = json_string(*object, "detail");
  if (!code || !detail) return fail(Errc::malformed, "the service's answer");
  return fail(errc_from_name(*code), header_safe(*detail));
}

net::Task<std::string> read_line(net::ByteStream& stream, std::size_t bytes_max) {
  std::string out;
  for (;;) {
    std::uint8_t byte = 0;
    const std::size_t n = co_await stream.read_some(std::span(&byte, 1));
    if (n == 0) throw net::NetError(Errc::unavailable, "the stream ended before its first line");
    if (byte == '\n') co_return out;
    if (out.size() == bytes_max) throw net::NetError(Errc::too_large, "first line");
    out.push_back(static_cast<char>(byte));
  }
}

}  // namespace rap::fabric
