// A carry lease verifier, the claims behind it and the names around it, shown anything.
#include <boost/json.hpp>

#include "base/json.hpp"
#include "fabric/carry_lease.hpp"

namespace {

using namespace rap;

const Bytes kKey(32, 7);

const fabric::CarryVerifier& verifier() {
  static const fabric::CarryVerifier made = [] {
    const Bytes key = *fabric::lease_public_key(kKey);
    return *fabric::CarryVerifier::create("cls_1",
                                          {fabric::LeaseKey{fabric::lease_key_id(key), key}});
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(ByteView(data, size));
  const auto now = from_unix_seconds(1'800'000'000);
  if (verifier().verify(text, fabric::CarryUse{}, now)) __builtin_trap();
  const auto value = parse_json(text);
  if (value && value->is_object()) {
    const auto claims = fabric::carry_claims_from_json(value->get_object());
    // What can be read can be minted, and is then the same.
    if (claims) {
      const auto lease = fabric::mint_carry_lease(*claims, kKey);
      if (!lease && lease.error().code != Errc::too_large) __builtin_trap();
      const auto json = fabric::carry_claims_to_json(*claims);
      const auto again = fabric::carry_claims_from_json(json);
      if (!again || fabric::carry_claims_to_json(*again) != json) __builtin_trap();
    }
  }
  const auto target = fabric::mesh_target_of_authority(text);
  if (target && fabric::mesh_authority(*target) != text) __builtin_trap();
  const auto named = fabric::target_of_spiffe("cls_1", text);
  if (named && fabric::target_spiffe("cls_1", *named) != text) __builtin_trap();
  return 0;
}
