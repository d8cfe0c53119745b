#include "tests/support/test_client.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

namespace rap::test {
namespace {

using Clock = std::chrono::steady_clock;

int left_ms(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::max<long>(0, left.count()));
}

}  // namespace

TestClient::TestClient(Fd stream) : stream_(std::move(stream)) {}

void TestClient::send_raw(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(stream_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void TestClient::send_control(const frames::ClientMessage& message) {
  send_raw(frames::make_control_frame(frames::to_json(message), ++seq_[0]));
}

void TestClient::send_input(std::string_view bytes) {
  frames::FrameHeader header;
  header.channel = frames::Channel::input;
  header.seq = ++seq_[2];
  send_raw(frames::make_frame(header, as_bytes(bytes)));
}

bool TestClient::read_more(int timeout_ms) {
  if (ended_ || !stream_) return false;
  pollfd wait{stream_.get(), POLLIN, 0};
  if (poll(&wait, 1, timeout_ms) <= 0) return false;
  const auto room = reader_.prepare();
  const ssize_t n = recv(stream_.get(), room.data(), room.size(), 0);
  if (n <= 0) {
    ended_ = true;
    return false;
  }
  reader_.commit(static_cast<std::size_t>(n));
  return take_frames();
}

bool TestClient::take_frames() {
  while (true) {
    auto frame = reader_.next();
    if (!frame) {
      ended_ = true;
      return false;
    }
    if (!*frame) return true;
    const auto& [header, payload] = **frame;
    if (header.channel == frames::Channel::control) {
      if (auto message = frames::parse_hub_message(as_text(payload))) messages_.push_back(*message);
      continue;
    }
    if ((header.flags & frames::kFlagKey) != 0) ++key_frames_;
    if (keep_) output_ += as_text(payload);
    dropped_bytes_ += payload.size();
  }
}

std::optional<frames::HubMessage> TestClient::next_message(int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (messages_.empty()) {
    if (!read_more(left_ms(deadline)) && messages_.empty()) return std::nullopt;
  }
  auto out = messages_.front();
  messages_.pop_front();
  return out;
}

bool TestClient::wait_output(std::string_view text, int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (output_.find(text) == std::string::npos) {
    if (!read_more(left_ms(deadline))) return output_.find(text) != std::string::npos;
  }
  return true;
}

bool TestClient::wait_end(int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!ended_ && left_ms(deadline) > 0) read_more(left_ms(deadline));
  return ended_;
}

std::size_t TestClient::drain(std::size_t bytes, int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  dropped_bytes_ = 0;
  keep_ = false;
  while (dropped_bytes_ < bytes && read_more(left_ms(deadline))) {
  }
  keep_ = true;
  return dropped_bytes_;
}

}  // namespace rap::test
