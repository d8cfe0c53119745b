// Whole numbers in bytes, lowest first: the order of all our formats on a wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace rap {

// Writes sizeof(T) bytes at `at`.
template <typename T>
void put_little_endian(std::uint8_t* at, std::type_identity_t<T> value) {
  static_assert(std::is_unsigned_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

// Reads sizeof(T) bytes at `at`.
template <typename T>
T get_little_endian(const std::uint8_t* at) {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(T{at[i]} << (8 * i));
  return value;
}

}  // namespace rap
