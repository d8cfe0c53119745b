// Logging in with one credential, without waiting.
#pragma once

#include <libssh/libssh.h>
#include <rap/abi.h>

#include <string>

#include "host_keys.hpp"
#include "options.hpp"

namespace rap::ssh {

// Bytes that are overwritten when they go.
class Credential {
 public:
  Credential() = default;
  ~Credential() { wipe(); }
  Credential(const Credential&) = delete;
  Credential& operator=(const Credential&) = delete;

  const char* c_str() const { return text_.c_str(); }
  void set(rap_bytes value);
  void wipe();

 private:
  std::string text_;
};

class Auth {
 public:
  // The session must be connected and its host key checked. For public_key the secret is a private
  // key in OpenSSH or PEM form without a passphrase; throws RAP_E_CONFIG when it is not, or when a
  // password contains a NUL.
  Auth(ssh_session session, const Options& options, rap_bytes secret);

  // True when logged in, false to call again when the connection has something to say. Throws
  // RAP_E_AUTH (refused; the text names the methods that the target accepts) or RAP_E_GONE. The
  // credential is wiped as soon as the outcome is known.
  bool step();

 private:
  enum class Stage { ask_methods, password, prompts, public_key, done };

  bool finish(int result, const char* what);
  bool answer_prompts();
  void choose_method();
  [[noreturn]] void refused(const std::string& why);

  ssh_session session_;
  std::string user_;
  AuthMethod method_;
  Credential credential_;
  Key key_;
  Stage stage_ = Stage::ask_methods;
  bool answered_ = false;  // a password is given once, whatever the target goes on to ask
};

}  // namespace rap::ssh
