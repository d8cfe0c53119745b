// A lease verifier, the claims behind it and the names around it, shown anything.
#include <boost/json.hpp>

#include "base/json.hpp"
#include "fabric/lease.hpp"
#include "fabric/names.hpp"

namespace {

using namespace rap;

const Bytes kKey(32, 7);
const Sha256Digest kCertificate{};

const fabric::LeaseVerifier& verifier() {
  static const fabric::LeaseVerifier made = [] {
    const Bytes key = *fabric::lease_public_key(kKey);
    return *fabric::LeaseVerifier::create("cls_1", "spiffe://cls_1/node/nod_1",
                                          {fabric::LeaseKey{fabric::lease_key_id(key), key}});
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(ByteView(data, size));
  if (verifier().verify(text, kCertificate, from_unix_seconds(1'800'000'000))) __builtin_trap();
  const auto value = parse_json(text);
  if (value && value->is_object()) {
    const auto claims = fabric::lease_claims_from_json(value->get_object());
    // What can be read can be minted, and is then the same.
    if (claims) {
      const auto lease = fabric::mint_lease(*claims, kKey);
      if (!lease && lease.error().code != Errc::too_large) __builtin_trap();
      const auto again = fabric::lease_claims_from_json(fabric::lease_claims_to_json(*claims));
      if (!again || again->lease_id != claims->lease_id) __builtin_trap();
    }
  }
  const auto session = fabric::session_of_authority(text);
  if (session && fabric::session_authority(*session) != text) __builtin_trap();
  return 0;
}
