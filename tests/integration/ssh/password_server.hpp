// A small SSH server on libssh that knows one password: for the login that a private sshd cannot
// offer without changing accounts of this machine.
#pragma once

#include <atomic>
#include <string>
#include <thread>

namespace rap::ssh {

class PasswordServer {
 public:
  enum class Ask { password, one_prompt, two_prompts };

  // Serves one connection; the shell says "welcome" and ends with status 5.
  PasswordServer(Ask ask, std::string password);
  ~PasswordServer();
  PasswordServer(const PasswordServer&) = delete;
  PasswordServer& operator=(const PasswordServer&) = delete;

  int port() const { return port_; }
  const std::string& host_key() const { return host_key_; }

 private:
  void serve(Ask ask, const std::string& password);

  int listening_ = -1;
  int port_ = 0;
  std::string host_key_;
  void* key_ = nullptr;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace rap::ssh
