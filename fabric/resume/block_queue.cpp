#include "fabric/resume/block_queue.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace rap::resume {

void BlockQueue::append(ByteView bytes, Begin begin) {
  bool fresh = begin == Begin::in_new_block;
  while (!bytes.empty()) {
    if (fresh || blocks_.empty() || blocks_.back().end == blocks_.back().capacity) {
      Block block;
      block.capacity = kLargeBytes;
      if (fresh || blocks_.empty()) {
        block.capacity = std::clamp(bytes.size(), kSmallBytes, kLargeBytes);
      }
      block.memory = std::make_unique_for_overwrite<std::uint8_t[]>(kHeadroom + block.capacity);
      blocks_.push_back(std::move(block));
      fresh = false;
    }
    Block& last = blocks_.back();
    const std::size_t n = std::min(bytes.size(), last.capacity - last.end);
    std::memcpy(last.bytes() + last.end, bytes.data(), n);
    last.end += n;
    size_ += n;
    bytes = bytes.subspan(n);
  }
}

std::size_t BlockQueue::take(std::span<std::uint8_t> into) {
  std::size_t done = 0;
  std::size_t emptied = 0;
  for (Block& block : blocks_) {
    if (done == into.size()) break;
    const std::size_t n = std::min(into.size() - done, block.end - block.begin);
    std::memcpy(into.data() + done, block.bytes() + block.begin, n);
    block.begin += n;
    done += n;
    if (block.begin == block.end) ++emptied;
  }
  drop_first_blocks(emptied);
  size_ -= done;
  return done;
}

void BlockQueue::drop(std::size_t count) {
  assert(count <= size_);
  size_ -= count;
  std::size_t emptied = 0;
  for (Block& block : blocks_) {
    const std::size_t n = std::min(count, block.end - block.begin);
    block.begin += n;
    count -= n;
    if (block.begin != block.end) break;
    ++emptied;
  }
  drop_first_blocks(emptied);
}

void BlockQueue::drop_first_blocks(std::size_t count) {
  blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(count));
  if (blocks_.empty()) std::vector<Block>().swap(blocks_);
}

void BlockQueue::clear() {
  std::vector<Block>().swap(blocks_);
  size_ = 0;
}

BlockQueue::Piece BlockQueue::piece(std::size_t at) {
  assert(at < size_);
  for (Block& block : blocks_) {
    const std::size_t n = block.end - block.begin;
    if (at >= n) {
      at -= n;
      continue;
    }
    const std::size_t from = block.begin + at;
    Piece out{ByteView(block.bytes() + from, block.end - from), nullptr};
    // Further in, the headroom would be bytes that may have to be sent again.
    if (from == 0) out.head = block.memory.get();
    return out;
  }
  return {};
}

std::size_t BlockQueue::memory() const {
  std::size_t sum = 0;
  for (const Block& block : blocks_) sum += kHeadroom + block.capacity;
  return sum;
}

}  // namespace rap::resume
