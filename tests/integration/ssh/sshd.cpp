#include "sshd.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/free_port.hpp"
#include "tests/support/patience.hpp"

namespace rap::ssh {
namespace {

std::string read_all(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string first_two_words(const std::string& line) {
  std::istringstream in(line);
  std::string type, key;
  in >> type >> key;
  return type + " " + key;
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool answers(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = loopback(port);
  const bool yes = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return yes;
}

}  // namespace

Sshd::Sshd() {
  char path[] = "/tmp/rap-sshd-XXXXXX";
  if (!::mkdtemp(path)) throw std::runtime_error("mkdtemp");
  folder_ = path;
  for (const char* name : {"host", "other_host", "good", "other"}) {
    const std::string command = "ssh-keygen -q -t ed25519 -N '' -f " + folder_ + "/" + name;
    if (std::system(command.c_str()) != 0) throw std::runtime_error(command);
  }
  port_ = test::free_port();
  ::mkdir("/run/sshd", 0755);  // sshd refuses to start as root without it
  std::ofstream(folder_ + "/config") << "ListenAddress 127.0.0.1:" << port_ << "\nHostKey "
                                     << folder_ << "/host\nAuthorizedKeysFile " << folder_
                                     << "/good.pub\nStrictModes no\nUsePAM no\nUseDNS no\n"
                                        "PermitRootLogin yes\nPidFile none\nMaxStartups 1000\n";
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // a test that is killed leaves no server behind
    const int log = ::open((folder_ + "/log").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    ::dup2(log, 1);
    ::dup2(log, 2);
    ::execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-D", "-e", "-f", (folder_ + "/config").c_str(),
            nullptr);
    ::_exit(127);
  }
  const auto end = std::chrono::steady_clock::now() + test::kPatience;
  while (std::chrono::steady_clock::now() < end) {
    if (answers(port_)) return;
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  throw std::runtime_error("sshd does not start: " + read_all(folder_ + "/log"));
}

Sshd::~Sshd() {
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Sshd::user() const {
  return ::getpwuid(::getuid())->pw_name;
}
std::string Sshd::host_key() const {
  return first_two_words(read_all(folder_ + "/host.pub"));
}
std::string Sshd::other_host_key() const {
  return first_two_words(read_all(folder_ + "/other_host.pub"));
}
std::string Sshd::good_key() const {
  return read_all(folder_ + "/good");
}
std::string Sshd::other_key() const {
  return read_all(folder_ + "/other");
}

std::string Sshd::host_fingerprint() const {
  const std::string command = "ssh-keygen -l -f " + folder_ + "/host.pub";
  FILE* pipe = ::popen(command.c_str(), "r");
  char line[512] = {};
  if (pipe && !::fgets(line, sizeof line, pipe)) line[0] = 0;
  if (pipe) ::pclose(pipe);
  std::istringstream in(line);
  std::string bits, fingerprint;
  in >> bits >> fingerprint;
  return fingerprint;
}

}  // namespace rap::ssh
