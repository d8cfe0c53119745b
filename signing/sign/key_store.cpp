#include "signing/sign/key_store.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "signing/sign/draft.hpp"

namespace rap::sign {
namespace {

constexpr std::size_t kPublicFileMax = 16 << 10;

}  // namespace

Result<tuf::PublicKey> read_public_key(const std::filesystem::path& file) {
  auto text = read_text_file(file, kPublicFileMax);
  if (!text) return fail(std::move(text.error()));
  auto value = parse_json(*text);
  if (!value) return fail(value.error(), file.string());
  if (!value->is_object()) return fail(Errc::malformed, file.string() + ": want a key object");
  auto key = tuf::PublicKey::from_json(value->get_object());
  if (!key) return fail(key.error(), file.string());
  return key;
}

KeyStore::KeyStore(std::filesystem::path directory, AskPassphrase passphrase)
    : directory_(std::move(directory)), ask_(std::move(passphrase)) {}

Result<const Secret*> KeyStore::passphrase() {
  if (passphrase_.empty()) {
    auto secret = ask_();
    if (!secret) return fail(std::move(secret.error()));
    if (secret->empty()) return fail(Errc::invalid, "an empty passphrase protects nothing");
    passphrase_ = std::move(*secret);
  }
  return &passphrase_;
}

bool KeyStore::has(const std::string& name) const {
  std::error_code ec;
  return std::filesystem::exists(directory_ / (name + ".key"), ec);
}

Result<tuf::PublicKey> KeyStore::create(const std::string& name) {
  if (!is_plain_name(name)) return fail(Errc::invalid, "key name: " + name);
  std::error_code ec;
  if (std::filesystem::create_directories(directory_, ec)) ::chmod(directory_.c_str(), 0700);
  if (ec) return fail(Errc::internal, directory_.string() + ": " + ec.message());
  auto secret = passphrase();
  if (!secret) return fail(std::move(secret.error()));
  Ed25519Key key = Ed25519Key::generate();
  tuf::PublicKey public_key = key.public_key();
  const std::string text = boost::json::serialize(public_key.to_json()) + "\n";
  // The private file comes last and makes the key exist: without it the other one means nothing.
  if (has(name)) return fail(Errc::conflict, "there is a key " + name);
  if (auto s = write_file_atomic(directory_ / (name + ".pub"), text); !s) {
    return fail(std::move(s.error()));
  }
  if (auto s = save_key(directory_ / (name + ".key"), key, **secret); !s) {
    return fail(std::move(s.error()));
  }
  unlocked_.insert_or_assign(name, std::move(key));
  return public_key;
}

Result<std::map<std::string, tuf::PublicKey>> KeyStore::list() const {
  std::map<std::string, tuf::PublicKey> keys;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, ec)) {
    if (entry.path().extension() != ".key") continue;
    const std::string name = entry.path().stem().string();
    auto key = public_key(name);
    if (!key) return fail(std::move(key.error()));
    keys.emplace(name, std::move(*key));
  }
  if (ec && ec != std::errc::no_such_file_or_directory) {
    return fail(Errc::internal, directory_.string() + ": " + ec.message());
  }
  return keys;
}

Result<tuf::PublicKey> KeyStore::public_key(const std::string& name) const {
  if (!is_plain_name(name)) return fail(Errc::invalid, "key name: " + name);
  if (!has(name)) return fail(Errc::not_found, "there is no key " + name);
  return read_public_key(directory_ / (name + ".pub"));
}

Result<const Ed25519Key*> KeyStore::unlock_name(const std::string& name) {
  if (!is_plain_name(name)) return fail(Errc::invalid, "key name: " + name);
  if (const auto known = unlocked_.find(name); known != unlocked_.end()) return &known->second;
  auto secret = passphrase();
  if (!secret) return fail(std::move(secret.error()));
  auto key = load_key(directory_ / (name + ".key"), **secret);
  if (!key) return fail(std::move(key.error()));
  return &unlocked_.emplace(name, std::move(*key)).first->second;
}

Result<std::vector<const Ed25519Key*>> KeyStore::unlock(const std::vector<std::string>& key_ids) {
  auto keys = list();
  if (!keys) return fail(std::move(keys.error()));
  std::vector<const Ed25519Key*> out;
  for (const auto& [name, public_key] : *keys) {
    if (std::find(key_ids.begin(), key_ids.end(), public_key.id()) == key_ids.end()) continue;
    auto key = unlock_name(name);
    if (!key) return fail(std::move(key.error()));
    // The .pub file only says which key to try; the private key says what it is.
    if ((*key)->key_id() != public_key.id()) {
      return fail(Errc::mismatch, name + ".pub does not belong to " + name + ".key");
    }
    out.push_back(*key);
  }
  return out;
}

}  // namespace rap::sign
