#include "host/agent/state/outbox.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace rap::agent {
namespace {

constexpr std::size_t kEventBytesMax = 16 * 1024;
// Of what waits: ten thousand events of a usual size are 4 MB.
constexpr std::size_t kLiveBytesMax = 16u << 20;
// A file is never longer than twice what waits and a little, unless the disk is full.
constexpr std::size_t kFileBytesMax = 64u << 20;
// Rewritten without what was accepted or dropped when it is larger than this and mostly such.
constexpr std::size_t kRewriteBytes = 1 << 20;
constexpr std::size_t kLineExtra = 10;  // checksum, space, line break
constexpr std::size_t kSessionShare = 64;
constexpr std::size_t kSessionEventsMin = 16;  // opening to closing, and some people between

std::uint32_t crc32(std::string_view text) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> out{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = (c & 1) ? 0xedb88320u ^ (c >> 1) : c >> 1;
      out[i] = c;
    }
    return out;
  }();
  std::uint32_t crc = ~0u;
  for (const char c : text) crc = table[(crc ^ std::uint8_t(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

std::string crc_text(std::string_view text) {
  char buffer[9];
  std::snprintf(buffer, sizeof buffer, "%08x", crc32(text));
  return buffer;
}

Error disk_error(const std::filesystem::path& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT;
  return {full ? Errc::exhausted : Errc::internal, path.string() + ": " + errno_text(error)};
}

// Quotes inside a value are escaped, so these are members.
bool is_state_change(std::string_view event) {
  return event.find("\"kind\":\"state\"") != std::string_view::npos;
}

std::string_view session_of(std::string_view event) {
  constexpr std::string_view kMember = "\"session_id\":\"";
  const std::size_t at = event.find(kMember);
  if (at == std::string_view::npos) return {};
  event.remove_prefix(at + kMember.size());
  return event.substr(0, event.find('"'));
}

Status write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(disk_error("outbox", n == 0 ? ENOSPC : errno));
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

std::string outbox_line(std::string_view event) {
  return crc_text(event) + " " + std::string(event) + "\n";
}

Result<std::string> parse_outbox_line(std::string_view line) {
  if (line.size() < 9 || line[8] != ' ') return fail(Errc::malformed, "outbox line");
  const std::string_view event = line.substr(9);
  if (line.substr(0, 8) != crc_text(event)) return fail(Errc::malformed, "outbox line: checksum");
  return std::string(event);
}

Result<Outbox> Outbox::open(const std::filesystem::path& directory, std::size_t events_max) {
  Outbox out;
  out.path_ = directory / "events";
  out.events_max_ = events_max;
  auto text = read_text_file(out.path_, kFileBytesMax);
  if (!text && text.error().code == Errc::too_large) {
    // Better without these events than without the node.
    const std::string aside = out.path_.string() + ".damaged";
    if (::rename(out.path_.c_str(), aside.c_str()) != 0) {
      return fail(disk_error(out.path_, errno));
    }
    ++out.damaged_;
    text = std::string();
  }
  if (!text && text.error().code != Errc::not_found) return fail(std::move(text.error()));

  std::size_t whole = 0;  // bytes up to the end of the last complete line
  for (std::size_t at = 0; text && at < text->size();) {
    const std::size_t end = text->find('\n', at);
    if (end == std::string::npos) break;
    auto event = parse_outbox_line(std::string_view(*text).substr(at, end - at));
    if (event) {
      out.add(std::move(*event));
    } else {
      ++out.damaged_;
    }
    whole = at = end + 1;
  }
  out.fd_ = Fd(::open(out.path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!out.fd_) return fail(disk_error(out.path_, errno));
  if (::ftruncate(out.fd_.get(), static_cast<off_t>(whole)) != 0 || ::fsync(out.fd_.get()) != 0) {
    return fail(disk_error(out.path_, errno));
  }
  Fd dir(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || ::fsync(dir.get()) != 0) return fail(disk_error(directory, errno));
  out.file_bytes_ = whole;
  return out;
}

Status Outbox::append(std::string event) {
  if (event.size() > kEventBytesMax) return fail(Errc::too_large, "event: more than 16 KiB");
  if (event.find('\n') != std::string::npos) return fail(Errc::invalid, "event: line break");
  const std::string line = outbox_line(event);
  const ssize_t n = ::write(fd_.get(), line.data(), line.size());
  if (n != static_cast<ssize_t>(line.size()) || ::fsync(fd_.get()) != 0) {
    const int error = n >= 0 && n < static_cast<ssize_t>(line.size()) ? ENOSPC : errno;
    // Half a line would swallow the next one.
    [[maybe_unused]] const int cut = ::ftruncate(fd_.get(), static_cast<off_t>(file_bytes_));
    return fail(disk_error(path_, error));
  }
  file_bytes_ += line.size();
  add(std::move(event));
  while (events_.size() > events_max_ || live_bytes_ > kLiveBytesMax) evict();
  shorten_file();
  return {};
}

void Outbox::add(std::string event) {
  const std::string_view session = session_of(event);
  auto count = of_session_.find(session);
  if (count == of_session_.end()) count = of_session_.emplace(session, 0).first;
  ++count->second;
  live_bytes_ += event.size() + kLineExtra;
  events_.push_back({++last_number_, std::move(event)});
}

void Outbox::forget(std::deque<Entry>::iterator at) {
  live_bytes_ -= at->event.size() + kLineExtra;
  const auto count = of_session_.find(session_of(at->event));
  if (--count->second == 0) of_session_.erase(count);
  events_.erase(at);
}

void Outbox::evict() {
  const auto most = std::max_element(of_session_.begin(), of_session_.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  const bool too_many = most->second > std::max(kSessionEventsMin, events_.size() / kSessionShare);
  const auto may_go = [&](const Entry& entry) {
    return !too_many || session_of(entry.event) == most->first;
  };
  auto victim = std::find_if(events_.begin(), events_.end(), [&](const Entry& entry) {
    return may_go(entry) && !is_state_change(entry.event);
  });
  if (victim == events_.end()) victim = std::find_if(events_.begin(), events_.end(), may_go);
  forget(victim);
  ++dropped_;
}

Outbox::Batch Outbox::front(std::size_t count) const {
  Batch out;
  for (const Entry& entry : events_) {
    if (out.events.size() >= count) break;
    out.events.push_back(entry.event);
    out.last = entry.number;
  }
  return out;
}

void Outbox::accepted(std::uint64_t last) {
  while (!events_.empty() && events_.front().number <= last) forget(events_.begin());
  if (events_.empty()) {
    // Not synced: should the old content come back after a power cut, it is only sent again.
    if (::ftruncate(fd_.get(), 0) == 0) file_bytes_ = 0;
    return;
  }
  shorten_file();
}

void Outbox::shorten_file() {
  if (file_bytes_ <= std::max(kRewriteBytes, rewrite_from_) || live_bytes_ >= file_bytes_ / 2) {
    return;
  }
  // A failure leaves the longer file, which is right too.
  rewrite_from_ = rewrite() ? 0 : file_bytes_ + kRewriteBytes;
}

Status Outbox::rewrite() {
  std::string text;
  for (const Entry& entry : events_) text += outbox_line(entry.event);
  // Through its own descriptor: opened again after the rename, that could fail, and what is
  // appended would go into a file without a name.
  const std::string fresh_path = path_.string() + ".new";
  Fd fresh(::open(fresh_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!fresh) return fail(disk_error(path_, errno));
  Status written = write_all(fresh.get(), text);
  if (written && ::fsync(fresh.get()) != 0) written = fail(disk_error(path_, errno));
  if (written && ::rename(fresh_path.c_str(), path_.c_str()) != 0) {
    written = fail(disk_error(path_, errno));
  }
  if (!written) {
    ::unlink(fresh_path.c_str());
    return written;
  }
  // The name is the new file's, whether or not a power cut may still undo that.
  fd_ = std::move(fresh);
  file_bytes_ = text.size();
  const Fd dir(::open(path_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || ::fsync(dir.get()) != 0) return fail(disk_error(path_, errno));
  return {};
}

}  // namespace rap::agent
