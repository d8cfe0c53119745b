// One open CONNECT stream, for those that move its bytes without waiting. Everybody else uses it as
// the ByteStream it is.
#pragma once

#include <memory>
#include <span>

#include "base/net/byte_stream.hpp"
#include "base/result.hpp"

namespace rap::fabric {

class H2Connection;
struct H2StreamState;

// Room that must be before bytes given to send(): the header of a frame is written there, and the
// bytes before those given to on_bytes() are free for the same.
inline constexpr std::size_t kFrameHeaderBytes = 9;
// Best size of a piece given to send(): with its header exactly four TLS records. 16384 would spill
// 9 bytes into a record of their own (+35 % CPU at the receiver).
inline constexpr std::size_t kPieceBytes = 4 * 16384 - kFrameHeaderBytes;

// Takes what comes on a stream, at once. Called on the executor, also from within calls to other
// streams; may call any of them. After on_closed() nothing is called any more.
class StreamSink {
 public:
  virtual ~StreamSink() = default;
  // Valid during the call. The peer may send more only after consumed().
  virtual void on_bytes(std::span<std::uint8_t> bytes) = 0;
  // They ended their direction.
  virtual void on_end() = 0;
  // So many bytes given to send() went into the connection.
  virtual void on_sent(std::size_t bytes) = 0;
  // Both directions are over; `why` is null when both ended in order.
  virtual void on_closed(const Error* why) = 0;
};

// Destroyed without end() or shutdown() it is reset.
class H2Stream final : public net::ByteStream {
 public:
  H2Stream(std::shared_ptr<H2Connection> connection, std::shared_ptr<H2StreamState> state);
  ~H2Stream() override;

  net::Task<std::size_t> read_some(std::span<std::uint8_t> into) override;
  net::Task<void> write_all(ByteView bytes) override;
  net::Task<void> shutdown() override;
  void close() override;

  // From now on `sink` gets what comes, first of all what has come already. No read or write is
  // pending or comes later. The stream and its connection keep it until on_closed().
  void attach(std::shared_ptr<StreamSink> sink);
  // Sends bytes that have kFrameHeaderBytes of room before them, which is overwritten. What does
  // not go out at once is copied and kept: whoever sends stops while queued() is not 0 or, in a
  // splice, is bounded by the window of where they came from.
  void send(std::span<std::uint8_t> bytes);
  std::size_t queued() const;
  // Ends our direction after what was sent.
  void end();
  // Ends both now, as the HTTP/2 error CANCEL.
  void reset();
  // The peer may send so many more.
  void consumed(std::size_t bytes);

 private:
  std::shared_ptr<H2Connection> connection_;
  std::shared_ptr<H2StreamState> state_;
  bool closed_ = false;
};

}  // namespace rap::fabric
