#include "host/worker/line_pipe.hpp"

#include <unistd.h>

#include <cerrno>

namespace rap::worker {
namespace {

constexpr std::size_t kLineBytesMax = 4096;  // longer lines are cut into several
constexpr std::size_t kLastLines = 8;
constexpr std::size_t kLastBytes = 2048;
// Per readiness: a session that floods its log must not keep the zygote from the others.
constexpr int kReadsMax = 4;

}  // namespace

bool LinePipe::drain(const std::function<void(std::string_view)>& each) {
  char buffer[4096];
  for (int i = 0; i < kReadsMax; ++i) {
    const ssize_t n = read(fd_.get(), buffer, sizeof buffer);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
      if (!partial_.empty()) take(partial_, each);
      partial_.clear();
      return false;
    }
    partial_.append(buffer, static_cast<std::size_t>(n));
    std::size_t from = 0;
    for (std::size_t at; (at = partial_.find('\n', from)) != std::string::npos; from = at + 1) {
      take(std::string_view(partial_).substr(from, at - from), each);
    }
    partial_.erase(0, from);
    if (partial_.size() >= kLineBytesMax) {
      take(partial_, each);
      partial_.clear();
    }
  }
  return true;
}

void LinePipe::take(std::string_view line, const std::function<void(std::string_view)>& each) {
  last_.emplace_back(line);
  if (last_.size() > kLastLines) last_.pop_front();
  each(line);
}

std::string LinePipe::last_words() const {
  std::string out;
  for (const std::string& line : last_) {
    if (!out.empty()) out += "\n";
    out += line;
  }
  return out.size() > kLastBytes ? out.substr(out.size() - kLastBytes) : out;
}

}  // namespace rap::worker
