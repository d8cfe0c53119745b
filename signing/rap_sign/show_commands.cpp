#include <fmt/format.h>
#include <stdlib.h>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "signing/rap_sign/commands.hpp"
#include "signing/sign/ceremony.hpp"
#include "signing/verify/countersignature.hpp"
#include "signing/verify/directory_fetcher.hpp"
#include "signing/verify/updater.hpp"

namespace rap::sign {
namespace {

namespace json = boost::json;

// A client's state that disappears with this object.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    char name[] = "/tmp/rap-sign-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("cannot make a directory in /tmp");
    path_ = name;
  }
  ~ScratchDirectory() {
    std::error_code ec;
    std::filesystem::remove_all(path_, ec);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Serves metadata/ and targets/ under the URLs "m/" and "t/".
class RepositoryFetcher final : public tuf::Fetcher {
 public:
  explicit RepositoryFetcher(const ReleaseRepository& repository)
      : metadata_("m/", repository.metadata_dir()), targets_("t/", repository.targets_dir()) {}

  Result<Bytes> fetch(const std::string& url, std::size_t max_bytes) override {
    return metadata_.fetch(url, max_bytes);
  }
  Status fetch_to(const std::string& url, std::uint64_t length, const Sink& sink) override {
    return targets_.fetch_to(url, length, sink);
  }

 private:
  tuf::DirectoryFetcher metadata_;
  tuf::DirectoryFetcher targets_;
};

}  // namespace

Status run_show(const Context& context) {
  auto repository = ReleaseRepository::open(context.repository);
  if (!repository) return fail(std::move(repository.error()));
  if (!repository->is_initialised()) return fail(Errc::not_found, "there is no root yet");
  json::array roles;
  std::string text;
  for (const std::string& role : repository->roles()) {
    const Draft& draft = *repository->current(role);
    const std::string expires = json_string_or_none(draft.body(), "expires").value_or("?");
    json::object object{{"role", role}, {"version", draft.version()}, {"expires", expires}};
    text += fmt::format("{:<24} version {:<5} expires {}", role, draft.version(), expires);
    if (auto keys = keys_of_role(*repository, role)) {
      object["threshold"] = keys->threshold;
      object["keys"] = static_cast<std::int64_t>(keys->key_ids.size());
      text += fmt::format("  {} of {}", keys->threshold, keys->key_ids.size());
    }
    text += '\n';
    json::array targets;
    auto listed = draft.type() == "targets" ? repository->role_targets(role) : tuf::Targets{};
    if (!listed) return fail(std::move(listed.error()));
    for (const auto& [path, info] : listed->targets) {
      targets.push_back(
          json::object{{"path", path}, {"length", info.length}, {"sha256", info.sha256()}});
      text += fmt::format("    {} {} bytes sha256 {}\n", path, info.length, info.sha256());
    }
    object["targets"] = std::move(targets);
    roles.push_back(std::move(object));
  }
  if (auto trust = keys_of_role(*repository, std::string(tuf::kTrustRole))) {
    text += fmt::format("{:<24} keys only  {} of {}\n", tuf::kTrustRole, trust->threshold,
                        trust->key_ids.size());
    roles.push_back(json::object{{"role", std::string(tuf::kTrustRole)},
                                 {"threshold", trust->threshold},
                                 {"keys", static_cast<std::int64_t>(trust->key_ids.size())}});
  }
  if (text.ends_with('\n')) text.pop_back();
  answer(context, text, {{"roles", roles}});
  return {};
}

Status run_verify(const Context& context) {
  auto repository = ReleaseRepository::open(context.repository);
  if (!repository) return fail(std::move(repository.error()));
  auto root = read_file(repository->metadata_dir() / "1.root.json", tuf::Limits{}.root);
  if (!root) return fail(std::move(root.error()));
  ScratchDirectory scratch;
  if (auto s = tuf::TufClient::init(scratch.path(), *root); !s) return s;
  RepositoryFetcher fetcher(*repository);
  tuf::TufClientConfig config;
  config.metadata_dir = scratch.path();
  config.metadata_url = "m/";
  config.targets_url = "t/";
  tuf::TufClient client(std::move(config), fetcher, context.clock);
  if (auto s = client.refresh(); !s) return s;

  std::int64_t count = 0;
  for (const std::string& role : repository->roles()) {
    if (repository->current(role)->type() != "targets") continue;
    auto listed = repository->role_targets(role);
    if (!listed) return fail(std::move(listed.error()));
    for (const auto& [path, info] : listed->targets) {
      auto found = client.find_target(path);
      if (!found) return fail(found.error(), path);
      if (!*found || (*found)->role != role) {
        return fail(Errc::mismatch, path + ": a client does not find it in role " + role);
      }
      const std::filesystem::path copy = scratch.path() / "target";
      if (auto s = client.download_to(**found, copy); !s) return s;
      std::filesystem::remove(copy);
      ++count;
    }
  }
  const auto versions = client.versions();
  answer(context,
         fmt::format("good: root {}, timestamp {}, snapshot {}, targets {}; {} target files",
                     versions.root, versions.timestamp, versions.snapshot, versions.targets, count),
         {{"state", "good"},
          {"root", versions.root},
          {"timestamp", versions.timestamp},
          {"snapshot", versions.snapshot},
          {"targets", versions.targets},
          {"files", count}});
  return {};
}

}  // namespace rap::sign
