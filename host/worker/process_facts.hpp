// What this process is like, from /proc, through a descriptor that was opened before the sandbox
// made /proc unreadable.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <string_view>

#include "base/file.hpp"

namespace rap::worker {

class ProcessFacts {
 public:
  ProcessFacts() : status_(open("/proc/self/status", O_RDONLY | O_CLOEXEC)) {}

  // -1 when it cannot be read.
  long threads() const { return number_after("\nThreads:"); }
  long resident_kb() const { return number_after("\nVmRSS:"); }

 private:
  long number_after(std::string_view label) const {
    char text[8192];
    const ssize_t n = pread(status_.get(), text, sizeof text, 0);
    if (n <= 0) return -1;
    const std::string_view all(text, static_cast<std::size_t>(n));
    std::size_t at = all.find(label);
    if (at == std::string_view::npos) return -1;
    at = all.find_first_of("0123456789", at + label.size());
    if (at == std::string_view::npos) return -1;
    long value = -1;
    std::from_chars(all.data() + at, all.data() + all.size(), value);
    return value;
  }

  Fd status_;
};

}  // namespace rap::worker
