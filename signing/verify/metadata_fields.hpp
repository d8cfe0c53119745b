// Reading the pieces that several kinds of metadata share. Private to signing/verify.
#pragma once

#include <boost/json/fwd.hpp>

#include "signing/verify/metadata.hpp"

namespace rap::tuf {

// Strict, and at most what the largest role may have.
Result<boost::json::value> parse_document(ByteView bytes);
// Checks the envelope, signatures' shape, `_type` and spec_version; computes the canonical form.
// On success "signed" is an object.
Result<SignedBytes> read_envelope(const boost::json::value& document, std::string_view type);

// A JSON integer (never 1.0 or "1") from `least` to kIntegerMax.
Result<std::int64_t> integer_field(const boost::json::object& object, std::string_view key,
                                   std::int64_t least);
Status read_common(const boost::json::object& object, Common& common);
Result<KeyRing> read_keys(const boost::json::object& keys);
Result<RoleKeys> read_role_keys(const boost::json::object& role);
Result<Hashes> read_hashes(const boost::json::object& hashes);
Result<MetaFile> read_meta_file(const boost::json::object& object);
Result<std::vector<std::string>> read_strings(const boost::json::array& array,
                                              std::string_view what);
// Not empty, not a top-level role, and short enough once encoded.
Status check_role_name(std::string_view name);

Result<Delegations> read_delegations(const boost::json::object& object);

}  // namespace rap::tuf
