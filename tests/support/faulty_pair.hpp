// Two ends of a stream that breaks on purpose.
#pragma once

#include <limits>
#include <memory>

#include "tests/support/memory_stream.hpp"

namespace rap::test {

// Shared by both ends and the test; may outlive them.
struct Faults {
  static constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

  // The pair is cut once that many bytes went one way: what is under way is lost both ways.
  std::size_t cut_a_to_b = kNever;
  std::size_t cut_b_to_a = kNever;
  // One-way partition: bytes are accepted and never arrive.
  bool lose_a_to_b = false;
  bool lose_b_to_a = false;
  bool is_cut = false;
  // Bytes that went one way so far.
  std::size_t a_to_b = 0;
  std::size_t b_to_a = 0;

  // Now.
  void cut();

  net::ByteStream* a = nullptr;
  net::ByteStream* b = nullptr;
};

struct FaultyPair {
  net::ByteStreamPtr a;
  net::ByteStreamPtr b;
  std::shared_ptr<Faults> faults;
};

FaultyPair make_faulty_pair(net::asio::any_io_executor executor, std::size_t capacity = 64 * 1024);

}  // namespace rap::test
