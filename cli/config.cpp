#include "cli/config.hpp"

#include <sys/stat.h>

#include <cstdlib>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"

namespace rap::cli {
namespace {

constexpr std::size_t kFileBytesMax = 256 * 1024;  // a bundle of CAs fits

std::filesystem::path file_in(const std::filesystem::path& dir) {
  return dir / "context.json";
}

}  // namespace

std::filesystem::path config_dir() {
  if (const char* dir = std::getenv("RAP_CONFIG_DIR"); dir && *dir) return dir;
  if (const char* dir = std::getenv("XDG_CONFIG_HOME"); dir && *dir) {
    return std::filesystem::path(dir) / "rap";
  }
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home && *home ? home : "/") / ".config" / "rap";
}

Result<Context> load_context(const std::filesystem::path& dir) {
  const auto text = read_text_file(file_in(dir), kFileBytesMax);
  if (!text && text.error().code == Errc::not_found) return Context{};
  if (!text) return fail(text.error());  // names the file
  const auto value = parse_json(*text, {kFileBytesMax, 4});
  if (!value) return fail(value.error(), file_in(dir).string());
  if (!value->is_object()) return fail(Errc::malformed, file_in(dir).string() + ": not an object");
  const auto get = [&](std::string_view key) {
    return json_string_or_none(value->get_object(), key).value_or("");
  };
  return Context{get("server"), get("ca_pem"), get("ca_pin"),
                 get("token"),  get("login"),  get("expires_at")};
}

Status save_context(const std::filesystem::path& dir, const Context& context) {
  std::error_code error;
  std::filesystem::create_directories(dir.parent_path(), error);
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Errc::internal, dir.string() + ": " + errno_text(errno));
  }
  const boost::json::object object{{"server", context.server}, {"ca_pem", context.ca_pem},
                                   {"ca_pin", context.ca_pin}, {"token", context.token},
                                   {"login", context.login},   {"expires_at", context.expires_at}};
  return write_file_atomic(file_in(dir), boost::json::serialize(object) + "\n", 0600);
}

}  // namespace rap::cli
