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
constexpr std::size_t kFileBytesMax = 64u << 20;
// Rewritten without what was accepted when it is larger than this and mostly such.
constexpr std::size_t kRewriteBytes = 1 << 20;

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

bool is_state_change(const std::string& event) {
  return event.find("\"kind\":\"state\"") != std::string::npos;
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
  if (!text && text.error().code != Errc::not_found) return fail(std::move(text.error()));

  std::size_t whole = 0;  // bytes up to the end of the last complete line
  for (std::size_t at = 0; text && at < text->size();) {
    const std::size_t end = text->find('\n', at);
    if (end == std::string::npos) break;
    auto event = parse_outbox_line(std::string_view(*text).substr(at, end - at));
    if (event) {
      out.events_.push_back(std::move(*event));
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
  events_.push_back(std::move(event));
  if (events_.size() > events_max_) {
    auto victim = std::find_if_not(events_.begin(), events_.end(), is_state_change);
    events_.erase(victim == events_.end() ? events_.begin() : victim);
    ++dropped_;
  }
  return {};
}

std::vector<std::string> Outbox::front(std::size_t count) const {
  count = std::min(count, events_.size());
  return {events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(count)};
}

void Outbox::accepted(std::size_t count) {
  count = std::min(count, events_.size());
  events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(count));
  if (events_.empty()) {
    // Not synced: should the old content come back after a power cut, it is only sent again.
    if (::ftruncate(fd_.get(), 0) == 0) file_bytes_ = 0;
    return;
  }
  std::size_t live = 0;
  for (const std::string& event : events_) live += event.size() + 10;
  // A failure leaves the longer file, which is right too.
  if (file_bytes_ > kRewriteBytes && live < file_bytes_ / 2) (void)rewrite();
}

Status Outbox::rewrite() {
  std::string text;
  for (const std::string& event : events_) text += outbox_line(event);
  if (Status written = write_file_atomic(path_, text, 0600); !written) return written;
  Fd fresh(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fresh) return fail(disk_error(path_, errno));
  fd_ = std::move(fresh);
  file_bytes_ = text.size();
  return {};
}

}  // namespace rap::agent
