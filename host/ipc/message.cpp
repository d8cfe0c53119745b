#include "host/ipc/message.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/secret.hpp"

namespace rap::ipc {
namespace json = boost::json;

Result<Message> parse_message(Packet packet) {
  JsonLimits limits{.bytes_max = kMessageBytesMax, .depth_max = 16};
  auto value = parse_json(packet.text, limits);
  wipe(packet.text);  // it may have held a secret
  if (!value) return fail(value.error(), "message");
  if (!value->is_object()) return fail(Errc::malformed, "message: not an object");
  Message out;
  auto body = std::make_shared<json::object>(std::move(value->as_object()));
  out.op = json_string_or_none(*body, "op").value_or("");
  out.id = json_int_or_none(*body, "id");
  if (out.op.empty() && !out.id) return fail(Errc::malformed, "message without op and id");
  out.body = std::move(body);
  out.fds = std::move(packet.fds);
  return out;
}

Result<Message> outcome(Message answer) {
  auto ok = json_bool(*answer.body, "ok");
  if (!ok) return fail(ok.error(), "answer");
  if (*ok) return answer;
  return fail(errc_from_name(json_string_or_none(*answer.body, "code").value_or("")),
              json_string_or_none(*answer.body, "detail").value_or(""));
}

std::string answer_text(std::int64_t id, const json::object& members) {
  // Spliced as text: a copy of the members would leave a secret's value behind in memory.
  std::string rest = json::serialize(members);
  std::string out = "{\"id\":" + std::to_string(id) + ",\"ok\":true";
  out.reserve(out.size() + rest.size());
  if (!members.empty()) out += ",";
  out += std::string_view(rest).substr(1);
  wipe(rest);
  return out;
}

std::string refusal_text(std::int64_t id, const Error& error) {
  json::object out = {
      {"id", id}, {"ok", false}, {"code", name(error.code)}, {"detail", error.detail}};
  return json::serialize(out);
}

}  // namespace rap::ipc
