// The form in which people compare hashes of keys; one place, so that two programs show the same.
#pragma once

#include <string>

#include "base/crypto.hpp"

namespace rap {

// "aa:bb:..", 32 pairs in lower case.
std::string fingerprint_text(const Sha256Digest& hash);

}  // namespace rap
