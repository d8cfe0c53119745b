// Runs a piece of code in a real sandbox, in a process of its own, and brings back what it wrote.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

#include "host/worker/sandbox.hpp"

namespace rap::test {

struct Outcome {
  std::string text;  // what the code returned
  int status = 0;    // of waitpid, on the anchor
};

using InSandbox = std::function<std::string(sandbox::Entered&)>;

inline Outcome run_in_sandbox(const InSandbox& code, const sandbox::Options& base = {}) {
  int ends[2];
  if (pipe(ends) != 0) return {"pipe", -1};
  const pid_t child = fork();
  if (child == 0) {
    sandbox::Options options = base;
    options.keep_fds.push_back(ends[1]);
    auto entered = sandbox::enter(options);
    const std::string text = entered ? code(*entered) : "enter: " + entered.error().text();
    (void)!write(ends[1], text.data(), text.size());
    _exit(entered ? 0 : 99);
  }
  close(ends[1]);
  Outcome out;
  char buffer[4096];
  ssize_t n = 0;
  while ((n = read(ends[0], buffer, sizeof buffer)) > 0) {
    out.text.append(buffer, static_cast<std::size_t>(n));
  }
  close(ends[0]);
  waitpid(child, &out.status, 0);
  return out;
}

}  // namespace rap::test
