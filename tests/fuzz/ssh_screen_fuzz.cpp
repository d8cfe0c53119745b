// Output of a hostile target: any bytes, cut as the session cuts them, repainted at any moment.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "plugins/ssh/output_boundary.hpp"
#include "plugins/ssh/screen.hpp"

// libvterm 0.1.4 answers a question about an unknown setting (DECRQSS) with "%.s" and a length in
// the pointer's place. glibc reads nothing for a precision of 0; the sanitizer's check of arguments
// does.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "check_printf=0";
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  rap::ssh::Screen screen(rap::ssh::clamp_size(1u + data[0] % 100, 1u + data[1] % 50));
  const std::size_t cut = 2 + (size - 2) * data[2] / 255;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  bytes.remove_prefix(2);
  rap::ssh::OutputBoundary boundary;
  std::string held;
  for (const std::string_view part : {bytes.substr(0, cut - 2), bytes.substr(cut - 2)}) {
    const std::size_t safe = boundary.advance(part);
    if (safe > 0) {
      screen.write(held + std::string(part.substr(0, safe)));
      held.clear();
    }
    held += part.substr(safe);
    rap::ssh::Screen other(screen.size());
    other.write(screen.repaint());
    other.settle();
    screen.resize(rap::ssh::clamp_size(1u + data[1] % 100, 1u + data[0] % 50));
  }
  return 0;
}
