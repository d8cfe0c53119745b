// Any bytes as a release manifest; what parses must survive being written and read again.
#include <cstdlib>

#include "host/loader/plugin_manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto manifest = rap::loader::parse_plugin_manifest(rap::as_text({data, size}));
  if (!manifest) return 0;
  const std::string text = to_json(*manifest);
  const auto again = rap::loader::parse_plugin_manifest(text);
  if (!again || to_json(*again) != text) std::abort();
  return 0;
}
