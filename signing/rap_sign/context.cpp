#include "signing/rap_sign/context.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/file.hpp"
#include "base/json.hpp"

namespace rap::sign {
namespace {

namespace json = boost::json;

constexpr std::size_t kPassphraseMax = 4096;

Result<Secret> ask_terminal() {
  if (::isatty(STDIN_FILENO) == 0) {
    return fail(Errc::invalid, "no passphrase: give --passphrase-file or set RAP_PASSPHRASE_FILE");
  }
  termios before{};
  ::tcgetattr(STDIN_FILENO, &before);
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  std::cerr << "Passphrase of the signing keys: " << std::flush;
  std::string line;
  std::getline(std::cin, line);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  std::cerr << "\n";
  Secret secret{std::string_view(line)};
  wipe(line);
  return secret;
}

std::string short_id(const std::string& id) {
  return id.substr(0, 16);
}

// What a holder reads may be a stranger's file: nothing in it steers the terminal.
std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return out;
}

Status print_draft(const std::string& role, const Draft& draft) {
  auto canonical = draft.canonical();
  if (!canonical) return fail(canonical.error(), role);
  fmt::print(stderr, "  {} version {}, expires {}\n    sha256 {}\n", role, draft.version(),
             printable(json_string_or_none(draft.body(), "expires").value_or("?")),
             to_hex(sha256(*canonical)));
  if (auto roles = json_object(draft.body(), "roles")) {
    for (const auto& [name, value] : **roles) {
      const json::array& keys = value.as_object().at("keyids").as_array();
      fmt::print(stderr, "    {}: {} of {} keys\n", printable({name.data(), name.size()}),
                 value.as_object().at("threshold").as_int64(), keys.size());
      for (const json::value& key : keys) {
        fmt::print(stderr, "      key {}\n", printable(key.as_string()));
      }
    }
  }
  if (auto targets = json_object(draft.body(), "targets")) {
    for (const auto& [path, value] : **targets) {
      fmt::print(stderr, "    {} {} bytes, sha256 {}\n", std::string_view(path.data(), path.size()),
                 value.as_object().at("length").as_int64(),
                 std::string(value.at("hashes").at("sha256").as_string()));
    }
  }
  if (auto delegations = json_object(draft.body(), "delegations")) {
    for (const json::value& value : (*delegations)->at("roles").as_array()) {
      fmt::print(stderr, "    delegates {} to {}, {} of {} keys\n",
                 json::serialize(value.at("paths")), std::string(value.at("name").as_string()),
                 value.at("threshold").as_int64(), value.at("keyids").as_array().size());
    }
  }
  for (const auto& [key_id, signature] : draft.signatures()) {
    fmt::print(stderr, "    signed by {}\n", printable(short_id(key_id)));
  }
  return {};
}

}  // namespace

Result<Secret> read_passphrase_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 077) != 0) {
    return fail(Errc::forbidden, path + ": others may read it; want mode 0600");
  }
  auto text = read_text_file(path, kPassphraseMax);
  if (!text) return fail(std::move(text.error()));
  std::string_view view = *text;
  if (view.ends_with('\n')) view.remove_suffix(1);
  if (view.ends_with('\r')) view.remove_suffix(1);
  Secret secret{view};
  wipe(*text);
  return secret;
}

KeyStore Context::key_store() const {
  std::string file = passphrase_file;
  if (const char* name = std::getenv("RAP_PASSPHRASE_FILE"); file.empty() && name != nullptr) {
    file = name;
  }
  return KeyStore(keys, [file]() -> Result<Secret> {
    return file.empty() ? ask_terminal() : read_passphrase_file(file);
  });
}

Status confirm(const Context& context, const std::map<std::string, Draft>& drafts,
               const std::string& purpose) {
  fmt::print(stderr, "{}. This will be signed:\n", purpose);
  for (const auto& [role, draft] : drafts) {
    if (auto status = print_draft(role, draft); !status) return status;
  }
  if (context.yes) return {};
  if (::isatty(STDIN_FILENO) == 0) return fail(Errc::cancelled, "nobody to ask; give --yes");
  std::cerr << "Sign? Type yes: " << std::flush;
  std::string reply;
  std::getline(std::cin, reply);
  if (reply != "yes") return fail(Errc::cancelled, "nothing was signed");
  return {};
}

Status sign_and_publish(const Context& context, Change& change, KeyStore& store,
                        const std::string& purpose) {
  if (auto status = confirm(context, change.drafts(), purpose); !status) return status;
  if (auto status = change.sign(store); !status) return status;
  auto missing = change.missing();
  if (!missing) return fail(std::move(missing.error()));
  if (missing->empty()) {
    json::array published;
    if (auto status = change.publish(store); !status) return status;
    std::string text = "Published:";
    for (const auto& [role, draft] : change.drafts()) {
      published.push_back(json::object{{"role", role}, {"version", draft.version()}});
      text += fmt::format(" {} {}", role, draft.version());
    }
    answer(context, text, {{"state", "published"}, {"published", published}});
    return {};
  }
  if (auto status = change.save_pending(); !status) return status;
  json::array waiting;
  std::string text = "Not published yet; more signatures are needed:\n";
  for (const Change::Missing& item : *missing) {
    waiting.push_back(json::object{{"role", item.role}, {"detail", item.detail}});
    text += fmt::format("  {}/pending/{}.json: {}\n", context.repository, item.role, item.detail);
  }
  text += "Other holders: rap-sign sign FILE --key NAME. Then here: rap-sign commit.";
  answer(context, text, {{"state", "pending"}, {"missing", waiting}});
  return {};
}

void answer(const Context& context, const std::string& text, const json::object& object) {
  if (context.json) {
    std::cout << json::serialize(object) << "\n";
  } else {
    std::cout << text << "\n";
  }
}

}  // namespace rap::sign
