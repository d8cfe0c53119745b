#include "host/plugin-check/process_state.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <locale.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

extern char** environ;

namespace rap::check {
namespace {

DIR* task_list = nullptr;  // of this process only: it was forked for one check

std::string working_directory() {
  char path[4096];
  return ::getcwd(path, sizeof path) ? path : "none";
}

std::string mask() {
  const mode_t old = ::umask(022);
  ::umask(old);
  return fmt::format("{:03o}", static_cast<unsigned>(old));
}

std::string environment() {
  std::vector<std::string> all;
  for (char** entry = environ; entry && *entry; ++entry) all.emplace_back(*entry);
  std::sort(all.begin(), all.end());
  std::string out;
  for (const std::string& entry : all) out += entry + " ";
  return out;
}

std::string signals() {
  std::string out;
  for (int number = 1; number < 32; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0) continue;
    if (action.sa_handler != SIG_DFL) out += fmt::format("{} ", number);
  }
  return out;
}

std::string limits() {
  std::string out;
  for (int what = 0; what < static_cast<int>(RLIM_NLIMITS); ++what) {
    rlimit limit{};
    ::getrlimit(static_cast<__rlimit_resource>(what), &limit);
    out += fmt::format("{}:{} ", limit.rlim_cur, limit.rlim_max);
  }
  return out;
}

std::string standard_streams() {
  std::string out;
  for (int fd = 0; fd <= 2; ++fd) {
    struct stat info {};
    out += ::fstat(fd, &info) == 0 ? fmt::format("{}:{} ", info.st_dev, info.st_ino) : "closed ";
  }
  return out;
}

}  // namespace

ProcessState ProcessState::now() {
  return {{{"working directory", working_directory()},
           {"umask", mask()},
           {"environment", environment()},
           {"locale", ::setlocale(LC_ALL, nullptr)},
           {"signal handlers", signals()},
           {"resource limits", limits()},
           {"standard streams", standard_streams()}}};
}

std::string ProcessState::difference(const ProcessState& before, const ProcessState& after) {
  for (std::size_t i = 0; i < before.things.size(); ++i) {
    const auto& [name, old] = before.things[i];
    if (old == after.things[i].second) continue;
    return fmt::format("{}: \"{}\", then \"{}\"", name, old, after.things[i].second);
  }
  return {};
}

void ProcessState::open_task_list() {
  if (!task_list) task_list = ::opendir("/proc/self/task");
}

int ProcessState::threads() {
  if (!task_list) return -1;
  ::rewinddir(task_list);
  int count = 0;
  while (const dirent* entry = ::readdir(task_list)) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count > 0 ? count : -1;
}

}  // namespace rap::check
