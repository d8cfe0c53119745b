// The files of trusted metadata. Private to signing/verify.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace rap::tuf {

class TrustedStore {
 public:
  explicit TrustedStore(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // `not_found` when nothing is stored for `role`.
  Result<Bytes> read(std::string_view role, std::size_t limit) const;
  // Bytes exactly as received. Replaced whole.
  Status write(std::string_view role, ByteView bytes) const;
  // Also keeps root_history/<version>.root.json: an operator can retrace every step of trust.
  Status write_root(std::int64_t version, ByteView bytes) const;

 private:
  std::filesystem::path file_of(std::string_view role) const;

  std::filesystem::path directory_;
};

}  // namespace rap::tuf
