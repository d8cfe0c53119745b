// The commands of rap-sign, one function each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "signing/rap_sign/context.hpp"

namespace rap::sign {

struct Holders {
  int keys = 1;
  int threshold = 1;
};

struct InitOptions {
  Holders root, targets, release, channels, trust;
  std::string vendor = "rap";
  std::vector<std::string> root_public;  // .pub files of holders on other machines
};
Status run_init(const Context& context, const InitOptions& options);

Status run_key_create(const Context& context, const std::string& name);
Status run_key_list(const Context& context);

struct DelegateOptions {
  std::string role;
  std::vector<std::string> paths;        // none for `trust`
  std::vector<std::string> keys;         // names in the key directory; made when absent
  std::vector<std::string> public_keys;  // .pub files
  int threshold = 1;
};
Status run_delegate(const Context& context, const DelegateOptions& options);

struct RotateOptions {
  std::string role;
  std::vector<std::string> remove;       // key names or ids
  std::vector<std::string> add;          // names in the key directory; made when absent
  std::vector<std::string> public_keys;  // .pub files
  int threshold = 0;                     // 0: as it is
};
Status run_rotate(const Context& context, const RotateOptions& options);

// Adds one holder's signature to a metadata file, R's or the first root of a cluster's director;
// needs no repository. Shows what is signed. `bad_signature` and `mismatch` for a director's root
// that is none (tuf::parse_director_root).
Status run_sign(const Context& context, const std::string& file, const std::string& key);
// Publishes what waits in pending/ when it has enough signatures.
Status run_commit(const Context& context);
// Re-signs snapshot and timestamp.
Status run_timestamp(const Context& context);
// Re-signs a role with a new expiry and the same content.
Status run_renew(const Context& context, const std::string& role);

struct PublishOptions {
  std::string manifest;
  std::vector<std::string> artifacts;
  std::string channel;
  std::int64_t min_epoch = 0;
};
Status run_publish(const Context& context, const PublishOptions& options);

struct PromoteOptions {
  std::string product, version, channel;
  std::int64_t min_epoch = 0;
};
Status run_promote(const Context& context, const PromoteOptions& options);

Status run_show(const Context& context);
// Reads the repository as a client would, from root version 1, and every target file.
Status run_verify(const Context& context);

}  // namespace rap::sign
