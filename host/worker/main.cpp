// rap-worker: started by the agent, with the descriptors of docs/contracts/ipc.md.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include "base/log.hpp"
#include "host/worker/sandbox.hpp"
#include "host/worker/session_worker.hpp"
#include "host/worker/zygote.hpp"

namespace {

constexpr int kListening = 3;
constexpr int kPlugin = 4;
constexpr int kLog = 5;
constexpr int kState = 6;

struct Arguments {
  std::string instance;
  bool state = false;
  rap::sandbox::Network network = rap::sandbox::Network::none;
};

int usage(int code) {
  std::puts(
      "usage: rap-worker --instance NAME [--network] [--state-directory]\n"
      "       (started by rap-node-agent, with descriptors 3, 4, 5, and 6 for the directory)\n"
      "       rap-worker --version");
  return code;
}

// False for what usage() does not show.
bool parse(int argc, char** argv, Arguments& out) {
  if (argc < 3 || std::strcmp(argv[1], "--instance") != 0) return false;
  out.instance = argv[2];
  for (int i = 3; i < argc; ++i) {
    if (std::strcmp(argv[i], "--network") == 0) {
      out.network = rap::sandbox::Network::client;
    } else if (std::strcmp(argv[i], "--state-directory") == 0) {
      out.state = true;
    } else {
      return false;
    }
  }
  return true;
}

int run(const Arguments& arguments) {
  using namespace rap;
  if (dup2(kLog, STDOUT_FILENO) >= 0 && dup2(kLog, STDERR_FILENO) >= 0) close(kLog);
  // Writing to an agent that is gone is an error to handle, not a reason to die.
  signal(SIGPIPE, SIG_IGN);
  auto entered = sandbox::enter({.keep_fds = {kListening, kPlugin},
                                 .state_directory = arguments.state ? kState : -1,
                                 .network = arguments.network});
  if (!entered) {
    log::error("sandbox", {{"detail", entered.error().text()}});
    return worker::kExitSandbox;
  }
  prctl(PR_SET_NAME, "rap-zygote", 0, 0, 0);
  worker::ZygoteStart start;
  start.instance = arguments.instance;
  start.listening.reset(kListening);
  start.plugin.reset(kPlugin);
  start.sandbox = *std::move(entered);
  worker::ZygoteEnd end = worker::run_zygote(std::move(start));
  // In a forked child, or in place of the zygote.
  if (end.session) return worker::run_session(*std::move(end.session));
  return end.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  rap::log::init("rap-worker", rap::log::Level::info);
  if (argc == 2 &&
      (std::strcmp(argv[1], "--version") == 0 || std::strcmp(argv[1], "version") == 0)) {
    std::puts("rap-worker " RAP_VERSION);
    return 0;
  }
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) return usage(0);
  Arguments arguments;
  if (!parse(argc, argv, arguments)) return usage(2);
  try {
    return run(arguments);
  } catch (const std::exception& fault) {
    rap::log::error("worker ends by a fault", {{"detail", fault.what()}});
    return 1;
  }
}
