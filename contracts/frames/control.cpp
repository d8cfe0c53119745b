#include "contracts/frames/control.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "contracts/frames/frame.hpp"

namespace rap::frames {
namespace {

namespace json = boost::json;

// Names and reasons are short; together they stay far below kControlBytesMax, escapes included.
constexpr std::size_t kTextBytesMax = 1024;

// Cut at a character, not inside one.
std::string_view cut(std::string_view text) {
  if (text.size() <= kTextBytesMax) return text;
  std::size_t end = kTextBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

json::value or_null(const std::optional<std::string>& text) {
  if (!text) return nullptr;
  return json::value(cut(*text));
}

json::object fields(const Hello& m) {
  return {{"type", "hello"},
          {"version", m.version},
          {"cols", m.cols},
          {"rows", m.rows},
          {"term", cut(m.term)}};
}
json::object fields(const Resize& m) {
  return {{"type", "resize"}, {"cols", m.cols}, {"rows", m.rows}};
}
json::object fields(const Detach&) {
  return {{"type", "detach"}};
}
json::object fields(const Ping& m) {
  return {{"type", "ping"}, {"id", m.id}};
}
json::object fields(const Repaint&) {
  return {{"type", "repaint"}};
}
json::object fields(const Welcome& m) {
  return {{"type", "welcome"},
          {"session_id", cut(m.session_id)},
          {"attach_id", cut(m.attach_id)},
          {"mode", cut(m.mode)},
          {"state", cut(m.state)},
          {"controller", or_null(m.controller)},
          {"cols", m.cols},
          {"rows", m.rows},
          {"repaints", m.repaints}};
}
json::object fields(const ControllerChanged& m) {
  return {{"type", "controller"}, {"name", or_null(m.name)}, {"at", cut(m.at)}};
}
json::object fields(const TakenOver& m) {
  json::object out = {{"type", "taken_over"}, {"by", cut(m.by)}, {"at", cut(m.at)}};
  if (!m.from.empty()) out["from"] = cut(m.from);
  return out;
}
json::object fields(const StateChanged& m) {
  return {{"type", "state"}, {"state", cut(m.state)}, {"detail", cut(m.detail)}};
}
json::object fields(const Closed& m) {
  json::object out = {{"type", "closed"},
                      {"reason", cut(m.reason)},
                      {"exit_status", nullptr},
                      {"detail", cut(m.detail)}};
  if (m.exit_status) out["exit_status"] = *m.exit_status;
  return out;
}
json::object fields(const ErrorMessage& m) {
  return {{"type", "error"}, {"code", cut(m.code)}, {"detail", cut(m.detail)}};
}
json::object fields(const Pong& m) {
  return {{"type", "pong"}, {"id", m.id}};
}

template <typename Variant>
std::string serialize_any(const Variant& message) {
  return std::visit([](const auto& m) { return json::serialize(fields(m)); }, message);
}

// Collects the first error, so that a message reads as a list of its members.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  std::string text(std::string_view key) {
    auto value = json_string(object_, key);
    if (value) return *std::move(value);
    note(value.error());
    return {};
  }
  std::optional<std::string> text_or_none(std::string_view key) {
    return json_string_or_none(object_, key);
  }
  std::int64_t number(std::string_view key) {
    auto value = json_int(object_, key);
    if (value) return *value;
    note(value.error());
    return 0;
  }
  std::optional<std::int64_t> number_or_none(std::string_view key) {
    return json_int_or_none(object_, key);
  }
  bool flag_or_no(std::string_view key) { return json_bool(object_, key).value_or(false); }
  std::uint32_t size(std::string_view key) {
    const std::int64_t value = number(key);
    if (value >= 1 && value <= std::int64_t{kSizeMax}) return static_cast<std::uint32_t>(value);
    note({Errc::invalid, std::string(key) + ": 1.." + std::to_string(kSizeMax)});
    return 1;
  }
  void note(const Error& error) {
    if (!error_) error_ = error;
  }
  template <typename Message>
  Result<Message> finish(Message message) {
    if (error_) return fail(*error_);
    return message;
  }

 private:
  const json::object& object_;
  std::optional<Error> error_;
};

bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// The object of a control message and its type.
struct Typed {
  json::value value;
  std::string type;
};

Result<Typed> parse_typed(std::string_view text) {
  // Depth 4: messages are flat; a little room for members of later versions.
  JsonLimits limits{.bytes_max = kControlBytesMax, .depth_max = 4};
  auto value = parse_json(text, limits);
  if (!value) return fail(value.error(), "control message");
  if (!value->is_object()) return fail(Errc::malformed, "control message: not an object");
  auto type = json_string(value->as_object(), "type");
  if (!type) return fail(type.error(), "control message");
  return Typed{*std::move(value), *std::move(type)};
}

Error unknown_type(const std::string& type) {
  return {Errc::unsupported, "control message of unknown type " + type.substr(0, 40)};
}

Hello read_hello(Reader& in) {
  Hello out;
  const std::int64_t version = in.number("version");
  if (version != kProtocolVersion) in.note({Errc::unsupported, "version: only 1 is spoken here"});
  out.cols = in.size("cols");
  out.rows = in.size("rows");
  out.term = in.text("term");
  if (out.term.size() > kTermCharactersMax || !printable(out.term)) {
    in.note({Errc::invalid, "term: at most 32 printable characters"});
  }
  return out;
}

Welcome read_welcome(Reader& in) {
  Welcome out;
  out.session_id = in.text("session_id");
  out.attach_id = in.text("attach_id");
  out.mode = in.text("mode");
  if (out.mode != "control" && out.mode != "view") in.note({Errc::invalid, "mode"});
  out.state = in.text("state");
  out.controller = in.text_or_none("controller");
  out.cols = in.size("cols");
  out.rows = in.size("rows");
  out.repaints = in.flag_or_no("repaints");
  return out;
}

}  // namespace

std::string to_json(const ClientMessage& message) {
  return serialize_any(message);
}
std::string to_json(const HubMessage& message) {
  return serialize_any(message);
}

Result<ClientMessage> parse_client_message(std::string_view text) {
  auto typed = parse_typed(text);
  if (!typed) return fail(typed.error());
  Reader in(typed->value.as_object());
  const std::string& type = typed->type;
  if (type == "hello") return in.finish<ClientMessage>(read_hello(in));
  if (type == "resize") {
    const std::uint32_t cols = in.size("cols");
    return in.finish<ClientMessage>(Resize{cols, in.size("rows")});
  }
  if (type == "detach") return in.finish<ClientMessage>(Detach{});
  if (type == "ping") return in.finish<ClientMessage>(Ping{in.number("id")});
  if (type == "repaint") return in.finish<ClientMessage>(Repaint{});
  return fail(unknown_type(type));
}

Result<HubMessage> parse_hub_message(std::string_view text) {
  auto typed = parse_typed(text);
  if (!typed) return fail(typed.error());
  Reader in(typed->value.as_object());
  const std::string& type = typed->type;
  if (type == "welcome") return in.finish<HubMessage>(read_welcome(in));
  if (type == "controller") {
    auto name = in.text_or_none("name");
    return in.finish<HubMessage>(ControllerChanged{std::move(name), in.text("at")});
  }
  if (type == "taken_over") {
    std::string by = in.text("by");
    TakenOver out{std::move(by), in.text("at"), in.text_or_none("from").value_or("")};
    return in.finish<HubMessage>(std::move(out));
  }
  if (type == "state") {
    std::string state = in.text("state");
    return in.finish<HubMessage>(StateChanged{std::move(state), in.text("detail")});
  }
  if (type == "closed") {
    Closed out{in.text("reason"), in.number_or_none("exit_status"), in.text("detail")};
    return in.finish<HubMessage>(std::move(out));
  }
  if (type == "error") {
    std::string code = in.text("code");
    return in.finish<HubMessage>(ErrorMessage{std::move(code), in.text("detail")});
  }
  if (type == "pong") return in.finish<HubMessage>(Pong{in.number("id")});
  return fail(unknown_type(type));
}

}  // namespace rap::frames
