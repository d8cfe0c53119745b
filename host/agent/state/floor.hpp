// The lowest that this node still accepts: what was reached once is never given up.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace rap::agent {

struct Floor {
  std::int64_t authority_term = 0;
  std::map<std::string, std::int64_t> security_epochs;  // by product
  // The latest moment that a trusted source proved: a clock before it is wrong.
  std::int64_t clock_unix_s = 0;

  bool operator==(const Floor&) const = default;
};

Result<Floor> parse_floor(std::string_view text);
std::string serialize(const Floor& floor);

// An absent file is a new node's: zeros. A damaged one is an error, never silently zero.
Result<Floor> read_floor(const std::filesystem::path& path);
Status write_floor(const std::filesystem::path& path, const Floor& floor);

}  // namespace rap::agent
