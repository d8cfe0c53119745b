// Bytes that wait, in blocks that are used again: no allocation per frame, and no moving of bytes.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/bytes.hpp"

namespace rap::worker {

class ByteQueue {
 public:
  void append(ByteView bytes);
  // Describes the first bytes, at most `budget`, in at most `room` parts; returns how many parts.
  std::size_t gather(iovec* out, std::size_t room, std::size_t budget) const;
  void consume(std::size_t bytes);
  // Forgets everything behind the first `bytes`.
  void truncate(std::size_t bytes);
  std::size_t size() const { return size_; }

 private:
  // One block is one good write; a queue that is used keeps one spare.
  static constexpr std::size_t kBlockBytes = std::size_t{64} << 10;
  using Block = std::unique_ptr<std::uint8_t[]>;

  void drop_front();

  std::deque<Block> blocks_;
  Block spare_;
  std::size_t begin_ = 0;  // in the first block
  std::size_t size_ = 0;
};

}  // namespace rap::worker
