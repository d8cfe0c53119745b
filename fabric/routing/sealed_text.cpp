#include "fabric/routing/sealed_text.hpp"

#include "base/bytes.hpp"
#include "base/crypto.hpp"

namespace rap::routing {

std::string seal_text(std::string_view kind, std::string_view body) {
  std::string out(kind);
  out += " 1 " + to_hex(sha256(body)) + "\n";
  out += body;
  return out;
}

Result<std::string_view> open_sealed(std::string_view kind, std::string_view text,
                                     std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return fail(Errc::too_large, "more than " + std::to_string(bytes_max) + " bytes");
  }
  std::string_view first;
  if (!next_line(text, first)) return fail(Errc::malformed, "no first line");
  if (next_word(first) != kind || next_word(first) != "1") {
    return fail(Errc::unsupported, "want " + std::string(kind) + " 1");
  }
  if (first != to_hex(sha256(text))) return fail(Errc::mismatch, "the checksum is another");
  return text;
}

bool next_line(std::string_view& body, std::string_view& line) {
  const std::size_t end = body.find('\n');
  if (end == body.npos) return false;
  line = body.substr(0, end);
  body.remove_prefix(end + 1);
  return true;
}

std::string_view next_word(std::string_view& line) {
  const std::size_t end = line.find(' ');
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end == line.npos ? line.size() : end + 1);
  return word;
}

}  // namespace rap::routing
