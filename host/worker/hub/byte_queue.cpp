#include "host/worker/hub/byte_queue.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace rap::worker {

void ByteQueue::append(ByteView bytes) {
  while (!bytes.empty()) {
    const std::size_t end = begin_ + size_;
    if (end == blocks_.size() * kBlockBytes) {
      Block fresh = spare_ ? std::move(spare_) : Block(new std::uint8_t[kBlockBytes]);
      blocks_.push_back(std::move(fresh));
    }
    const std::size_t at = end % kBlockBytes;
    const std::size_t n = std::min(bytes.size(), kBlockBytes - at);
    std::memcpy(blocks_.back().get() + at, bytes.data(), n);
    bytes = bytes.subspan(n);
    size_ += n;
  }
}

std::size_t ByteQueue::gather(iovec* out, std::size_t room, std::size_t budget) const {
  std::size_t parts = 0;
  std::size_t left = std::min(budget, size_);
  std::size_t at = begin_;
  for (std::size_t i = 0; i < blocks_.size() && parts < room && left > 0; ++i) {
    const std::size_t n = std::min(left, kBlockBytes - at);
    out[parts++] = {blocks_[i].get() + at, n};
    left -= n;
    at = 0;
  }
  return parts;
}

void ByteQueue::drop_front() {
  spare_ = std::move(blocks_.front());
  blocks_.pop_front();
  begin_ = 0;
}

void ByteQueue::consume(std::size_t bytes) {
  assert(bytes <= size_);
  size_ -= bytes;
  while (bytes > 0) {
    const std::size_t n = std::min(bytes, kBlockBytes - begin_);
    begin_ += n;
    bytes -= n;
    if (begin_ == kBlockBytes) drop_front();
  }
  if (size_ == 0 && !blocks_.empty()) {
    blocks_.resize(1);
    drop_front();
  }
}

void ByteQueue::truncate(std::size_t bytes) {
  if (bytes >= size_) return;
  size_ = bytes;
  const std::size_t needed = (begin_ + size_ + kBlockBytes - 1) / kBlockBytes;
  blocks_.resize(needed);
  if (needed == 0) begin_ = 0;
}

}  // namespace rap::worker
