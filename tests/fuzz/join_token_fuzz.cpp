// Join tokens come from a terminal, a mail, a file that was edited on the way.
#include <cstdlib>

#include "controlplane/enrollment/rules.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto token = rap::cp::parse_join_token(text);
  // What is accepted has one text, but for white space at its end.
  if (token && !text.starts_with(rap::cp::make_join_token(*token))) std::abort();
  return 0;
}
