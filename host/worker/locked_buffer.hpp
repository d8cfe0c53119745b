// A secret in a page that is not swapped, not dumped and not inherited by a fork; wiped at the end.
#pragma once

#include <sys/mman.h>

#include "base/bytes.hpp"
#include "base/secret.hpp"

namespace rap::worker {

class LockedBuffer {
 public:
  explicit LockedBuffer(ByteView value) : size_(value.size()), mapped_(value.size() + 1) {
    void* at = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    at_ = static_cast<std::uint8_t*>(at);
    // Each is an extra: without it the secret is as safe as in any other memory.
    (void)mlock(at_, mapped_);
    (void)madvise(at_, mapped_, MADV_DONTDUMP);
    (void)madvise(at_, mapped_, MADV_WIPEONFORK);
    for (std::size_t i = 0; i < size_; ++i) at_[i] = value[i];
  }
  ~LockedBuffer() {
    wipe(std::span(at_, size_));
    munmap(at_, mapped_);
  }
  LockedBuffer(const LockedBuffer&) = delete;
  LockedBuffer& operator=(const LockedBuffer&) = delete;

  ByteView bytes() const { return {at_, size_}; }

 private:
  std::uint8_t* at_ = nullptr;
  std::size_t size_;
  std::size_t mapped_;
};

}  // namespace rap::worker
