// What waits for one client: a bounded queue per channel, and the order in which they are written.
#pragma once

#include <array>

#include "contracts/frames/frame.hpp"
#include "host/worker/hub/byte_queue.hpp"

namespace rap::worker {

// Per channel. Holds a burst while the client's window opens; small enough that Ctrl-C of a flood
// is seen soon, because what is queued is still painted.
inline constexpr std::size_t kQueueBytesMax = std::size_t{1} << 20;
// A plugin that was stopped goes on when this little is left.
inline constexpr std::size_t kQueueBytesLow = std::size_t{256} << 10;

// Does the writing too, because the cheapest queue is the one that is never entered: with nothing
// waiting, a frame goes from the plugin's memory to the socket.
class OutQueue {
 public:
  enum class Io { ok, broken };

  // `socket` is a connected stream socket and stays the caller's.
  explicit OutQueue(int socket) : socket_(socket) {}

  // Whether a frame of that payload keeps the channel within its limit. An empty channel takes any.
  bool fits(frames::Channel channel, std::size_t payload) const;
  // Writes or queues, whatever the limit: ask fits() first.
  Io push(const frames::FrameHeader& header, ByteView payload);
  // Writes what the socket takes.
  Io flush();

  // Forgets every frame that has not begun to be written, control messages excepted.
  void clear_data();

  std::size_t bytes(frames::Channel channel) const {
    return channels_[static_cast<std::size_t>(channel)].bytes.size();
  }
  std::size_t bytes() const { return total_; }
  bool empty() const { return total_ == 0; }

 private:
  struct Lane {
    ByteQueue bytes;
    std::deque<std::uint64_t> ends;  // where each waiting frame ends, counted from the beginning
    std::uint64_t taken = 0;         // bytes that left
    std::uint64_t added = 0;

    bool mid_frame() const { return mid; }
    bool mid = false;  // its first waiting frame has begun to be written
  };

  Lane& lane(frames::Channel channel) { return channels_[static_cast<std::size_t>(channel)]; }
  void take(Lane& from, std::size_t bytes);

  int socket_;
  std::array<Lane, frames::kChannelCount> channels_;
  std::size_t total_ = 0;
};

}  // namespace rap::worker
