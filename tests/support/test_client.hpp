// A client of a session stream, for tests of everything that serves one.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <string>

#include "base/file.hpp"
#include "contracts/frames/control.hpp"
#include "contracts/frames/reader.hpp"
#include "tests/support/patience.hpp"

namespace rap::test {

// One client's end of an attachment.
class TestClient {
 public:
  explicit TestClient(Fd stream);

  void send_control(const frames::ClientMessage& message);
  void send_input(std::string_view bytes);
  void send_raw(ByteView bytes);
  void close() { stream_.reset(); }

  // The next hub message; other frames that come before are appended to output().
  std::optional<frames::HubMessage> next_message(int timeout_ms = kPatienceMs);
  // Skips until a message of that type.
  template <typename T>
  std::optional<T> next(int timeout_ms = kPatienceMs) {
    while (auto message = next_message(timeout_ms)) {
      if (auto* wanted = std::get_if<T>(&*message)) return *wanted;
    }
    return std::nullopt;
  }
  // Reads until output() contains `text`.
  bool wait_output(std::string_view text, int timeout_ms = kPatienceMs);
  // Reads until the stream ends; false at the timeout.
  bool wait_end(int timeout_ms = kPatienceMs);
  // Reads that many payload bytes without keeping them.
  std::size_t drain(std::size_t bytes, int timeout_ms = kPatienceMs);

  const std::string& output() const { return output_; }
  int key_frames() const { return key_frames_; }

 private:
  // False: end or timeout.
  bool read_more(int timeout_ms);
  bool take_frames();

  Fd stream_;
  frames::FrameReader reader_{frames::Direction::to_client};
  std::deque<frames::HubMessage> messages_;
  std::string output_;
  std::size_t dropped_bytes_ = 0;
  bool keep_ = true;
  int key_frames_ = 0;
  bool ended_ = false;
  std::array<std::uint64_t, frames::kChannelCount> seq_{};
};

}  // namespace rap::test
