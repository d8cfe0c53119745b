#include <cstddef>
#include <cstdint>
#include <string_view>

#include <rap/rap.hpp>

#include "plugins/ssh/options.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    rap::ssh::parse_options({reinterpret_cast<const char*>(data), size});
  } catch (const rap::Failure&) {
  }
  return 0;
}
