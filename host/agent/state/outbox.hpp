// Session events on their way to the control plane: written before they are acknowledged to the
// worker, removed when they are accepted, in order.
//
// One file of lines, "<crc32, 8 hex digits> <json>\n". A torn last line was never acknowledged and
// is cut off when the file is opened; a damaged line in the middle is skipped and counted. The file
// is emptied when everything was accepted, and written anew when most of it is not needed any more,
// so that after a crash some events are sent again: the control plane knows them by event_id.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"

namespace rap::agent {

class Outbox {
 public:
  // Events with numbers, which count up while this object lives.
  struct Batch {
    std::vector<std::string> events;
    std::uint64_t last = 0;  // number of the last one
  };

  // Reads what an earlier run left in `directory`. A file that is larger than any this wrote is
  // moved aside ("events.damaged") and counted as damaged.
  static Result<Outbox> open(const std::filesystem::path& directory, std::size_t events_max);

  // Durable when it returns. `event` is one JSON object in text, at most 16 KiB, without line
  // breaks. `exhausted` when the disk is full: then nothing was added and the caller must not
  // acknowledge. When the outbox is full (`events_max`, or 16 MiB), the session with the most
  // events makes room if it has more than a 64th of them all, so that one session cannot push the
  // others' out; else any. Of those the oldest event that is no change of state goes, or else the
  // oldest.
  Status append(std::string event);

  // The oldest at most `count` events.
  Batch front(std::size_t count) const;
  // Everything up to this number was accepted; what was appended since stays.
  void accepted(std::uint64_t last);

  std::size_t size() const { return events_.size(); }
  std::uint64_t damaged() const { return damaged_; }
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Entry {
    std::uint64_t number;
    std::string event;
  };
  Outbox() = default;
  void add(std::string event);
  void forget(std::deque<Entry>::iterator at);
  void evict();
  void shorten_file();
  Status rewrite();

  std::filesystem::path path_;
  Fd fd_;
  std::deque<Entry> events_;
  std::map<std::string, std::size_t, std::less<>> of_session_;  // how many are waiting
  std::uint64_t last_number_ = 0;
  std::size_t events_max_ = 0;
  std::size_t live_bytes_ = 0;  // of the lines of events_
  std::size_t file_bytes_ = 0;
  std::size_t rewrite_from_ = 0;  // a failed rewrite is tried again when the file has this size
  std::uint64_t damaged_ = 0;
  std::uint64_t dropped_ = 0;
};

// One line of the file, and back; `malformed` for anything that append() did not write.
std::string outbox_line(std::string_view event);
Result<std::string> parse_outbox_line(std::string_view line_without_newline);

}  // namespace rap::agent
