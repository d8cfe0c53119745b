#include "fabric/resume/block_queue.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <random>

namespace rap::resume {
namespace {

TEST(BlockQueue, IsAQueueWhateverTheSizes) {
  std::mt19937 random(1);
  BlockQueue queue;
  std::deque<std::uint8_t> model;
  std::uint8_t next = 0;
  for (int step = 0; step < 3000; ++step) {
    const std::size_t n = random() % (step % 7 == 0 ? 100'000 : 300);
    if (random() % 2 == 0 && model.size() < 400'000) {
      Bytes bytes(n);
      for (auto& byte : bytes) byte = next++;
      queue.append(bytes, n >= BlockQueue::kSmallBytes && random() % 2 == 0
                              ? BlockQueue::Begin::in_new_block
                              : BlockQueue::Begin::in_last_block);
      model.insert(model.end(), bytes.begin(), bytes.end());
    } else if (random() % 2 == 0) {
      Bytes into(n);
      const std::size_t got = queue.take(into);
      ASSERT_EQ(got, std::min(n, model.size()));
      ASSERT_TRUE(std::equal(into.begin(), into.begin() + got, model.begin()));
      model.erase(model.begin(), model.begin() + got);
    } else {
      const std::size_t count = std::min(n, model.size());
      queue.drop(count);
      model.erase(model.begin(), model.begin() + count);
    }
    ASSERT_EQ(queue.size(), model.size());
    if (!model.empty()) {
      const std::size_t at = random() % model.size();
      const auto piece = queue.piece(at);
      ASSERT_FALSE(piece.bytes.empty());
      ASSERT_TRUE(std::equal(piece.bytes.begin(), piece.bytes.end(), model.begin() + at));
      // Scribbling over the headroom changes no byte of the queue.
      if (piece.head != nullptr) std::memset(piece.head, 0xee, BlockQueue::kHeadroom);
    }
    // No more than a block begun at each end, and half empty ones between.
    ASSERT_LE(queue.memory(), 2 * queue.size() + 3 * (BlockQueue::kLargeBytes + 64));
  }
  queue.drop(queue.size());
  EXPECT_EQ(queue.memory(), 0u);
}

TEST(BlockQueue, BulkStartsAtBlocksAndKeystrokesTakeLittle) {
  BlockQueue queue;
  queue.append(Bytes(1));
  EXPECT_LE(queue.memory(), BlockQueue::kSmallBytes + BlockQueue::kHeadroom);
  queue.clear();
  queue.append(Bytes(3 * BlockQueue::kLargeBytes));
  for (std::size_t at = 0; at < queue.size(); at += BlockQueue::kLargeBytes) {
    const auto piece = queue.piece(at);
    EXPECT_EQ(piece.bytes.size(), BlockQueue::kLargeBytes);
    EXPECT_NE(piece.head, nullptr);
    EXPECT_EQ(piece.head + BlockQueue::kHeadroom, piece.bytes.data());
  }
  EXPECT_EQ(queue.piece(1).head, nullptr);
}

}  // namespace
}  // namespace rap::resume
