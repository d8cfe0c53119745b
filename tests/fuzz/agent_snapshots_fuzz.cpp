// Everything signed or stored that the agent parses. None may crash; the same text has one reading.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "host/agent/snapshot/snapshots.hpp"
#include "host/agent/state/floor.hpp"
#include "host/agent/state/identity.hpp"
#include "host/agent/state/instance_record.hpp"
#include "host/agent/state/outbox.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)rap::agent::parse_membership(text);
  (void)rap::agent::parse_roles(text);
  (void)rap::agent::parse_access(text);
  (void)rap::agent::check_peer_directory(text, "cls_1", "nod_1");
  (void)rap::agent::parse_identity(text);
  (void)rap::agent::parse_outbox_line(text);
  if (auto floor = rap::agent::parse_floor(text)) {
    if (rap::agent::parse_floor(rap::agent::serialize(*floor)).value() != *floor) __builtin_trap();
  }
  if (auto record = rap::agent::parse_instance_record(text)) {
    if (!rap::agent::parse_instance_record(rap::agent::serialize(*record))) __builtin_trap();
  }
  return 0;
}
