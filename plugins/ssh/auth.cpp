#include "auth.hpp"

#include <string.h>

#include <rap/rap.hpp>

namespace rap::ssh {
namespace {

constexpr std::size_t kPasswordBytesMax = 1024;
constexpr std::size_t kPrivateKeyBytesMax = 32 * 1024;  // RSA-16384 is 13 KB

std::string method_names(int methods) {
  std::string out;
  const auto add = [&](int bit, const char* name) {
    if (!(methods & bit)) return;
    if (!out.empty()) out += ", ";
    out += name;
  };
  add(SSH_AUTH_METHOD_PASSWORD, "password");
  add(SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive");
  add(SSH_AUTH_METHOD_PUBLICKEY, "publickey");
  add(SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi");
  add(SSH_AUTH_METHOD_HOSTBASED, "hostbased");
  return out.empty() ? "nothing it names" : out;
}

}  // namespace

void Credential::set(rap_bytes value) {
  wipe();
  text_.assign(static_cast<const char*>(value.ptr), value.len);
}

void Credential::wipe() {
  explicit_bzero(text_.data(), text_.size());
  text_.clear();
}

Auth::Auth(ssh_session session, const Options& options, rap_bytes secret)
    : session_(session), user_(options.user), method_(options.auth) {
  const std::size_t max = method_ == AuthMethod::password ? kPasswordBytesMax : kPrivateKeyBytesMax;
  if (secret.len == 0 || secret.len > max) {
    throw Failure(RAP_E_CONFIG, "the secret is empty or over " + std::to_string(max) + " bytes");
  }
  if (memchr(secret.ptr, 0, secret.len)) {
    throw Failure(RAP_E_CONFIG, "the secret contains a NUL byte");
  }
  credential_.set(secret);
  if (method_ == AuthMethod::password) return;
  ssh_key key = nullptr;
  const int result =
      ssh_pki_import_privkey_base64(credential_.c_str(), nullptr, nullptr, nullptr, &key);
  credential_.wipe();
  if (result != SSH_OK) {
    throw Failure(RAP_E_CONFIG,
                  "the secret is no private key that can be used: OpenSSH or PEM form is needed, "
                  "without a passphrase");
  }
  key_.reset(key);
}

bool Auth::step() {
  for (;;) {
    switch (stage_) {
      case Stage::ask_methods: {
        const int result = ssh_userauth_none(session_, nullptr);
        if (result == SSH_AUTH_AGAIN) return false;
        if (result == SSH_AUTH_SUCCESS) return finish(result, "");
        if (result == SSH_AUTH_ERROR) return finish(result, "asking for methods");
        choose_method();
        break;
      }
      case Stage::password: {
        const int result = ssh_userauth_password(session_, nullptr, credential_.c_str());
        if (result == SSH_AUTH_AGAIN) return false;
        return finish(result, "password");
      }
      case Stage::public_key: {
        const int result = ssh_userauth_publickey(session_, nullptr, key_.get());
        if (result == SSH_AUTH_AGAIN) return false;
        return finish(result, "key");
      }
      case Stage::prompts: {
        const int result = ssh_userauth_kbdint(session_, nullptr, nullptr);
        if (result == SSH_AUTH_AGAIN) return false;
        if (result != SSH_AUTH_INFO) return finish(result, "password");
        if (!answer_prompts()) refused("asks for more than the password");
        break;
      }
      case Stage::done:
        return true;
    }
  }
}

void Auth::choose_method() {
  const int offered = ssh_userauth_list(session_, nullptr);
  if (method_ == AuthMethod::public_key) {
    if (!(offered & SSH_AUTH_METHOD_PUBLICKEY)) refused("accepts no key");
    stage_ = Stage::public_key;
  } else if (offered & SSH_AUTH_METHOD_PASSWORD) {
    stage_ = Stage::password;
  } else if (offered & SSH_AUTH_METHOD_INTERACTIVE) {
    stage_ = Stage::prompts;
  } else {
    refused("accepts no password");
  }
}

// A round without prompts is a greeting; one prompt that hides what is typed asks for the password.
bool Auth::answer_prompts() {
  const int prompts = ssh_userauth_kbdint_getnprompts(session_);
  if (prompts == 0) return true;
  char echo = 1;
  if (prompts != 1 || answered_ || !ssh_userauth_kbdint_getprompt(session_, 0, &echo) || echo) {
    return false;
  }
  answered_ = true;
  return ssh_userauth_kbdint_setanswer(session_, 0, credential_.c_str()) == SSH_OK;
}

bool Auth::finish(int result, const char* what) {
  credential_.wipe();
  key_.reset();
  stage_ = Stage::done;
  if (result == SSH_AUTH_SUCCESS) return true;
  if (result == SSH_AUTH_DENIED) refused(std::string("refused the ") + what);
  if (result == SSH_AUTH_PARTIAL) refused("wants a second proof after that");
  throw Failure(RAP_E_GONE, std::string("the target ended the connection during login: ") +
                                ssh_get_error(session_));
}

void Auth::refused(const std::string& why) {
  credential_.wipe();
  key_.reset();
  throw Failure(RAP_E_AUTH, "the target " + why + " of user '" + user_ + "'; it accepts: " +
                                method_names(ssh_userauth_list(session_, nullptr)));
}

}  // namespace rap::ssh
