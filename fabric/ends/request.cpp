#include "fabric/ends/request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/id.hpp"
#include "fabric/jws.hpp"
#include "fabric/names.hpp"

namespace rap::fabric {

namespace {

// A day: nothing that is set up takes longer, and it bounds the digits.
constexpr double kSetupMsMax = 86'400'000;

// nullopt: absent. A header that comes twice has two readings, so it has none.
Result<std::optional<std::string_view>> one(const net::HttpHeaders& headers,
                                            std::string_view name) {
  std::optional<std::string_view> out;
  for (const net::HttpHeader& header : headers) {
    if (header.name != name) continue;
    if (out) return fail(Errc::malformed, std::string(name) + ": twice");
    out = header.value;
  }
  return out;
}

bool is_node_id(std::string_view text) {
  return is_id_text(text, id_kind::Node::prefix);
}

// Calls `take` with each part between commas; false when it does.
template <typename Take>
bool for_each_part(std::string_view text, Take take) {
  for (;;) {
    const auto comma = text.find(',');
    if (!take(text.substr(0, comma))) return false;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

Result<routing::ChannelClass> parse_class(std::string_view text) {
  for (const auto c : {routing::ChannelClass::interactive, routing::ChannelClass::bulk}) {
    if (text == routing::name(c)) return c;
  }
  return fail(Errc::malformed, "rap-class");
}

}  // namespace

Result<std::vector<std::string>> parse_path(std::string_view text) {
  std::vector<std::string> out;
  bool long_one = false;
  const bool whole = for_each_part(text, [&](std::string_view part) {
    long_one = out.size() == kPathAheadMax;
    if (long_one || !is_node_id(part)) return false;
    if (std::find(out.begin(), out.end(), part) != out.end()) return false;
    out.emplace_back(part);
    return true;
  });
  if (long_one) return fail(Errc::too_large, "rap-path: more than 4 nodes");
  if (!whole) return fail(Errc::malformed, "rap-path: not nodes, each once");
  return out;
}

std::string format_path(const std::vector<std::string>& nodes) {
  std::string out;
  for (const std::string& node : nodes) {
    if (!out.empty()) out += ',';
    out += node;
  }
  return out;
}

Result<std::vector<HopTime>> parse_hops(std::string_view text) {
  std::vector<HopTime> out;
  bool long_one = false;
  const bool whole = for_each_part(text, [&](std::string_view part) {
    long_one = out.size() == routing::kPathNodesMax;
    const auto equals = part.find('=');
    if (long_one || equals == std::string_view::npos || !is_node_id(part.substr(0, equals))) {
      return false;
    }
    const std::string_view digits = part.substr(equals + 1);
    double ms = 0;
    const char* end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, ms, std::chars_format::fixed);
    if (read.ec != std::errc() || read.ptr != end || !(ms >= 0) || ms > kSetupMsMax) return false;
    out.push_back(HopTime{std::string(part.substr(0, equals)), ms});
    return true;
  });
  if (long_one) return fail(Errc::too_large, "rap-hops: more than 5 nodes");
  if (!whole) return fail(Errc::malformed, "rap-hops");
  return out;
}

std::string format_hops(const std::vector<HopTime>& hops) {
  std::string out;
  for (const HopTime& hop : hops) {
    if (!out.empty()) out += ',';
    const double ms = std::isfinite(hop.setup_ms) ? std::clamp(hop.setup_ms, 0.0, kSetupMsMax) : 0;
    out += fmt::format("{}={:.2f}", hop.node, ms);
  }
  return out;
}

Result<MeshRequest> parse_mesh_request(const ConnectRequest& request, Asker asker) {
  MeshRequest out;
  auto target = mesh_target_of_authority(request.authority);
  if (!target) return fail(Errc::malformed, "the authority names no service or node");
  out.target = std::move(*target);
  const bool to_node = out.target.kind == MeshTarget::Kind::node;

  const auto carry = one(request.headers, kCarryHeader);
  const auto channel_class = one(request.headers, kClassHeader);
  const auto path = one(request.headers, kPathHeader);
  const auto service = one(request.headers, kServiceHeader);
  const auto trace = one(request.headers, kTraceHeader);
  for (const auto* header : {&carry, &channel_class, &path, &service, &trace}) {
    if (!*header) return fail(header->error());
  }

  if (*carry) {
    if ((*carry)->empty()) return fail(Errc::malformed, "rap-carry: empty");
    if ((*carry)->size() > kLeaseBytesMax) return fail(Errc::too_large, "rap-carry: over 4 KiB");
    out.carry = **carry;
  } else if (asker == Asker::client || !to_node) {
    return fail(Errc::unauthorized, "no carry lease");
  }
  if (!*channel_class) return fail(Errc::malformed, "rap-class: missing");
  const auto parsed_class = parse_class(**channel_class);
  if (!parsed_class) return fail(parsed_class.error());
  out.channel_class = *parsed_class;

  if (path->has_value() != (asker == Asker::node)) {
    return fail(Errc::malformed, "rap-path: from nodes, and only from them");
  }
  if (*path) {
    auto nodes = parse_path(**path);
    if (!nodes) return fail(nodes.error());
    out.path = std::move(*nodes);
  }
  if (service->has_value() != to_node) {
    return fail(Errc::malformed, "rap-service: with a node, and only with one");
  }
  if (*service && **service != kEchoService) {
    return fail(Errc::unsupported, "rap-service: not a service of nodes");
  }
  if (*trace && **trace != "1") return fail(Errc::malformed, "rap-trace");
  out.trace = trace->has_value();
  if (out.trace && out.carry.empty()) return fail(Errc::unauthorized, "rap-trace: no carry lease");
  return out;
}

ConnectRequest to_connect_request(const MeshRequest& request) {
  ConnectRequest out;
  out.authority = mesh_authority(request.target);
  const auto set = [&](std::string_view name, std::string value) {
    out.headers.push_back(net::HttpHeader{std::string(name), std::move(value)});
  };
  if (!request.carry.empty()) set(kCarryHeader, request.carry);
  set(kClassHeader, std::string(routing::name(request.channel_class)));
  if (!request.path.empty()) set(kPathHeader, format_path(request.path));
  if (request.target.kind == MeshTarget::Kind::node) {
    set(kServiceHeader, std::string(kEchoService));
  }
  if (request.trace) set(kTraceHeader, "1");
  return out;
}

unsigned refusal_status(Errc code) {
  switch (code) {
    case Errc::invalid:
    case Errc::malformed:
    case Errc::too_large:
    case Errc::unsupported:
      return 400;
    case Errc::not_found:
      return 404;
    case Errc::unauthorized:
    case Errc::forbidden:
    case Errc::expired:
    case Errc::bad_signature:
    case Errc::mismatch:
    case Errc::conflict:
      return 403;
    default:
      return 503;
  }
}

net::HttpHeaders refusal_headers(const HopRefusal& refusal) {
  net::HttpHeaders out;
  out.set(std::string(kErrorHeader), std::string(name(refusal.error.code)));
  out.set(std::string(kDetailHeader), header_safe(refusal.error.detail));
  if (!refusal.failed_node.empty()) out.set(std::string(kFailedHeader), refusal.failed_node);
  return out;
}

HopRefusal read_refusal(const ConnectAnswer& answer) {
  HopRefusal out;
  const auto code = one(answer.headers, kErrorHeader);
  out.error.code = code && *code ? errc_from_name(**code) : Errc::unavailable;
  const auto detail = one(answer.headers, kDetailHeader);
  out.error.detail =
      detail && *detail ? header_safe(**detail) : "the answer was " + std::to_string(answer.status);
  const auto failed = one(answer.headers, kFailedHeader);
  if (failed && *failed && is_node_id(**failed)) out.failed_node = **failed;
  return out;
}

Error told_to_client(const Error& error) {
  switch (error.code) {
    case Errc::not_found:
      return {error.code, "this service is not there (any more)"};
    case Errc::expired:
      return {error.code, "the carry lease is over, or a clock is wrong"};
    case Errc::unauthorized:
    case Errc::forbidden:
    case Errc::bad_signature:
    case Errc::mismatch:
    case Errc::conflict:
      return {Errc::forbidden, "the way to this service is not open to this stream"};
    case Errc::timeout:
      return {error.code, "the way to this service took too long; try again"};
    case Errc::exhausted:
      return {error.code, "the way to this service is full; try again"};
    default:
      return {Errc::unavailable, "there is no way to this service now; try again"};
  }
}

}  // namespace rap::fabric
