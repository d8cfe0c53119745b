#include "session.hpp"

#include <algorithm>

namespace rap::ssh {
namespace {

// Output that nobody took yet. More would only make Ctrl-C slower.
constexpr std::size_t kReadyMax = 256 * 1024;
// One frame; a multiple of what sshd sends, well under the 1 MiB of the frame protocol.
constexpr std::size_t kFrameMax = 128 * 1024;
// The longest escape sequence that is passed on whole (pictures and clipboard texts are long).
constexpr std::size_t kSequenceMax = 512 * 1024;

ConnectionWant connection_want(const rap_session_want& want) {
  return {std::string(view(want.target)), std::string(view(want.secret_ref)),
          parse_options(view(want.options_json)), clamp_size(want.width, want.height)};
}

}  // namespace

SshSession::SshSession(Host host, Sink session_sink, const rap_session_want& want,
                       Counters& counters)
    : Session(session_sink),
      host_(host),
      counters_(counters),
      screen_(clamp_size(want.width, want.height)),
      connection_(host, *this, connection_want(want)) {
  connection_.start();
  ++counters_.sessions;
}

SshSession::~SshSession() {
  --counters_.sessions;
}

void SshSession::attach(const rap_attach& who) {
  if (who.mode == RAP_ATTACH_CONTROL) {
    controllers_.insert(who.attach_id);
    // The terminal of the person answers questions from now on.
    screen_.take_replies();
    if (who.width > 0 && who.height > 0) resize(who.width, who.height, who.dpi);
  }
  // The screen has seen exactly what was emitted, so the picture fits in here. What is emitted now
  // is for this attachment alone: output that waits must go on waiting, it is for everybody.
  picture_ = screen_.repaint();
  picture_sent_ = 0;
  const bool was_blocked = blocked_;
  send_picture();
  blocked_ = was_blocked || !picture_.empty();
}

void SshSession::detach(std::uint64_t attach_id) {
  if (controllers_.erase(attach_id) > 0 && controllers_.empty()) screen_.take_replies();
}

void SshSession::resize(std::uint32_t cols, std::uint32_t rows, std::uint32_t) {
  const ScreenSize size = clamp_size(cols, rows);
  screen_.resize(size);
  connection_.resize(size);
}

void SshSession::input(std::uint64_t, std::span<const rap_frame> frames) {
  std::string bytes;
  for (const rap_frame& frame : frames) {
    if (frame.channel != RAP_CH_INPUT) continue;
    bytes.append(static_cast<const char*>(frame.data), frame.len);
  }
  if (!connection_.write(bytes)) throw Failure(RAP_E_BUSY, "the target is behind with its input");
}

void SshSession::writable() {
  blocked_ = false;
  send();
  if (!blocked_) connection_.resume();
}

void SshSession::on_open() {
  sink.opened(RAP_OK);
}

void SshSession::on_failed(rap_result code, const std::string& why) {
  sink.opened(code, why);
}

std::size_t SshSession::output_room() {
  const std::size_t waiting = held_from() - sent_;
  return blocked_ || waiting >= kReadyMax ? 0 : kReadyMax - waiting;
}

void SshSession::on_output(std::string_view bytes) {
  const std::size_t before = output_.size();
  output_.append(bytes);
  const std::size_t safe = boundary_.advance(bytes);
  if (safe > 0) marks_.push_back(before + safe);
  if (output_.size() - held_from() > kSequenceMax) {
    // Not a sequence but an attack or a broken program: cancelled, so that all terminals agree.
    output_ += '\030';
    boundary_.reset();
    marks_.push_back(output_.size());
  }
}

void SshSession::on_output_pause() {
  send();
  if (!controllers_.empty()) return;
  const std::string replies = screen_.take_replies();
  if (!replies.empty()) connection_.write(replies);
}

// False when the host is busy.
bool SshSession::emit_output(const char* data, std::size_t size, unsigned flags) {
  rap_frame frame{};
  frame.channel = RAP_CH_TERMINAL;
  frame.flags = static_cast<std::uint16_t>(flags);
  frame.data = data;
  frame.len = size;
  const auto emitted = emit({&frame, 1});
  blocked_ = emitted.result == RAP_E_BUSY;
  if (!blocked_) check(emitted.result, "the host does not take output");
  return !blocked_;
}

void SshSession::send_picture() {
  while (picture_sent_ < picture_.size()) {
    const std::size_t size = std::min(picture_.size() - picture_sent_, kFrameMax);
    const bool last = picture_sent_ + size == picture_.size();
    unsigned flags = 0;
    if (picture_sent_ == 0) flags |= RAP_FRAME_KEY;
    if (last) flags |= RAP_FRAME_END;
    if (!emit_output(picture_.data() + picture_sent_, size, flags)) return;
    picture_sent_ += size;
  }
  picture_.clear();
  picture_sent_ = 0;
}

void SshSession::send() {
  if (!blocked_) send_picture();
  while (!blocked_ && !marks_.empty()) {
    // As much as fits into a frame, but at least up to the next mark.
    std::size_t to = marks_.front();
    while (marks_.size() > 1 && marks_[1] - sent_ <= kFrameMax) {
      marks_.pop_front();
      to = marks_.front();
    }
    const std::string_view piece(output_.data() + sent_, to - sent_);
    if (!emit_output(piece.data(), piece.size(), RAP_FRAME_END)) return;
    screen_.write(piece);
    marks_.pop_front();
    sent_ = to;
  }
  if (blocked_ || !marks_.empty()) return;
  output_.erase(0, sent_);
  sent_ = 0;
  if (end_) report_end();
}

void SshSession::on_closed(rap_result code, const std::string& why,
                           std::optional<int> exit_status) {
  end_ = End{code, why, exit_status};
  // Half a sequence is all there will be; the picture of it does not matter any more.
  if (output_.size() > held_from()) marks_.push_back(output_.size());
  send();
}

void SshSession::report_end() {
  const End end = std::move(*end_);
  end_.reset();
  if (end.exit_status) {
    const std::string text =
        R"({"type":"exit","exit_status":)" + std::to_string(*end.exit_status) + "}";
    rap_frame frame{};
    frame.channel = RAP_CH_CONTROL;
    frame.encoding = 1;
    frame.flags = RAP_FRAME_END;
    frame.data = text.data();
    frame.len = text.size();
    if (emit({&frame, 1}).result == RAP_E_BUSY) {
      end_ = end;
      blocked_ = true;
      return;
    }
  }
  sink.closed(end.code, end.why);
}

}  // namespace rap::ssh
