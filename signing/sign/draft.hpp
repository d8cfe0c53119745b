// TUF metadata while it is being written: a "signed" part and the signatures it has so far.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "signing/sign/ed25519.hpp"

namespace rap::sign {

// A value. The writers of the roles build its body member by member.
class Draft {
 public:
  Draft();
  explicit Draft(boost::json::object body);
  ~Draft();
  Draft(const Draft& other);
  Draft(Draft&& other) noexcept;
  Draft& operator=(Draft other) noexcept;

  // Reads a metadata file of any role. Checks the envelope, not the signatures.
  static Result<Draft> parse(ByteView bytes);

  boost::json::object& body() { return *body_; }  // "signed"
  const boost::json::object& body() const { return *body_; }
  std::string type() const;      // "root", "targets", ...
  std::int64_t version() const;  // 0 when there is none

  // What signatures are computed over; `unsupported` when the body has no canonical form.
  Result<std::string> canonical() const;
  // Key id to hex.
  const std::map<std::string, std::string>& signatures() const { return signatures_; }
  void clear_signatures() { signatures_.clear(); }
  // Takes one over from another copy of the file; says nothing about its being good.
  void set_signature(const std::string& key_id, std::string hex);
  // Replaces an earlier signature of the same key.
  Status add_signature(const Ed25519Key& key);
  // The file: one JSON text, signatures in order of key id, a newline at the end.
  std::string file() const;

 private:
  std::unique_ptr<boost::json::object> body_;  // never null, but in a moved-from draft
  std::map<std::string, std::string> signatures_;
};

// A body with `_type`, spec_version, version and expires.
boost::json::object new_body(std::string_view type, std::int64_t version, SystemTime expires);
// Sets version and expires of a body that exists.
void set_version(boost::json::object& body, std::int64_t version, SystemTime expires);

// {"keyids": [...], "threshold": n}; `invalid` unless 1 <= threshold <= number of keys.
Result<boost::json::object> role_object(const std::vector<tuf::PublicKey>& keys,
                                        std::int64_t threshold);
// {"length": ..., "hashes": {"sha256": ...}, "version": ...} of a metadata file.
boost::json::object meta_object(std::int64_t version, std::string_view file);

// Only characters that mean the same in file names, URLs and path patterns: [A-Za-z0-9._-], not
// starting with a dot, at most 128. For our own role, product and file names.
bool is_plain_name(std::string_view name);

// Signs, then serialises.
Result<std::string> sign_file(boost::json::object body, const std::vector<const Ed25519Key*>& keys);

}  // namespace rap::sign
