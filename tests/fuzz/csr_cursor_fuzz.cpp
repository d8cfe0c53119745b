// Two texts that strangers send: certificate requests and list cursors.
#include <cstdlib>

#include "controlplane/http/cursor.hpp"
#include "controlplane/pki/authority.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)rap::cp::inspect_csr(text);
  const auto key = rap::cp::parse_cursor(text);
  if (key && rap::cp::make_cursor(*key) != text) std::abort();
  return 0;
}
