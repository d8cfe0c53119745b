#include <fmt/format.h>

#include <algorithm>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "signing/rap_sign/commands.hpp"
#include "signing/sign/ceremony.hpp"
#include "signing/verify/countersignature.hpp"

namespace rap::sign {
namespace {

namespace json = boost::json;

// The key of that name, made when the directory does not have it.
Result<tuf::PublicKey> key_named(KeyStore& store, const std::string& name) {
  auto known = store.public_key(name);
  if (known || known.error().code != Errc::not_found) return known;
  return store.create(name);
}

Result<std::vector<tuf::PublicKey>> gather_keys(KeyStore& store,
                                                const std::vector<std::string>& names,
                                                const std::vector<std::string>& files) {
  std::vector<tuf::PublicKey> keys;
  for (const std::string& name : names) {
    auto key = key_named(store, name);
    if (!key) return fail(std::move(key.error()));
    keys.push_back(std::move(*key));
  }
  for (const std::string& file : files) {
    auto key = read_public_key(file);
    if (!key) return fail(std::move(key.error()));
    keys.push_back(std::move(*key));
  }
  return keys;
}

std::vector<std::string> numbered(const std::string& role, int count) {
  std::vector<std::string> names;
  for (int i = 1; i <= count; ++i) names.push_back(fmt::format("{}-{}", role, i));
  return names;
}

Result<RoleSpec> make_role(KeyStore& store, const std::string& name, Holders holders,
                           std::vector<std::string> paths,
                           const std::vector<std::string>& files = {}) {
  auto keys = gather_keys(store, numbered(name, holders.keys), files);
  if (!keys) return fail(std::move(keys.error()));
  return RoleSpec{name, std::move(*keys), holders.threshold, std::move(paths)};
}

// A name in the key directory, or a key id as it is.
std::string key_id_of(const KeyStore& store, const std::string& name) {
  auto key = store.public_key(name);
  return key ? key->id() : name;
}

// The first name "<role>-<n>" that the key directory does not have.
Result<std::string> next_key_name(const KeyStore& store, const std::string& role) {
  auto keys = store.list();
  if (!keys) return fail(std::move(keys.error()));
  int n = 1;
  while (keys->contains(fmt::format("{}-{}", role, n))) ++n;
  return fmt::format("{}-{}", role, n);
}

}  // namespace

Status run_init(const Context& context, const InitOptions& options) {
  auto repository = ReleaseRepository::open_for_writing(context.repository);
  if (!repository) return fail(std::move(repository.error()));
  if (repository->is_initialised()) {
    return fail(Errc::conflict, context.repository + " already has a root");
  }
  KeyStore store = context.key_store();
  std::vector<RoleSpec> top_level;
  std::vector<RoleSpec> delegated;
  const auto add = [](std::vector<RoleSpec>& list, Result<RoleSpec> role) -> Status {
    if (!role) return fail(std::move(role.error()));
    list.push_back(std::move(*role));
    return {};
  };
  const std::string release = "rel.plugin." + options.vendor;
  const Status steps[] = {
      add(top_level, make_role(store, "root", options.root, {}, options.root_public)),
      add(top_level, make_role(store, "targets", options.targets, {})),
      add(top_level, make_role(store, "snapshot", {}, {})),
      add(top_level, make_role(store, "timestamp", {}, {})),
      add(delegated,
          make_role(store, release, options.release, {"rel/plugin." + options.vendor + ".*/*/*"})),
      add(delegated, make_role(store, "channels", options.channels, {"channels/*/*"})),
      add(delegated, make_role(store, std::string(tuf::kTrustRole), options.trust,
                               {std::string(tuf::kTrustPath)}))};
  for (const Status& step : steps) {
    if (!step) return step;
  }
  Change change(*repository, context.clock.now());
  if (auto s = begin_repository(change, *repository, top_level); !s) return s;
  for (const RoleSpec& role : delegated) {
    if (auto s = delegate_role(change, role); !s) return s;
  }
  if (options.root.keys + static_cast<int>(options.root_public.size()) == 1) {
    fmt::print(stderr,
               "NOTE: one person holds the only root key. Whoever steals it owns every node; "
               "whoever loses it can never change a key again.\n");
  }
  return sign_and_publish(context, change, store, "Key ceremony for " + context.repository);
}

Status run_key_create(const Context& context, const std::string& name) {
  KeyStore store = context.key_store();
  auto key = store.create(name);
  if (!key) return fail(std::move(key.error()));
  answer(context, fmt::format("{} {}\ngive others {}/{}.pub", name, key->id(), context.keys, name),
         {{"name", name}, {"keyid", key->id()}});
  return {};
}

Status run_key_list(const Context& context) {
  auto keys = context.key_store().list();
  if (!keys) return fail(std::move(keys.error()));
  json::array list;
  std::string text;
  for (const auto& [name, key] : *keys) {
    list.push_back(json::object{{"name", name}, {"keyid", key.id()}});
    text += fmt::format("{:<24} {}\n", name, key.id());
  }
  if (text.ends_with('\n')) text.pop_back();
  answer(context, text, {{"keys", list}});
  return {};
}

Status run_delegate(const Context& context, const DelegateOptions& options) {
  auto repository = ReleaseRepository::open_for_writing(context.repository);
  if (!repository) return fail(std::move(repository.error()));
  KeyStore store = context.key_store();
  auto keys = gather_keys(store, options.keys, options.public_keys);
  if (!keys) return fail(std::move(keys.error()));
  Change change(*repository, context.clock.now());
  RoleSpec role{options.role, std::move(*keys), options.threshold, options.paths};
  if (role.name == tuf::kTrustRole && role.paths.empty()) role.paths.emplace_back(tuf::kTrustPath);
  if (auto s = delegate_role(change, role); !s) return s;
  return sign_and_publish(context, change, store, "Delegate to " + options.role);
}

Status run_rotate(const Context& context, const RotateOptions& options) {
  auto repository = ReleaseRepository::open_for_writing(context.repository);
  if (!repository) return fail(std::move(repository.error()));
  auto present = keys_of_role(*repository, options.role);
  if (!present) return fail(std::move(present.error()));
  KeyStore store = context.key_store();
  KeyChange keys;
  for (const std::string& name : options.remove) keys.remove.push_back(key_id_of(store, name));
  std::vector<std::string> names = options.add;
  if (options.remove.empty() && names.empty() && options.public_keys.empty() &&
      options.threshold == 0) {
    // Nothing named: a new key instead of all the old ones, which is what an online role wants.
    auto name = next_key_name(store, options.role);
    if (!name) return fail(std::move(name.error()));
    names.push_back(std::move(*name));
    keys.remove = present->key_ids;
  }
  auto added = gather_keys(store, names, options.public_keys);
  if (!added) return fail(std::move(added.error()));
  keys.add = std::move(*added);
  if (options.threshold > 0) keys.threshold = options.threshold;
  Change change(*repository, context.clock.now());
  if (auto s = rotate_keys(change, *repository, options.role, keys); !s) return s;
  return sign_and_publish(context, change, store, "Change the keys of " + options.role);
}

Status run_sign(const Context& context, const std::string& file, const std::string& key_name) {
  constexpr std::size_t kFileMax = 8 << 20;
  auto bytes = read_file(file, kFileMax);
  if (!bytes) return fail(std::move(bytes.error()));
  auto draft = Draft::parse(*bytes);
  if (!draft) return fail(draft.error(), file);
  std::string purpose = "Sign " + file;
  if (draft->type() == "root" && draft->body().contains("cluster_id")) {
    // Not R's: what is vouched for here is a cluster.
    auto root = tuf::parse_director_root(*bytes);
    if (!root) return fail(root.error(), file);
    purpose = "Vouch for the director of cluster " + root->role.cluster_id;
  }
  if (auto s = confirm(context, {{draft->type(), *draft}}, purpose); !s) return s;
  KeyStore store = context.key_store();
  auto key = store.unlock_name(key_name);
  if (!key) return fail(std::move(key.error()));
  if (auto s = draft->add_signature(**key); !s) return s;
  if (auto s = write_file_atomic(file, draft->file()); !s) return s;
  answer(context, fmt::format("{}: {} signatures", file, draft->signatures().size()),
         {{"file", file}, {"keyid", (*key)->key_id()}});
  return {};
}

Status run_commit(const Context& context) {
  auto repository = ReleaseRepository::open_for_writing(context.repository);
  if (!repository) return fail(std::move(repository.error()));
  Change change(*repository, context.clock.now());
  if (auto s = change.load_pending(); !s) return s;
  if (change.drafts().empty()) return fail(Errc::not_found, "nothing is pending");
  KeyStore store = context.key_store();
  return sign_and_publish(context, change, store, "Publish what is pending");
}

Status run_timestamp(const Context& context) {
  auto repository = ReleaseRepository::open_for_writing(context.repository);
  if (!repository) return fail(std::move(repository.error()));
  if (!repository->is_initialised()) return fail(Errc::not_found, "there is no root yet");
  KeyStore store = context.key_store();
  Change change(*repository, context.clock.now());
  // Nobody decides anything here, so nobody is asked: the content stays as it is.
  if (auto s = change.refresh_online(store); !s) return s;
  const Draft& timestamp = change.drafts().at("timestamp");
  answer(context,
         fmt::format("timestamp {} until {}", timestamp.version(),
                     std::string(timestamp.body().at("expires").as_string())),
         {{"version", timestamp.version()}, {"expires", timestamp.body().at("expires")}});
  return {};
}

Status run_renew(const Context& context, const std::string& role) {
  auto repository = ReleaseRepository::open_for_writing(context.repository);
  if (!repository) return fail(std::move(repository.error()));
  if (repository->current(role) == nullptr) return fail(Errc::not_found, "no role " + role);
  if (role == "snapshot" || role == "timestamp") {
    return fail(Errc::invalid, "snapshot and timestamp: rap-sign timestamp");
  }
  KeyStore store = context.key_store();
  Change change(*repository, context.clock.now());
  change.edit(role);
  return sign_and_publish(context, change, store, "Renew " + role);
}

}  // namespace rap::sign
