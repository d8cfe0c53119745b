// Small text files of a node with a checksum in their first line: "KIND 1 SHA256\n", then the body
// that the SHA-256 is over. It finds torn and rotten files; it is no signature.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace rap::routing {

std::string seal_text(std::string_view kind, std::string_view body);

// The body, a view into `text`. `too_large`, `unsupported` (another kind or version), `malformed`
// (no such first line), `mismatch` (the checksum is another).
Result<std::string_view> open_sealed(std::string_view kind, std::string_view text,
                                     std::size_t bytes_max);

// Takes the next line, without its end, off `body`; false at the end, and for a last line that has
// no end.
bool next_line(std::string_view& body, std::string_view& line);
// Takes the next word off `line`; words are separated by one blank. "" at the end.
std::string_view next_word(std::string_view& line);

}  // namespace rap::routing
