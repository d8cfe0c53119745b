// A hostile stream: the first byte picks the direction and the size of the reads.
#include <algorithm>

#include "contracts/frames/control.hpp"
#include "contracts/frames/reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rap::frames;
  if (size == 0) return 0;
  const Direction direction = (data[0] & 1) != 0 ? Direction::to_hub : Direction::to_client;
  const std::size_t step = 1 + (data[0] >> 1);
  FrameReader reader(direction);
  rap::ByteView rest(data + 1, size - 1);
  while (!rest.empty()) {
    const std::size_t n = std::min(step, rest.size());
    reader.feed(rest.first(n));
    rest = rest.subspan(n);
    while (true) {
      auto frame = reader.next();
      if (!frame) return 0;
      if (!*frame) break;
      if ((*frame)->header.channel != Channel::control) continue;
      const std::string_view text = rap::as_text((*frame)->payload);
      if (auto message = parse_client_message(text)) (void)parse_client_message(to_json(*message));
      if (auto message = parse_hub_message(text)) (void)parse_hub_message(to_json(*message));
    }
  }
  return 0;
}
