// The headers between clients and nodes of the mesh, and the first lines inside, shown anything:
// one header a line, the first line is the authority.
#include "fabric/ends/lease_line.hpp"
#include "fabric/ends/request.hpp"

namespace {
using namespace rap;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = as_text(ByteView(data, size));
  const auto path = fabric::parse_path(text);
  if (path && (path->size() > fabric::kPathAheadMax || fabric::format_path(*path) != text)) {
    __builtin_trap();
  }
  const auto hops = fabric::parse_hops(text);
  if (hops && !fabric::parse_hops(fabric::format_hops(*hops))) __builtin_trap();
  const auto lease = fabric::parse_lease_line(text);
  if (lease && fabric::lease_line(*lease).size() > 8 * text.size() + 64) __builtin_trap();
  const Status answer_read = fabric::parse_answer_line(text);
  if (!answer_read) (void)fabric::answer_line(answer_read);

  fabric::ConnectRequest request;
  bool first = true;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto colon = line.find(':', 1);
    if (first) {
      request.authority = std::string(line);
    } else if (colon != std::string_view::npos) {
      request.headers.push_back(
          {std::string(line.substr(0, colon)), std::string(line.substr(colon + 1))});
    }
    first = false;
  }
  for (const auto asker : {fabric::Asker::client, fabric::Asker::node}) {
    const auto read = fabric::parse_mesh_request(request, asker);
    if (!read) continue;
    const auto again = fabric::parse_mesh_request(fabric::to_connect_request(*read), asker);
    if (!again || again->path != read->path || again->target != read->target ||
        again->carry != read->carry || again->trace != read->trace) {
      __builtin_trap();
    }
  }
  fabric::ConnectAnswer answer;
  answer.headers = request.headers;
  const auto refusal = fabric::read_refusal(answer);
  if (refusal.error.detail.size() > 300) __builtin_trap();
  (void)fabric::told_to_client(refusal.error);
  return 0;
}
