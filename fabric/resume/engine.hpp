// What one end of a resumable stream knows: which bytes wait, which came, what to say next.
// docs/contracts/resume.md. Pure: no I/O, no clock, no randomness.
#pragma once

#include <optional>

#include "fabric/resume/block_queue.hpp"
#include "fabric/resume/frame.hpp"
#include "fabric/resume/limits.hpp"

namespace rap::resume {

class Engine {
 public:
  // Attached, as after HELLO and WELCOME.
  Engine(const ResumeLimits& limits, std::uint32_t peer_window, TimePoint now);

  // The user. Stores what there is room for and says how much.
  std::size_t write(ByteView bytes, TimePoint now);
  // No more bytes; what was written and END are still sent.
  void end(TimePoint now);
  bool end_wanted() const { return end_wanted_; }
  // Bytes that came, 0 when none wait.
  std::size_t read(std::span<std::uint8_t> into, TimePoint now);
  std::size_t unread() const { return in_.size(); }
  // Whether END came and all before it was taken.
  bool in_ended() const { return in_end_ && taken_ == *in_end_; }
  // What comes from now on is acknowledged and dropped.
  void discard_input(TimePoint now);
  // Says CLOSE instead of anything else.
  void close(CloseReason reason) { closing_ = reason; }
  bool closing() const { return closing_.has_value(); }

  // What came. A failure is a broken protocol. After a DATA header its bytes follow by data(), in
  // pieces, `data_left()` altogether; they go to `reader` when nothing waits before them, the rest
  // waits. Returns how much `reader` got.
  Status frame(const FrameHeader& header, TimePoint now);
  std::size_t data_left() const { return data_left_; }
  std::size_t data(ByteView bytes, std::span<std::uint8_t> reader, TimePoint now);
  // Set once CLOSE came.
  std::optional<CloseReason> closed_by_peer() const { return closed_by_peer_; }

  // What to send now; empty: nothing. The bytes stay until written() or detach(), one of which must
  // come before the next call.
  ByteView output(TimePoint now);
  bool has_output(TimePoint now) const;
  void written();
  // Both ENDs came and were acknowledged.
  bool finished() const;
  bool close_sent() const { return close_sent_; }

  // The first offset that has not come.
  std::uint64_t next_in() const { return received_; }
  // A new transport whose other end has everything before `peer_next`. `malformed` when that
  // cannot be.
  Status attach(std::uint64_t peer_next, TimePoint now);
  void detach();

  // When to call on_time(), at the latest.
  TimePoint deadline() const;
  // False: the other end is silent for too long.
  bool on_time(TimePoint now);

  // Whether write() would store something.
  bool has_room() const { return room() > 0; }
  // Moves when anything was received or acknowledged.
  std::uint64_t progress() const { return received_ + acked_; }
  // Sent twice, over all transports.
  std::uint64_t resent() const { return resent_; }
  std::size_t unacknowledged() const { return static_cast<std::size_t>(total() - acked_bytes()); }
  std::size_t memory() const { return in_.memory() + out_.memory() + scratch_.capacity(); }
  // Nothing will be sent any more.
  void forget_output();

 private:
  std::uint64_t total() const { return dropped_ + out_.size(); }
  std::uint64_t acked_bytes() const { return acked_ < total() ? acked_ : total(); }
  std::size_t room() const;
  bool outstanding() const { return acked_ < total() + (end_wanted_ ? 1 : 0); }
  std::uint64_t ack_value() const { return taken_ + (in_ended() ? 1 : 0); }
  void took(TimePoint now);
  void drop_acknowledged();
  Status ack(std::uint64_t value);
  void heard(TimePoint now);

  const ResumeLimits& limits_;
  std::uint32_t out_window_;

  // Out. dropped_ <= acked_ <= sent_ <= sent_most_ <= total() + 1; END is the place after the last.
  BlockQueue out_;
  std::uint64_t dropped_ = 0;  // offset of the first byte in out_
  std::uint64_t acked_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t sent_most_ = 0;
  std::uint64_t resent_ = 0;
  bool end_wanted_ = false;
  std::optional<std::uint64_t> pinned_;  // where the output under way begins: it must stay
  Bytes scratch_;
  std::optional<CloseReason> closing_;
  bool close_sent_ = false;

  // In. taken_ + in_.size() is what came as bytes.
  BlockQueue in_;
  std::uint64_t received_ = 0;
  std::uint64_t taken_ = 0;
  std::optional<std::uint64_t> in_end_;
  std::size_t data_left_ = 0;
  bool discard_ = false;
  std::optional<CloseReason> closed_by_peer_;

  std::uint64_t ack_said_ = 0;  // in the newest ACK
  bool ack_now_ = false;
  std::optional<TimePoint> ack_at_;
  TimePoint ack_last_;
  std::optional<std::uint64_t> pong_;
  TimePoint quiet_since_;  // heard, or from when on we wait for an answer
  std::optional<TimePoint> asked_at_;
  bool ping_now_ = false;
};

}  // namespace rap::resume
