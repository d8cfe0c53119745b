#include "controlplane/config/config.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <set>

#include "base/file.hpp"

namespace rap::cp {
namespace {

// A day: what was looked at yesterday must not be gone in an hour. Ten years: longer is for the
// audit chain.
constexpr std::size_t kRetentionDaysMin = 1;
constexpr std::size_t kRetentionDaysMax = 3650;
// A configuration has under 1 KiB; this bounds what a wrong path can make us read.
constexpr std::size_t kConfigMax = 64 * 1024;

// Reads members of one mapping and remembers which; the first problem stays.
class Section {
 public:
  Section(const YAML::Node& node, std::string name, Status& status)
      : node_(node), name_(std::move(name)), status_(status) {
    if (node_ && !node_.IsNull() && !node_.IsMap()) complain("", "must be a mapping");
  }
  ~Section() {
    if (!node_ || !node_.IsMap()) return;
    for (const auto& member : node_) {
      const auto key = member.first.as<std::string>("");
      if (!known_.contains(key)) complain(key, "is not a known key");
    }
  }

  void text(const std::string& key, std::string& out) {
    known_.insert(key);
    if (!node_ || !node_.IsMap() || !node_[key]) return;
    if (!node_[key].IsScalar()) return complain(key, "must be a text");
    out = node_[key].as<std::string>();
  }
  void path(const std::string& key, std::filesystem::path& out, const std::filesystem::path& base) {
    std::string value;
    text(key, value);
    if (!value.empty()) out = (base / value).lexically_normal();
  }
  void number(const std::string& key, std::size_t& out, std::size_t min, std::size_t max) {
    known_.insert(key);
    if (!node_ || !node_.IsMap() || !node_[key]) return;
    long value = -1;
    if (!YAML::convert<long>::decode(node_[key], value) || value < static_cast<long>(min) ||
        value > static_cast<long>(max)) {
      return complain(key, fmt::format("must be a number from {} to {}", min, max));
    }
    out = static_cast<std::size_t>(value);
  }
  YAML::Node child(const std::string& key) {
    known_.insert(key);
    return node_ && node_.IsMap() ? node_[key] : YAML::Node(YAML::NodeType::Undefined);
  }
  void complain(const std::string& key, const std::string& what) {
    if (!status_) return;
    status_ = fail(Errc::invalid, fmt::format("{}{}{} {}", name_,
                                              name_.empty() || key.empty() ? "" : ".", key, what));
  }

 private:
  const YAML::Node node_;
  std::string name_;
  Status& status_;
  std::set<std::string> known_;
};

Status replace_from_file(const char* variable, std::string& value) {
  const char* path = std::getenv(variable);
  if (path == nullptr) return {};
  auto text = read_text_file(path, kConfigMax);
  if (!text) return fail(text.error(), variable);
  while (!text->empty() && (text->back() == '\n' || text->back() == ' ')) text->pop_back();
  value = std::move(*text);
  return {};
}

}  // namespace

net::HostPort Config::public_address() const {
  std::string rest = public_url.substr(std::string_view("https://").size());
  while (rest.ends_with('/')) rest.pop_back();
  if (auto parsed = net::parse_host_port(rest)) return *parsed;
  return {rest, 443};
}

Result<Config> parse_config(const std::string& yaml, const std::filesystem::path& base) {
  YAML::Node root;
  try {
    root = YAML::Load(yaml);
  } catch (const YAML::Exception& error) {
    return fail(Errc::malformed, std::string("not YAML: ") + error.what());
  }
  Config config;
  Status status;
  std::string listen = config.listen.text();
  std::string metrics_listen = config.metrics_listen->text();
  {
    Section top(root, "", status);
    top.text("listen", listen);
    top.text("public_url", config.public_url);
    top.path("data_dir", config.data_dir, base);
    top.path("version_storage", config.version_storage, base);
    Section postgres(top.child("postgres"), "postgres", status);
    postgres.text("admin_url", config.postgres.admin_url);
    postgres.text("url", config.postgres.url);
    postgres.number("connections", config.postgres.connections, 1, 64);
    Section redis(top.child("redis"), "redis", status);
    redis.text("url", config.redis.url);
    Section retention(top.child("retention"), "retention", status);
    retention.number("sessions_days", config.retention.sessions_days, kRetentionDaysMin,
                     kRetentionDaysMax);
    Section metrics(top.child("metrics"), "metrics", status);
    metrics.text("listen", metrics_listen);
    Section logging(top.child("log"), "log", status);
    logging.text("level", config.log_level);
  }
  if (!status) return fail(status.error());
  const auto address = net::parse_host_port(listen);
  if (!address) return fail(address.error(), "listen");
  config.listen = *address;
  config.metrics_listen.reset();
  if (!metrics_listen.empty()) {
    auto parsed = net::parse_host_port(metrics_listen);
    if (!parsed) return fail(parsed.error(), "metrics.listen");
    config.metrics_listen = *parsed;
  }
  if (config.public_url.empty()) config.public_url = "https://" + config.listen.text();
  if (!config.public_url.starts_with("https://") ||
      config.public_url.size() <= std::string_view("https://").size()) {
    return fail(Errc::invalid, "public_url must be https://host:port");
  }
  if (config.data_dir.empty()) return fail(Errc::invalid, "data_dir is missing");
  return config;
}

Result<Config> load_config(const std::filesystem::path& path) {
  const auto text = read_text_file(path, kConfigMax);
  if (!text) return fail(text.error());  // it names the file
  auto config = parse_config(*text, std::filesystem::absolute(path).parent_path());
  if (!config) return fail(config.error(), path.string());
  if (auto done = replace_from_file("RAP_POSTGRES_URL_FILE", config->postgres.url); !done) {
    return fail(done.error());
  }
  if (auto done = replace_from_file("RAP_POSTGRES_ADMIN_URL_FILE", config->postgres.admin_url);
      !done) {
    return fail(done.error());
  }
  if (config->postgres.url.empty()) return fail(Errc::invalid, "postgres.url is missing");
  return config;
}

}  // namespace rap::cp
