// OLPC canonical JSON: the one text form of a JSON value that keys and signatures are computed on.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

#include "base/result.hpp"

namespace rap::tuf {

// Deeper than any metadata needs; keeps the recursion of a hostile document small.
inline constexpr std::size_t kCanonicalDepthMax = 32;

// Members in byte order of their names, no white space, strings as raw UTF-8 in which only `"` and
// `\` are escaped. Fails with `unsupported` for a floating-point number (the form has none) and
// `too_large` for nesting beyond kCanonicalDepthMax. Pure.
Result<std::string> canonical_json(const boost::json::value& value);

}  // namespace rap::tuf
