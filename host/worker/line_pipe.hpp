// What a session process prints, line by line. The zygote reads it, so that the last words of a
// process that crashes are not lost with it.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "base/file.hpp"

namespace rap::worker {

class LinePipe {
 public:
  explicit LinePipe(Fd reading) : fd_(std::move(reading)) {}
  int fd() const { return fd_.get(); }

  // Reads what is there; false at the end.
  bool drain(const std::function<void(std::string_view line)>& each);
  // The newest lines, joined; at most 2 KiB.
  std::string last_words() const;

 private:
  void take(std::string_view line, const std::function<void(std::string_view line)>& each);

  Fd fd_;
  std::string partial_;
  std::deque<std::string> last_;
};

}  // namespace rap::worker
