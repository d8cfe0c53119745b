// The main of every GoogleTest program. Standard error, ours and that of every child, goes to a
// file, and what a test left there is shown only when it failed: children say several lines each,
// and of a long run often only the end is kept. For the same reason the failures are told again
// after the last test. Nothing is hidden when the program dies: the handlers write what they have
// first.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

// ctest ends a program after 600 s without a word; by then we have said what we know.
constexpr unsigned kHangSeconds = 580;
// Of one test: enough for the lines around the failure.
constexpr off_t kTailBytes = 6'000;
// Told again at the end; a broken machine fails everything with the same words.
constexpr std::size_t kAgainMax = 8;

int real_stderr = -1;
int log_file = -1;
off_t test_began = 0;
pid_t ours = 0;

off_t log_size() {
  struct stat about {};
  return ::fstat(log_file, &about) == 0 ? about.st_size : 0;
}

// Async-signal-safe.
void show_log(off_t from) {
  const off_t end = log_size();
  char block[4096];
  for (off_t at = std::max(from, end - kTailBytes); at < end;) {
    const ssize_t n = ::pread(log_file, block, sizeof block, at);
    if (n <= 0 || ::write(real_stderr, block, static_cast<std::size_t>(n)) < 0) return;
    at += n;
  }
}

void show_and_die(int number) {
  if (::getpid() == ours) show_log(test_began);  // and not what a test forked
  ::signal(number == SIGALRM ? SIGABRT : number, SIG_DFL);
  ::raise(number == SIGALRM ? SIGABRT : number);
}

class Teller : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& test) override {
    test_began = log_size();
    name_ = std::string(test.test_suite_name()) + "." + test.name();
  }

  // GoogleTest holds its mutex meanwhile: asking it for the current test would wait for ever.
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed() || failures_.size() >= kAgainMax) return;
    const char* file = result.file_name() == nullptr ? "" : result.file_name();
    const std::string line =
        name_ + "  " + file + ":" + std::to_string(result.line_number()) + "\n" + result.message();
    failures_.push_back(line.substr(0, kTailBytes));
  }

  void OnTestEnd(const testing::TestInfo& test) override {
    std::fflush(stderr);
    if (!test.result()->Failed() || log_size() == test_began) return;
    std::printf("---- standard error of %s.%s, its end:\n", test.test_suite_name(), test.name());
    std::fflush(stdout);
    show_log(test_began);
    std::printf("----\n");
  }

  void OnTestProgramEnd(const testing::UnitTest&) override {
    for (const std::string& failure : failures_) std::printf("again: %s\n", failure.c_str());
  }

  std::string name_;
  std::vector<std::string> failures_;
};

void keep_stderr() {
#if !defined(__SANITIZE_ADDRESS__)  // its report goes to descriptor 2, and then the process is gone
  if (std::getenv("RAP_TEST_STDERR") != nullptr) return;  // a person wants to see it as it comes
  char name[] = "/tmp/rap-stderr-XXXXXX";
  log_file = ::mkostemp(name, O_APPEND | O_CLOEXEC);
  if (log_file < 0) return;
  ::unlink(name);
  ours = ::getpid();
  real_stderr =
      ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);  // away from the numbers that tests look at
  if (real_stderr < 0 || ::dup2(log_file, STDERR_FILENO) < 0) return;
  testing::UnitTest::GetInstance()->listeners().Append(new Teller);  // GoogleTest owns it
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM})
    ::signal(number, show_and_die);
  ::alarm(kHangSeconds);
#endif
}

}  // namespace

int main(int count, char** words) {
  testing::InitGoogleTest(&count, words);
  keep_stderr();
  return RUN_ALL_TESTS();
}
