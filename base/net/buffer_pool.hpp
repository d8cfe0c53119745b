// Big buffers that exist only while bytes are in them.
#pragma once

#include <cstdint>
#include <memory>

#include "base/net/task.hpp"

namespace rap::net {

// One executor. Buffers may outlive the pool.
class BufferPool {
 public:
  // Two batches: one being sent and one that is added, with the overhead of TLS records.
  static constexpr std::size_t kBytes = 2 * 64 * 1024 + 1024;
  // Kept for the next: 4 MiB, what thirty connections in motion use at once.
  static constexpr std::size_t kSpareMax = 32;

  struct Spare;
  struct GiveBack {
    std::shared_ptr<Spare> spare;  // shared with the pool and its other buffers
    void operator()(std::uint8_t* bytes) const;
  };
  // kBytes long, not initialised.
  using Buffer = std::unique_ptr<std::uint8_t[], GiveBack>;

  BufferPool();
  Buffer take();

  // The one of the context of `executor`.
  static BufferPool& of(const asio::any_io_executor& executor);

 private:
  std::shared_ptr<Spare> spare_;
};

}  // namespace rap::net
