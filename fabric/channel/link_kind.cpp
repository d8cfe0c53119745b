#include "fabric/channel/link_kind.hpp"

namespace rap::fabric {

namespace {

using routing::ChannelClass;

struct Row {
  LinkKind kind;
  std::string_view alpn;
};
constexpr Row kRows[] = {
    {{ChannelClass::interactive, Flow::forward}, "rap-mesh/interactive"},
    {{ChannelClass::bulk, Flow::forward}, "rap-mesh/bulk"},
    {{ChannelClass::interactive, Flow::reverse}, "rap-mesh-back/interactive"},
    {{ChannelClass::bulk, Flow::reverse}, "rap-mesh-back/bulk"},
};

}  // namespace

std::string alpn(LinkKind kind) {
  for (const Row& row : kRows) {
    if (row.kind == kind) return std::string(row.alpn);
  }
  return {};
}

std::optional<LinkKind> kind_of_alpn(std::string_view alpn) {
  for (const Row& row : kRows) {
    if (row.alpn == alpn) return row.kind;
  }
  return std::nullopt;
}

std::vector<std::string> mesh_alpns() {
  std::vector<std::string> out;
  for (const Row& row : kRows) out.emplace_back(row.alpn);
  return out;
}

}  // namespace rap::fabric
