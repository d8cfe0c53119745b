// The two primitives nearly every part needs; all of it is OpenSSL's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.hpp"

struct evp_md_ctx_st;

namespace rap {

using Sha256Digest = std::array<std::uint8_t, 32>;

Sha256Digest sha256(ByteView bytes);
inline Sha256Digest sha256(std::string_view text) {
  return sha256(as_bytes(text));
}

// Over data that arrives in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(ByteView bytes);
  // Ends the computation; no other call may follow.
  Sha256Digest finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// From the operating system's generator. Throws when it fails: nothing sensible can go on.
Bytes random_bytes(std::size_t count);

// The newest entry of OpenSSL's error queue as text; empties the queue. For error details.
std::string openssl_error();

}  // namespace rap
