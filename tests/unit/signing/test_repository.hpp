// A small repository in memory whose every document a test can bend before it is signed.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "signing/sign/draft.hpp"
#include "signing/sign/ed25519.hpp"
#include "signing/verify/fetcher.hpp"
#include "signing/verify/metadata.hpp"

namespace rap::test {

inline const SystemTime kNow = from_unix_seconds(1'790'000'000);

class FixedClock final : public Clock {
 public:
  SystemTime time = kNow;
  SystemTime now() const override { return time; }
};

// Serves files by URL and writes down what was asked for.
class MemoryFetcher final : public tuf::Fetcher {
 public:
  std::map<std::string, std::string> files;
  std::map<std::string, Errc> failures;
  std::vector<std::string> requests;

  Result<Bytes> fetch(const std::string& url, std::size_t max_bytes) override {
    requests.push_back(url);
    if (const auto broken = failures.find(url); broken != failures.end()) {
      return fail(broken->second, url);
    }
    const auto found = files.find(url);
    if (found == files.end()) return fail(Errc::not_found, url);
    if (found->second.size() > max_bytes) return fail(Errc::too_large, url);
    return to_bytes(found->second);
  }

  Status fetch_to(const std::string& url, std::uint64_t length, const Sink& sink) override {
    auto bytes = fetch(url, length);
    if (!bytes) return fail(std::move(bytes.error()));
    if (bytes->size() != length) return fail(Errc::mismatch, url);
    return sink(*bytes);
  }
};

// Keys by role name; bodies by role name. publish() signs a body under its role's keys and puts it
// where a client looks.
class TestRepository {
 public:
  using Edit = std::function<void(boost::json::object&)>;

  TestRepository() {
    for (const char* role : {"root", "targets", "snapshot", "timestamp"}) add_key(role);
    const SystemTime expires = kNow + std::chrono::hours(24);
    bodies["root"] = sign::new_body("root", 0, expires);
    bodies["root"]["consistent_snapshot"] = true;
    bodies["targets"] = sign::new_body("targets", 0, expires);
    bodies["targets"]["targets"] = boost::json::object{};
    bodies["snapshot"] = sign::new_body("snapshot", 0, expires);
    bodies["snapshot"]["meta"] = boost::json::object{};
    bodies["timestamp"] = sign::new_body("timestamp", 0, expires);
    bodies["timestamp"]["meta"] = boost::json::object{};
    set_root_roles();
    publish_all();
  }

  const sign::Ed25519Key& add_key(const std::string& role) {
    keys[role].push_back(sign::Ed25519Key::generate());
    return keys[role].back();
  }

  // Writes keys and roles of the four top-level roles, threshold 1, into the root's body.
  void set_root_roles() {
    boost::json::object key_objects;
    boost::json::object roles;
    for (const char* role : {"root", "targets", "snapshot", "timestamp"}) {
      std::vector<tuf::PublicKey> public_keys;
      for (const auto& key : keys[role]) {
        public_keys.push_back(key.public_key());
        key_objects[public_keys.back().id()] = public_keys.back().to_json();
      }
      roles[role] = *sign::role_object(public_keys, 1);
    }
    bodies["root"]["keys"] = std::move(key_objects);
    bodies["root"]["roles"] = std::move(roles);
  }

  void add_target(const std::string& path, const std::string& content,
                  const std::string& role = "targets") {
    const std::string digest = to_hex(sha256(content));
    boost::json::object object;
    object["length"] = static_cast<std::int64_t>(content.size());
    object["hashes"] = boost::json::object{{"sha256", digest}};
    bodies[role]["targets"].as_object()[path] = std::move(object);
    const std::size_t slash = path.rfind('/');
    const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
    fetcher.files["t/" + path.substr(0, name) + digest + "." + path.substr(name)] = content;
  }

  // `parent` delegates `role` for `paths`.
  void delegate(const std::string& parent, const std::string& role,
                const std::vector<std::string>& paths, bool terminating = false) {
    const tuf::PublicKey key = add_key(role).public_key();
    boost::json::object& body = bodies[parent];
    if (!body.contains("delegations")) {
      body["delegations"] = {{"keys", boost::json::object{}}, {"roles", boost::json::array{}}};
    }
    boost::json::object& delegations = body["delegations"].as_object();
    delegations["keys"].as_object()[key.id()] = key.to_json();
    boost::json::object object = *sign::role_object({key}, 1);
    object["name"] = role;
    object["terminating"] = terminating;
    boost::json::array list;
    for (const std::string& path : paths) list.push_back(boost::json::value(path));
    object["paths"] = std::move(list);
    delegations["roles"].as_array().push_back(std::move(object));
    if (!bodies.contains(role)) {
      bodies[role] = sign::new_body("targets", 0, kNow + std::chrono::hours(24));
      bodies[role]["targets"] = boost::json::object{};
    }
  }

  std::string sign(const std::string& role) {
    std::vector<const sign::Ed25519Key*> signers;
    for (const auto& key : keys[role]) signers.push_back(&key);
    return *sign::sign_file(bodies[role], signers);
  }

  // Version + 1, signed, served; and named by snapshot or timestamp.
  std::string publish(const std::string& role, const Edit& edit = {}) {
    boost::json::object& body = bodies[role];
    body["version"] = body["version"].as_int64() + 1;
    if (edit) edit(body);
    return serve(role, sign(role));
  }

  std::string serve(const std::string& role, const std::string& file) {
    const auto& version_value = bodies[role]["version"];
    const std::int64_t version = version_value.is_int64() ? version_value.as_int64() : 0;
    const std::string name =
        role == "timestamp" ? role : std::to_string(version) + "." + tuf::encode_segment(role);
    fetcher.files["m/" + name + ".json"] = file;
    if (role == "snapshot") {
      bodies["timestamp"]["meta"].as_object()["snapshot.json"] = sign::meta_object(version, file);
    } else if (role != "root" && role != "timestamp") {
      bodies["snapshot"]["meta"].as_object()[role + ".json"] = sign::meta_object(version, file);
    }
    return file;
  }

  void publish_all() {
    for (const auto& [role, body] : bodies) {
      if (role != "snapshot" && role != "timestamp") publish(role);
    }
    publish("snapshot");
    publish("timestamp");
  }

  MemoryFetcher fetcher;
  std::map<std::string, std::vector<sign::Ed25519Key>> keys;
  std::map<std::string, boost::json::object> bodies;
};

}  // namespace rap::test
