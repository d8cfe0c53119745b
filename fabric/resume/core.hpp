// Private to fabric/resume: one end of a stream, shared by its user, its tasks and the registry.
#pragma once

#include <optional>

#include "base/net/task_group.hpp"
#include "fabric/resume/engine.hpp"
#include "fabric/resume/proof.hpp"
#include "fabric/resume/stream.hpp"

namespace rap::resume {

using net::Task;

// Tasks: run() for the whole life; while attached also a reader and a writer. Owned by run() and
// by the user's ByteStream.
class Core : public std::enable_shared_from_this<Core> {
 public:
  struct Setup {
    net::asio::any_io_executor executor;
    ResumeLimits limits;
    const ResumeClock* clock = nullptr;
    std::uint32_t peer_window = 0;
    StreamId id{};
    Secret key;
    OpenTransport open;  // dialler; empty: acceptor
  };
  explicit Core(Setup setup);

  // Begins on `transport`, after `greeting` was sent.
  void start(net::ByteStreamPtr transport, Bytes greeting);
  // The user's end.
  ResumableStreamPtr make_stream();

  // Acceptor. Whether `frame` proves that its sender has the key.
  bool proves(const Resume& frame) const;
  std::uint64_t epoch() const { return epoch_; }
  // The newest transport wins. `frame` proved it, and its epoch is above epoch().
  void offer(net::ByteStreamPtr transport, const Resume& frame);

  void close(CloseReason reason);
  bool over() const { return over_; }
  // Called once, when no transport is wanted any more.
  void on_over(std::function<void()> call) { on_over_ = std::move(call); }

  // For the user's ByteStream.
  Task<std::size_t> read_some(std::span<std::uint8_t> into);
  Task<void> write_all(ByteView bytes);
  void shutdown();
  void user_gone();
  ResumeInfo info() const;

 private:
  bool dials() const { return static_cast<bool>(open_); }

  static Task<void> run(std::shared_ptr<Core> self);
  Task<void> live();
  void ended();
  Task<void> attachment();
  Task<bool> dial_again();
  Task<void> try_once();
  Task<bool> wait_for_offer();

  static Task<void> read_pump(std::shared_ptr<Core> self);
  Task<void> read_frames();
  // Returns how many bytes were used; what is left is the beginning of a header.
  std::size_t consume(ByteView bytes);
  static Task<void> write_pump(std::shared_ptr<Core> self);
  Task<void> write_frames();

  void attach(std::uint64_t peer_next);
  void end_attachment();
  void fail_with(Error error);
  void broken(const Error& error);
  void peer_closed(CloseReason reason);
  void wake_user();
  // Wakes whom the engine now needs: the writer, and run() when a deadline came nearer.
  void engine_changed();
  TimePoint next_deadline() const;
  void on_time();

  const net::asio::any_io_executor executor_;
  const ResumeLimits limits_;
  const ResumeClock& clock_;
  const StreamId id_;
  const Secret key_;
  const OpenTransport open_;
  Engine engine_;
  std::uint64_t epoch_ = 0;  // highest tried (dialler), highest taken (acceptor)
  std::uint64_t attachments_ = 0;
  std::function<void()> on_over_;

  net::ByteStreamPtr transport_;  // null while waiting
  Bytes greeting_;                // goes first on it
  bool attachment_over_ = false;
  bool reader_over_ = false;           // of this attachment
  net::ByteStreamPtr next_transport_;  // offered, or dialled
  std::uint64_t next_peer_next_ = 0;   // what its other end wants first
  std::optional<Error> try_failed_;    // for good
  TimePoint lost_at_;
  milliseconds pause_{0};  // before the next try
  TimePoint planned_;      // when run() wakes by itself
  std::optional<TimePoint> closing_until_;
  std::optional<TimePoint> linger_until_;

  bool over_ = false;
  std::optional<Error> error_;
  std::span<std::uint8_t> read_into_;  // of the read that waits
  std::size_t read_got_ = 0;
  net::Event readable_;
  net::Event writable_;
  net::Event kick_;   // the writer
  net::Event watch_;  // run()
  net::TaskGroup tasks_;
};

// Reads one frame without DATA: its header, and its body into `body`. Throws NetError:
// `unavailable` at the end of the stream, `malformed`, `unsupported`, `too_large`.
Task<FrameHeader> read_opening(net::ByteStream& transport, Phase phase, Bytes& body);

}  // namespace rap::resume
