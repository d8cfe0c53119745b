#include "host/plugin-check/boxed.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/file.hpp"
#include "host/plugin-check/process_state.hpp"

namespace rap::check {
namespace {

constexpr std::size_t kAnswerMax = 1 << 20;
constexpr std::size_t kOutputMax = 4096;
constexpr int kSignalBase = 128;

using Time = std::chrono::steady_clock;

struct Pipe {
  Fd read, write;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  return {Fd(ends[0]), Fd(ends[1])};
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

// The answer starts with a mark, so that an empty one is not taken for none.
[[noreturn]] void answer(int fd, const std::string& text) {
  write_all(fd, "=" + text.substr(0, kAnswerMax));
  ::_exit(0);
}

// In the forked process. The process that enter() returns in is the first of its pid namespace,
// where default signals do nothing, so the work has another one.
[[noreturn]] void child(int keep_fd, Pipe result, Pipe output,
                        const std::function<std::string(Box&)>& work) {
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ::dup2(null.get(), 0);
  ::dup2(output.write.get(), 1);
  ::dup2(output.write.get(), 2);
  const int out = result.write.get();
  sandbox::Options options;
  options.keep_fds = {out};
  if (keep_fd >= 0) options.keep_fds.push_back(keep_fd);
  auto entered = sandbox::enter(options);
  if (!entered) answer(out, "sandbox: " + entered.error().text());
  auto stage_two = sandbox::StageTwo::prepare();
  if (!stage_two) answer(out, "sandbox: " + stage_two.error().text());

  const pid_t worker = ::fork();
  if (worker < 0) answer(out, "sandbox: fork: " + errno_text(errno));
  // Opened now, because afterwards /proc cannot be read.
  if (worker == 0) ProcessState::open_task_list();
  if (auto ok = sandbox::stage_one(entered->report); !ok) {
    if (worker == 0) answer(out, "sandbox: " + ok.error().text());
    ::_exit(1);
  }
  if (worker == 0) {
    Box box(entered->report, *stage_two);
    answer(out, work(box));
  }
  int status = 0;
  while (::waitpid(worker, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status) : (WEXITSTATUS(status) ? 1 : 0));
}

// Reads what is there; false at the end.
bool drain(int fd, std::string& into, std::size_t keep_last) {
  std::array<char, 4096> buffer;
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  if (n == 0) return false;
  into.append(buffer.data(), static_cast<std::size_t>(n));
  if (into.size() > keep_last) into.erase(0, into.size() - keep_last);
  return true;
}

// Until both pipes end; false when that takes too long.
bool collect(Fd result, Fd output, Time::time_point deadline, Finished& out) {
  while (result || output) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Time::now()).count();
    if (left <= 0) return false;
    std::array<pollfd, 2> polled{{{result.get(), POLLIN, 0}, {output.get(), POLLIN, 0}}};
    if (::poll(polled.data(), polled.size(), static_cast<int>(left)) < 0 && errno != EINTR) break;
    if (polled[0].revents && !drain(result.get(), out.answer, kAnswerMax + 1)) result.reset();
    if (polled[1].revents && !drain(output.get(), out.output, kOutputMax)) output.reset();
  }
  return true;
}

}  // namespace

std::string Finished::trouble() const {
  switch (how) {
    case How::answered:
      return {};
    case How::exited:
      return "the process ended itself (P3)";
    case How::signalled:
      return fmt::format("died of signal {} ({})", signal, ::strsignal(signal));
    case How::timed_out:
      break;
  }
  return fmt::format("did not come back within {} ms (T3)", took.count());
}

Finished run_boxed(int keep_fd, std::chrono::milliseconds limit,
                   const std::function<std::string(Box&)>& work) {
  Finished out;
  const auto start = Time::now();
  Pipe result = make_pipe();
  Pipe output = make_pipe();
  const pid_t pid = ::fork();
  if (pid == 0) child(keep_fd, std::move(result), std::move(output), work);
  if (pid < 0) {
    out.how = Finished::How::exited;
    return out;
  }
  result.write.reset();
  output.write.reset();
  const bool in_time = collect(std::move(result.read), std::move(output.read), start + limit, out);
  // The pid stands for the whole box: nothing in it outlives this process.
  if (!in_time) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  out.took = std::chrono::duration_cast<std::chrono::milliseconds>(Time::now() - start);
  if (!in_time) {
    out.how = Finished::How::timed_out;
  } else if (WIFSIGNALED(status)) {
    out.how = Finished::How::signalled;
    out.signal = WTERMSIG(status);
  } else if (WEXITSTATUS(status) > kSignalBase) {
    out.how = Finished::How::signalled;
    out.signal = WEXITSTATUS(status) - kSignalBase;
  } else if (out.answer.empty() || out.answer[0] != '=') {
    out.how = Finished::How::exited;
  } else {
    out.answer.erase(0, 1);
  }
  return out;
}

}  // namespace rap::check
