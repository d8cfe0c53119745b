// The host keys a target may present. Nothing else is ever trusted, also not the first time.
#pragma once

#include <libssh/libssh.h>

#include <memory>
#include <string>
#include <vector>

namespace rap::ssh {

struct FreeKey {
  void operator()(ssh_key key) const { ssh_key_free(key); }
};
using Key = std::unique_ptr<ssh_key_struct, FreeKey>;

class HostKeys {
 public:
  // Each text is "type base64 [comment]", as in a .pub file. Throws rap::Failure RAP_E_CONFIG
  // naming the entry that is no public key.
  explicit HostKeys(const std::vector<std::string>& texts);

  // Host key algorithms for the key exchange, those of the listed keys first: a server with several
  // keys then presents one that is listed, and one without still shows which key it has.
  const std::string& algorithms() const { return algorithms_; }

  // Throws RAP_E_DENIED naming the fingerprint of `presented` when it is not listed.
  void check(ssh_key presented) const;

 private:
  std::vector<Key> keys_;
  std::string algorithms_;
};

// "SHA256:..." as ssh-keygen -l prints it.
std::string fingerprint(ssh_key key);

}  // namespace rap::ssh
