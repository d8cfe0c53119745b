#include "password_server.hpp"

#include <arpa/inet.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <poll.h>

// The callbacks that replace it are six times as long.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace rap::ssh {
namespace {

// Answers one login request; true when the person is in.
bool login(ssh_session session, ssh_message message, PasswordServer::Ask ask,
           const std::string& password) {
  const int offered =
      ask == PasswordServer::Ask::password ? SSH_AUTH_METHOD_PASSWORD : SSH_AUTH_METHOD_INTERACTIVE;
  ssh_message_auth_set_methods(message, offered);
  const int kind = ssh_message_subtype(message);
  if (kind == SSH_AUTH_METHOD_PASSWORD && ask == PasswordServer::Ask::password) {
    const char* given = ssh_message_auth_password(message);
    if (given && password == given) {
      ssh_message_auth_reply_success(message, 0);
      return true;
    }
  }
  if (kind == SSH_AUTH_METHOD_INTERACTIVE && ask != PasswordServer::Ask::password) {
    if (!ssh_message_auth_kbdint_is_response(message)) {
      const char* prompts[] = {"Password: ", "Code: "};
      char echo[] = {0, 0};
      const unsigned count = ask == PasswordServer::Ask::one_prompt ? 1 : 2;
      ssh_message_auth_interactive_request(message, "", "", count, prompts, echo);
      return false;
    }
    const char* given = ssh_userauth_kbdint_getanswer(session, 0);
    if (given && password == given) {
      ssh_message_auth_reply_success(message, 0);
      return true;
    }
  }
  ssh_message_reply_default(message);
  return false;
}

// Gives a shell that says a word and ends.
bool shell(ssh_message message, ssh_channel& channel) {
  const int kind = ssh_message_subtype(message);
  if (ssh_message_type(message) == SSH_REQUEST_CHANNEL_OPEN && kind == SSH_CHANNEL_SESSION) {
    channel = ssh_message_channel_request_open_reply_accept(message);
  } else if (ssh_message_type(message) == SSH_REQUEST_CHANNEL && kind == SSH_CHANNEL_REQUEST_PTY) {
    ssh_message_channel_request_reply_success(message);
  } else if (ssh_message_type(message) == SSH_REQUEST_CHANNEL &&
             kind == SSH_CHANNEL_REQUEST_SHELL) {
    ssh_message_channel_request_reply_success(message);
    return true;
  } else {
    ssh_message_reply_default(message);
  }
  return false;
}

}  // namespace

PasswordServer::PasswordServer(Ask ask, std::string password) {
  ssh_key key = nullptr;
  char* base64 = nullptr;
  if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) != SSH_OK ||
      ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK) {
    throw std::runtime_error("no host key");
  }
  key_ = key;
  host_key_ = std::string("ssh-ed25519 ") + base64;
  ssh_string_free_char(base64);
  listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listening_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listening_, 1) != 0 ||
      ::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no port");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this, ask, password = std::move(password)] { serve(ask, password); });
}

PasswordServer::~PasswordServer() {
  stop_ = true;
  ::shutdown(listening_, SHUT_RDWR);  // ends a wait for a connection
  thread_.join();
  ::close(listening_);
}

void PasswordServer::serve(Ask ask, const std::string& password) {
  ssh_bind bind = ssh_bind_new();
  ssh_session session = ssh_new();
  ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, key_);
  const bool no = false;
  ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
  const int connection = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection >= 0 && ssh_bind_accept_fd(bind, session, connection) == SSH_OK &&
      ssh_handle_key_exchange(session) == SSH_OK) {
    bool in = false;
    ssh_channel channel = nullptr;
    // Waiting here and not in libssh, which waits for ever once the other end is gone.
    ssh_set_blocking(session, 0);
    while (!stop_ && ssh_is_connected(session)) {
      ssh_message message = ssh_message_get(session);
      if (!message) {
        pollfd wait{connection, POLLIN, 0};
        ::poll(&wait, 1, 20);
        continue;
      }
      bool ready = false;
      if (!in && ssh_message_type(message) == SSH_REQUEST_AUTH) {
        in = login(session, message, ask, password);
      } else if (in) {
        ready = shell(message, channel);
      } else {
        ssh_message_reply_default(message);
      }
      ssh_message_free(message);
      if (!ready) continue;
      ssh_channel_write(channel, "welcome\r\n", 9);
      ssh_channel_request_send_exit_status(channel, 5);
      ssh_channel_send_eof(channel);
      ssh_channel_close(channel);
    }
  }
  ssh_disconnect(session);
  ssh_free(session);
  ssh_bind_free(bind);
}

}  // namespace rap::ssh
