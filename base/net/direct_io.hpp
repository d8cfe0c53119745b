// Streams used without waiting, for code that moves much: no coroutine and no buffer is held while
// nothing comes. One executor. A call that fails throws NetError, as ByteStream's do.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/net/byte_stream.hpp"

namespace rap::net {

// A socket. The streams of wrap_socket() are this too (dynamic_cast).
class DirectIo {
 public:
  virtual ~DirectIo() = default;

  // Stores what is here; nullopt: nothing now; 0: the peer ended its direction.
  virtual std::optional<std::size_t> read_now(std::span<std::uint8_t> into) = 0;
  // How many bytes were taken; fewer than asked: wait for on_writable().
  virtual std::size_t write_now(ByteView bytes) = 0;
  // Ends our direction; the peer reads 0.
  virtual void end_now() = 0;
  // Calls `then` once, from the executor, when the call above may do something or the stream was
  // closed. At most one of each kind at a time.
  virtual void on_readable(std::function<void()> then) = 0;
  virtual void on_writable(std::function<void()> then) = 0;
};

// What a protocol of frames runs on: writes are gathered and sent together.
class BatchedIo {
 public:
  virtual ~BatchedIo() = default;

  // As DirectIo.
  virtual std::optional<std::size_t> read_now(std::span<std::uint8_t> into) = 0;
  virtual void on_readable(std::function<void()> then) = 0;
  // Whether the last read_now() seems to have taken all there was: better wait than ask again.
  virtual bool drained() const = 0;
  // Takes all bytes; at most kPutBytesMax at a time, and only while unsent() is at most
  // kBatchBytes.
  virtual void put(ByteView bytes) = 0;
  // Ends our direction after what was put; nothing is put later.
  virtual void put_end() = 0;
  // Gives the layer below what it takes now. True when nothing is left.
  virtual bool push() = 0;
  virtual std::size_t unsent() const = 0;
  // Calls `then` once when push() may send more. Only while unsent() is not 0.
  virtual void on_writable(std::function<void()> then) = 0;
  // Ends both directions at once. Idempotent.
  virtual void close() = 0;
};

// Gathered before one send below: 64 KiB costs 10 % more than 256 KiB in bulk and keeps a keystroke
// from waiting behind a quarter of a megabyte.
inline constexpr std::size_t kBatchBytes = 64 * 1024;
// Four TLS records.
inline constexpr std::size_t kPutBytesMax = 64 * 1024;

// Takes the stream over. TLS over a socket moves its bytes without waiting; any other stream goes
// through a pair of buffers and coroutines. `stream` has no call pending.
std::unique_ptr<BatchedIo> make_batched_io(asio::any_io_executor executor, ByteStreamPtr stream);

}  // namespace rap::net
