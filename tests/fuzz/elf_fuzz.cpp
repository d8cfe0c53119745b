// Any bytes as a plugin file: read_elf() must answer and never read outside them.
#include "host/loader/elf_check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto facts = rap::loader::read_elf({data, size});
  if (facts) (void)rap::loader::plugin_elf_findings(*facts);
  return 0;
}
