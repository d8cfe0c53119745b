// A real sshd with keys, configuration and port of its own, in a temporary folder.
#pragma once

#include <sys/types.h>

#include <string>

namespace rap::ssh {

class Sshd {
 public:
  // Throws when OpenSSH's server is not installed or does not come up within 10 s.
  Sshd();
  ~Sshd();
  Sshd(const Sshd&) = delete;
  Sshd& operator=(const Sshd&) = delete;

  int port() const { return port_; }
  std::string user() const;
  // "ssh-ed25519 AAAA..."
  std::string host_key() const;
  // As ssh-keygen -l prints it.
  std::string host_fingerprint() const;
  // A private key that may log in, and one that may not.
  std::string good_key() const;
  std::string other_key() const;
  std::string other_host_key() const;
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  int port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace rap::ssh
