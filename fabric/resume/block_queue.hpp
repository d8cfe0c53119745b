// Bytes in order, kept in blocks that never move, with room for headers before each.
#pragma once

#include <memory>
#include <vector>

#include "base/bytes.hpp"

namespace rap::resume {

// Not thread-safe. Memory is taken as bytes come and given back as they go; empty, it has none.
class BlockQueue {
 public:
  // ACK, PONG, PING and the header of DATA fit before the bytes of a block.
  static constexpr std::size_t kHeadroom = 64;
  // A stream of keystrokes takes small blocks, bulk takes whole frames.
  static constexpr std::size_t kSmallBytes = 4 * 1024;
  static constexpr std::size_t kLargeBytes = 64 * 1024;

  // Bytes in a block of their own can be sent from it without a copy; the rest fills up the last.
  enum class Begin { in_last_block, in_new_block };
  void append(ByteView bytes, Begin begin = Begin::in_last_block);
  std::size_t size() const { return size_; }
  // Copies from the front and drops it; the bytes copied.
  std::size_t take(std::span<std::uint8_t> into);
  // `count` is at most size().
  void drop(std::size_t count);
  void clear();

  struct Piece {
    ByteView bytes;
    std::uint8_t* head = nullptr;  // kHeadroom bytes that end where `bytes` begin; or null
  };
  // The bytes in one block from `at` (below size()) on. Valid until they are dropped.
  Piece piece(std::size_t at);

  // What the blocks take, with their unused room.
  std::size_t memory() const;

 private:
  struct Block {
    std::unique_ptr<std::uint8_t[]> memory;
    std::size_t capacity = 0;  // beside the headroom
    std::size_t begin = 0;
    std::size_t end = 0;
    std::uint8_t* bytes() const { return memory.get() + kHeadroom; }
  };

  void drop_first_blocks(std::size_t count);

  std::vector<Block> blocks_;  // none is empty
  std::size_t size_ = 0;
};

}  // namespace rap::resume
