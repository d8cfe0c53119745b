#include "options.hpp"

#include <algorithm>
#include <initializer_list>

// Boost.JSON compiled into this file, so that the plugin needs no further library.
#include <boost/json/src.hpp>
#include <rap/rap.hpp>

namespace rap::ssh {
namespace {

namespace json = boost::json;

constexpr std::size_t kJsonBytesMax = 64 * 1024;  // 32 RSA-16384 keys fit
constexpr std::size_t kUserBytesMax = 64;         // utmp holds 32; directories know longer ones
constexpr std::size_t kKnownHostsMax = 32;        // a target has three keys, while rotating six
constexpr std::size_t kKeyBytesMax = 4096;        // RSA-16384 is 2,800
constexpr std::int64_t kKeepaliveMax = 3600;      // longer than every NAT forgets

[[noreturn]] void refuse(const std::string& pointer, const std::string& why) {
  throw Failure(RAP_E_CONFIG, pointer + ": " + why);
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

std::string user_of(const json::object& object) {
  const json::value* user = object.if_contains("user");
  if (!user) refuse("/user", "missing: the account to log in as");
  const json::string* text = user->if_string();
  if (!text || text->empty() || text->size() > kUserBytesMax || !is_printable(*text)) {
    refuse("/user", "must be 1 to 64 printable characters");
  }
  return std::string(*text);
}

AuthMethod auth_of(const json::object& object) {
  const json::value* auth = object.if_contains("auth");
  const json::string* text = auth ? auth->if_string() : nullptr;
  if (text && *text == "password") return AuthMethod::password;
  if (text && *text == "publickey") return AuthMethod::public_key;
  refuse("/auth", R"(must be "password" or "publickey")");
}

std::vector<std::string> known_hosts_of(const json::object& object) {
  const json::value* list = object.if_contains("known_hosts");
  const json::array* items = list ? list->if_array() : nullptr;
  if (!items || items->empty()) {
    refuse("/known_hosts",
           "must list at least one host key of the target, as ssh-keyscan prints it without the "
           "host name: a key that nobody listed is never trusted");
  }
  if (items->size() > kKnownHostsMax) refuse("/known_hosts", "at most 32 keys");
  std::vector<std::string> out;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const json::string* text = (*items)[i].if_string();
    if (!text || text->empty() || text->size() > kKeyBytesMax || !is_printable(*text)) {
      refuse("/known_hosts/" + std::to_string(i), "must be one line: type, space, base64");
    }
    out.emplace_back(*text);
  }
  return out;
}

std::uint32_t keepalive_of(const json::object& object) {
  const json::value* value = object.if_contains("keepalive_s");
  if (!value) return Options{}.keepalive_s;
  if (!value->is_int64() || value->get_int64() < 0 || value->get_int64() > kKeepaliveMax) {
    refuse("/keepalive_s", "must be 0 to 3600 seconds");
  }
  return static_cast<std::uint32_t>(value->get_int64());
}

void refuse_host_ca(const json::object& object) {
  const json::value* value = object.if_contains("host_ca");
  if (!value || value->is_null()) return;
  const json::array* items = value->if_array();
  if (items && items->empty()) return;
  refuse("/host_ca",
         "host certificates are not supported by this release (libssh 0.10 does not negotiate "
         "them); list the host's own keys in known_hosts");
}

}  // namespace

const char kConfigSchema[] = R"({
"$schema":"https://json-schema.org/draft/2020-12/schema",
"type":"object","additionalProperties":false,"properties":{},
"$defs":{"session":{
"type":"object","additionalProperties":false,"required":["user","auth","known_hosts"],
"properties":{
"user":{"type":"string","minLength":1,"maxLength":64},
"auth":{"enum":["password","publickey"]},
"known_hosts":{"type":"array","minItems":1,"maxItems":32,"items":{"type":"string","minLength":1,"maxLength":4096}},
"host_ca":{"type":"array","maxItems":0},
"keepalive_s":{"type":"integer","minimum":0,"maximum":3600}
}}}})";

Options parse_options(std::string_view text) {
  if (text.size() > kJsonBytesMax) refuse("", "over 64 KiB");
  json::parse_options strict;
  strict.max_depth = 4;
  boost::system::error_code error;
  const json::value document =
      json::parse({text.data(), text.size()}, error, json::storage_ptr{}, strict);
  if (error) refuse("", "not JSON: " + error.message());
  const json::object* object = document.if_object();
  if (!object) refuse("", "must be an object");

  const std::initializer_list<std::string_view> known = {"user", "auth", "known_hosts", "host_ca",
                                                         "keepalive_s"};
  for (const auto& member : *object) {
    const std::string_view key(member.key());
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      refuse("/" + std::string(key.substr(0, 64)), "no such option");
    }
  }
  refuse_host_ca(*object);
  Options out;
  out.user = user_of(*object);
  out.auth = auth_of(*object);
  out.known_hosts = known_hosts_of(*object);
  out.keepalive_s = keepalive_of(*object);
  return out;
}

}  // namespace rap::ssh
