// Session events on their way to the control plane: written before they are acknowledged to the
// worker, removed when they are accepted, in order.
//
// One file of lines, "<crc32, 8 hex digits> <json>\n". A torn last line was never acknowledged and
// is cut off when the file is opened; a damaged line in the middle is skipped and counted. The file
// is emptied when everything was accepted, so that after a crash some events are sent again: the
// control plane knows them by event_id.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"

namespace rap::agent {

class Outbox {
 public:
  // Reads what an earlier run left in `directory`.
  static Result<Outbox> open(const std::filesystem::path& directory, std::size_t events_max);

  // Durable when it returns. `event` is one JSON object in text, at most 16 KiB, without line
  // breaks. `exhausted` when the disk is full: then nothing was added and the caller must not
  // acknowledge. When the outbox is full the oldest event that is no change of state makes room,
  // and without one the oldest.
  Status append(std::string event);

  // The oldest at most `count` events.
  std::vector<std::string> front(std::size_t count) const;
  // The oldest `count` were accepted.
  void accepted(std::size_t count);

  std::size_t size() const { return events_.size(); }
  std::uint64_t damaged() const { return damaged_; }
  std::uint64_t dropped() const { return dropped_; }

 private:
  Outbox() = default;
  Status rewrite();

  std::filesystem::path path_;
  Fd fd_;
  std::deque<std::string> events_;
  std::size_t events_max_ = 0;
  std::size_t file_bytes_ = 0;
  std::uint64_t damaged_ = 0;
  std::uint64_t dropped_ = 0;
};

// One line of the file, and back; `malformed` for anything that append() did not write.
std::string outbox_line(std::string_view event);
Result<std::string> parse_outbox_line(std::string_view line_without_newline);

}  // namespace rap::agent
