// A hostile packet on a supervision socket.
#include "host/ipc/message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rap::ipc;
  Packet packet;
  packet.text.assign(reinterpret_cast<const char*>(data), size);
  auto message = parse_message(std::move(packet));
  if (message && message->is_answer()) (void)outcome(*std::move(message)).has_value();
  return 0;
}
