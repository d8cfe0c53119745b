#include "cli/mesh_trace.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/net/timer.hpp"
#include "cli/session_access.hpp"
#include "fabric/ends/entry_dial.hpp"

namespace rap::cli {
namespace {

using net::NetError;
using net::Task;
using SteadyTime = std::chrono::steady_clock::time_point;

// An entry looks for a way for 5 s; its answer needs a round trip.
constexpr net::milliseconds kAnswerTimeout{6'000};
constexpr net::milliseconds kEchoTimeout{5'000};
// As a keystroke and what is around it.
constexpr std::size_t kEchoBytes = 64;

SteadyTime now() {
  return std::chrono::steady_clock::now();
}
double ms_since(SteadyTime then) {
  return std::chrono::duration<double, std::milli>(now() - then).count();
}

Task<std::unique_ptr<net::TlsStream>> dial(const TraceWish& wish, const std::string& entry) {
  auto address = net::parse_host_port(entry);
  if (!address) throw NetError(address.error());
  net::TlsClientOptions options;
  options.trust = net::TrustCa{wish.access.cluster_ca_pem};
  options.identity = wish.identity;
  options.alpn = {"h2"};
  auto tls = net::TlsClientContext::create(options);
  if (!tls) throw NetError(tls.error());
  fabric::EntryDial to{{}, std::move(*tls), fabric::entry_spiffe(wish.cluster_id), {}};
  to.entries.push_back(std::move(*address));
  fabric::DialledEntry out = co_await fabric::dial_entry(std::move(to));
  co_return std::move(out.stream);
}

Task<std::unique_ptr<fabric::H2Stream>> open(const TraceWish& wish, net::ByteStreamPtr entry,
                                             EntryTrace& out) {
  auto executor = co_await net::asio::this_coro::executor;
  fabric::H2Limits limits;
  auto connection = fabric::H2Connection::make_client(executor, std::move(entry), limits);
  connection->start();
  fabric::MeshRequest asked;
  asked.target = wish.access.target;
  asked.carry = wish.access.carry;
  asked.trace = true;
  fabric::ConnectRequest request = fabric::to_connect_request(asked);
  fabric::ConnectAnswer answer =
      co_await net::with_deadline(connection->connect(std::move(request)), kAnswerTimeout);
  if (!answer.stream) throw NetError(fabric::read_refusal(answer).error);
  const auto header = answer.headers.find(fabric::kHopsHeader);
  if (!header) throw NetError(Errc::malformed, "the entry's answer names no hops");
  auto hops = fabric::parse_hops(*header);
  if (!hops) throw NetError(hops.error());
  out.hops = std::move(*hops);
  co_return std::move(answer.stream);
}

Task<bool> echo(net::ByteStream& stream, Bytes& back) {
  const Bytes sent(kEchoBytes, 'e');
  co_await stream.write_all(sent);
  back.resize(sent.size());
  const bool whole = co_await net::read_exact(stream, back);
  co_return whole&& back == sent;
}

Task<void> trace(const TraceWish& wish, EntryTrace& out) {
  const SteadyTime begun = now();
  auto secured = co_await dial(wish, out.entry);
  out.connected_ms = ms_since(begun);
  const SteadyTime asked = now();
  net::ByteStreamPtr entry = std::move(secured);
  auto stream = co_await open(wish, std::move(entry), out);
  out.opened_ms = ms_since(asked);
  Bytes back;
  for (std::size_t i = 0; i < wish.echoes; ++i) {
    const SteadyTime sent = now();
    const bool good = co_await net::with_deadline(echo(*stream, back), kEchoTimeout);
    if (!good) throw NetError(Errc::malformed, "the echo is not what was sent");
    out.echo_ms.push_back(ms_since(sent));
  }
  co_await stream->shutdown();
}

}  // namespace

Result<TraceAccess> parse_trace_access(const boost::json::value& answer) {
  const boost::json::object* object = answer.if_object();
  if (object == nullptr) return fail(Errc::malformed, "not an object");
  TraceAccess out;
  auto entries = parse_entries(*object);
  if (!entries) return fail(entries.error());
  out.entries = std::move(*entries);
  const auto authority = json_string(*object, "authority");
  if (!authority) return fail(authority.error());
  const auto target = fabric::mesh_target_of_authority(*authority);
  if (!target) return fail(Errc::invalid, "authority: no service or node");
  out.target = *target;
  auto carry = json_string(*object, "carry");
  if (!carry) return fail(carry.error());
  out.carry = std::move(*carry);
  auto ca = json_string(*object, "cluster_ca_pem");
  if (!ca) return fail(ca.error());
  out.cluster_ca_pem = std::move(*ca);
  return out;
}

Task<EntryTrace> trace_entry(TraceWish wish, std::size_t index) {
  EntryTrace out;
  out.entry = wish.access.entries[index];
  try {
    co_await trace(wish, out);
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    out.failed = error.error();
  }
  std::sort(out.echo_ms.begin(), out.echo_ms.end());
  co_return out;
}

double link_ms(const EntryTrace& trace, std::size_t index) {
  const double before = index == 0 ? trace.opened_ms : trace.hops[index - 1].setup_ms;
  return std::max(0.0, before - trace.hops[index].setup_ms);
}

double quantile(const std::vector<double>& sorted, double part) {
  const auto place = static_cast<std::size_t>(std::ceil(part * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(place, 1, sorted.size()) - 1];
}

}  // namespace rap::cli
