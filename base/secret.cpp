#include "base/secret.hpp"

#include <openssl/crypto.h>

#include <utility>

namespace rap {

Secret::~Secret() {
  wipe(std::span(value_));
}

Secret::Secret(Secret&& other) noexcept : value_(std::exchange(other.value_, {})) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe(std::span(value_));
    value_ = std::exchange(other.value_, {});
  }
  return *this;
}

void wipe(std::span<std::uint8_t> bytes) {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

void wipe(std::string& text) {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

}  // namespace rap
