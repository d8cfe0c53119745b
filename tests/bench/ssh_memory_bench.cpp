// What libssh alone costs a forked process: the share of a session worker's private memory that is
// not ours. ssh_memory_bench PORT USER KEY_FILE: warms the library up as the plugin does, forks,
// and the child holds a shell on 127.0.0.1 by blocking calls and prints its private memory.
#include <libssh/libssh.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace {

// As in plugins/ssh/connection.cpp.
constexpr const char* kCipher = "aes128-gcm@openssh.com";

void must(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "%s failed\n", what);
  std::_Exit(1);
}

void make_key(ssh_keytypes_e type, int bits) {
  ssh_key key = nullptr;
  must(ssh_pki_generate(type, bits, &key) == SSH_OK, "key");
  ssh_key_free(key);
}

long private_dirty_kb() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  std::string word;
  long kb = 0;
  while (rollup >> word) {
    if (word == "Private_Dirty:") rollup >> kb;
  }
  return kb;
}

void hold_session(int port, const char* user, const char* key_file) {
  ssh_session session = ssh_new();
  const bool no = false;
  ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no);
  ssh_options_set(session, SSH_OPTIONS_HOST, "127.0.0.1");
  ssh_options_set(session, SSH_OPTIONS_PORT, &port);
  ssh_options_set(session, SSH_OPTIONS_USER, user);
  ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
  ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
  ssh_options_set(session, SSH_OPTIONS_CIPHERS_C_S, kCipher);
  ssh_options_set(session, SSH_OPTIONS_CIPHERS_S_C, kCipher);
  must(ssh_connect(session) == SSH_OK, "connect");
  ssh_key key = nullptr;
  must(ssh_pki_import_privkey_file(key_file, nullptr, nullptr, nullptr, &key) == SSH_OK,
       "key file");
  must(ssh_userauth_publickey(session, nullptr, key) == SSH_AUTH_SUCCESS, "login");
  ssh_key_free(key);
  ssh_channel channel = ssh_channel_new(session);
  must(ssh_channel_open_session(channel) == SSH_OK, "channel");
  must(ssh_channel_request_pty_size(channel, "xterm-256color", 100, 40) == SSH_OK, "terminal");
  must(ssh_channel_request_shell(channel) == SSH_OK, "shell");
  const std::string line = "PS1=; stty -echo; echo rea''dy\r";
  ssh_channel_write(channel, line.data(), static_cast<std::uint32_t>(line.size()));
  std::string seen;
  char block[4096];
  while (seen.find("ready\r\n") == seen.npos) {
    const int count = ssh_channel_read(channel, block, sizeof block, 0);
    must(count > 0, "read");
    seen.append(block, static_cast<std::size_t>(count));
  }
  std::printf("{\"private_kb\": %ld}\n", private_dirty_kb());
  std::fflush(stdout);
  ssh_disconnect(session);
  ssh_free(session);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  ssh_init();
  ssh_free(ssh_new());
  make_key(SSH_KEYTYPE_ED25519, 0);
  make_key(SSH_KEYTYPE_ECDSA_P256, 256);
  const pid_t child = fork();
  if (child == 0) {
    hold_session(std::atoi(argv[1]), argv[2], argv[3]);
    std::_Exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status == 0 ? 0 : 1;
}
