#include "host/agent/control/join_token.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/bytes.hpp"
#include "base/id.hpp"
#include "base/secret.hpp"

namespace rap::agent {

std::string_view trim(std::string_view text) {
  const auto space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  return text;
}

Result<Sha256Digest> parse_pin(std::string_view text) {
  auto bytes = from_base64url(text);
  Sha256Digest out{};
  if (!bytes || bytes->size() != out.size()) {
    return fail(Errc::malformed, "the pin is not 32 bytes of base64url");
  }
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

Result<JoinToken> parse_join_token(std::string_view text) {
  const auto bad = [](std::string_view what) {
    return fail(Errc::malformed, "join token: " + std::string(what) +
                                     "; copy it again, whole: rapjoin1.<id>.<secret>.<pin>");
  };
  text = trim(text);
  if (text.empty()) return bad("it is empty");
  std::array<std::string_view, 4> part;
  for (std::size_t i = 0; i < part.size(); ++i) {
    const std::size_t dot = i + 1 < part.size() ? text.find('.') : text.size();
    if (dot == text.npos) return bad("parts are missing");
    part[i] = text.substr(0, dot);
    text.remove_prefix(std::min(text.size(), dot + 1));
  }
  if (part[0] != "rapjoin1") return bad("it does not begin with rapjoin1");
  if (!is_id_text(part[1], "jtk_")) return bad("the id has another form");
  auto secret = from_base64url(part[2]);
  if (!secret || secret->size() != 32) return bad("the secret is cut off or mangled");
  wipe(*secret);
  auto pin = parse_pin(part[3]);
  if (!pin) return bad(pin.error().detail);
  return JoinToken{std::string(part[1]), *pin, std::string(part[3])};
}

}  // namespace rap::agent
