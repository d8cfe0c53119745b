#include "fabric/names.hpp"

#include "base/id.hpp"

namespace rap::fabric {

namespace {
constexpr std::string_view kSuffix = ".session.rap.internal:1";
constexpr std::size_t kHeaderTextMax = 300;
}  // namespace

std::string session_authority(std::string_view session_id) {
  return std::string(session_id) + std::string(kSuffix);
}

std::optional<std::string> session_of_authority(std::string_view authority) {
  if (!authority.ends_with(kSuffix)) return std::nullopt;
  const auto id = SessionId::parse(authority.substr(0, authority.size() - kSuffix.size()));
  if (!id) return std::nullopt;
  return id->str();
}

std::string header_safe(std::string_view text) {
  std::string out(text.substr(0, kHeaderTextMax));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return out;
}

}  // namespace rap::fabric
