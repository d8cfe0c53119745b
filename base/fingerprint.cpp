#include "base/fingerprint.hpp"

namespace rap {

std::string fingerprint_text(const Sha256Digest& hash) {
  const std::string hex = to_hex(hash);
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) out += (i ? ":" : "") + hex.substr(i, 2);
  return out;
}

}  // namespace rap
