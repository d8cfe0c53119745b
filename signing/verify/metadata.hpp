// TUF metadata as plain values, and reading it from untrusted bytes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "signing/verify/keys.hpp"

namespace rap::tuf {

// Versions and lengths stay below 2^53 so that every JSON reader agrees on them.
inline constexpr std::int64_t kIntegerMax = (std::int64_t{1} << 53) - 1;
// More keys or signatures in one place than any ceremony has.
inline constexpr std::size_t kKeysMax = 256;
// A role name becomes a file name: its percent-encoded form must fit with version and suffix.
inline constexpr std::size_t kRoleNameEncodedMax = 200;

struct Signature {
  std::string key_id;
  Bytes value;  // empty when the text was empty or not hex: never verifies
};

// What a document's signatures are about.
struct SignedBytes {
  std::string canonical;              // canonical form of "signed"
  std::vector<Signature> signatures;  // key ids are distinct
};

using KeyRing = std::map<std::string, PublicKey>;  // by strict key id

struct RoleKeys {
  std::vector<std::string> key_ids;  // distinct
  std::int64_t threshold = 1;        // >= 1
};

// algorithm -> lower-case hex. Only sha256 and sha512 are kept; `unknown` counts the others.
struct Hashes {
  std::map<std::string, std::string> known;
  std::size_t unknown = 0;

  // Hex of the digest to put before a file name in a consistent snapshot.
  const std::string& prefix() const;
};

struct MetaFile {
  std::int64_t version = 0;
  std::optional<std::int64_t> length;
  std::optional<Hashes> hashes;
};

struct TargetInfo {
  std::string path;
  std::int64_t length = 0;
  Hashes hashes;
  std::string custom;  // canonical JSON of the "custom" object; "{}" when absent
  std::string role;    // which role listed it: "targets" or a delegated role

  // Hex; empty when the target lists no SHA-256.
  std::string sha256() const;
};

struct Common {
  std::int64_t version = 0;  // >= 1
  SystemTime expires;
};

struct Root : Common {
  bool consistent_snapshot = false;
  KeyRing keys;
  std::map<std::string, RoleKeys> roles;  // at least the four top-level roles
  std::string cluster_id;                 // our extension: whose director this is; empty for R
};

struct Timestamp : Common {
  MetaFile snapshot;
  std::optional<SystemTime> issued;  // our extension, updates.md 4.6
};

struct Snapshot : Common {
  std::map<std::string, MetaFile> meta;  // by file name without version: "targets.json"
};

struct DelegatedRole {
  std::string name;
  RoleKeys keys;
  bool terminating = false;
  std::vector<std::string> paths;          // patterns; `*` and `?` never match '/'
  std::vector<std::string> hash_prefixes;  // of the hex SHA-256 of the target path

  bool covers(std::string_view target_path) const;
};

// TAP 15: 2^bit_length bins named "<prefix>-<hex number>", chosen by the hash of the target path.
struct SuccinctRoles {
  RoleKeys keys;
  int bit_length = 1;  // 1..32
  std::string name_prefix;

  std::string role_for(std::string_view target_path) const;
};

struct Delegations {
  KeyRing keys;
  std::vector<DelegatedRole> roles;  // in the order of the document; names distinct
  std::optional<SuccinctRoles> succinct;
};

struct Targets : Common {
  std::map<std::string, TargetInfo> targets;
  std::optional<Delegations> delegations;
};

template <typename Role>
struct Document {
  Role role;
  SignedBytes proof;
};

// Each parses one document and checks its shape and type, not its signatures. Fails with
// `malformed`, `unsupported` (spec_version not 1.x, a floating-point number, a key that may not be
// used) or `too_large`. Pure.
Result<Document<Root>> parse_root(ByteView bytes);
Result<Document<Timestamp>> parse_timestamp(ByteView bytes);
Result<Document<Snapshot>> parse_snapshot(ByteView bytes);
// `role` is stored in every TargetInfo.
Result<Document<Targets>> parse_targets(ByteView bytes, std::string_view role = "targets");

// The ids of those keys of the role whose signature is good (TUF 4.2.1 and 5: a threshold is of
// different keys). Keys that are the same under two ids count once; unknown key ids and bad
// signatures count nothing.
std::vector<std::string> valid_signers(const SignedBytes& proof, const KeyRing& keys,
                                       const RoleKeys& role);
// Succeeds when at least `threshold` of them signed; `bad_signature` otherwise.
Status verify_signatures(const SignedBytes& proof, const KeyRing& keys, const RoleKeys& role);

// Checks `bytes` against the length and every known hash. `mismatch`, or `unsupported` when hashes
// are given and none is known.
Status verify_meta_file(const MetaFile& meta, ByteView bytes);
Status verify_hashes(const Hashes& hashes, ByteView bytes);

// Shell-like match segment by segment: `*` any run and `?` one character, neither ever '/'. Case
// matters; a bracket is an ordinary character.
bool match_path_pattern(std::string_view pattern, std::string_view path);

// A relative path of plain segments: no empty, `.` or `..` one, no control character, no backslash,
// at most 1024 bytes. `invalid` otherwise.
Status check_target_path(std::string_view path);

// Percent-encodes everything but unreserved characters: safe as one URL segment.
std::string encode_segment(std::string_view name);
// The same with a leading dot encoded too: safe as one file name that is not hidden.
std::string encode_file_name(std::string_view name);

}  // namespace rap::tuf
