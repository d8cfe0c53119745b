#include "fabric/ends/mesh_server.hpp"

#include "base/log.hpp"
#include "base/net/timer.hpp"
#include "fabric/ends/hop_check.hpp"
#include "fabric/ends/service_end.hpp"

namespace rap::fabric {

using net::milliseconds;
using net::NetError;
using net::Task;

namespace {

// A relay waits as long as its entry does for one way: the entry gives up first.
constexpr milliseconds kRelayPatience{2'000};

struct CountedOpen {
  std::size_t& open;
  explicit CountedOpen(std::size_t& count) : open(count) { ++open; }
  ~CountedOpen() { --open; }
  CountedOpen(const CountedOpen&) = delete;
  CountedOpen& operator=(const CountedOpen&) = delete;
};

}  // namespace

struct MeshServer::Asked {
  MeshRequest request;
  std::string organization;
  bool echo = false;  // it ends in synthetic.echo
  std::unique_ptr<Admission::Place> place;
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
};

// One of the three; none when whoever asked is gone.
struct MeshServer::Way {
  ConnectAnswer answer;
  bool here = false;  // this node is the end
  std::optional<Error> failure;
};

MeshServer::MeshServer(MeshHost& host, MeshServerLimits limits)
    : host_(host), limits_(limits), entry_(limits.entry), relay_(limits.relay) {}

std::string MeshServer::own_id() {
  const auto directory = host_.routes().directory;
  return std::string(directory->id(directory->self()));
}

void MeshServer::refuse(IncomingConnect& incoming, const HopRefusal& refusal) {
  ++counts_.refused[std::string(name(refusal.error.code))];
  log::info("mesh stream refused", {{"error", refusal.error.text()}});
  incoming.refuse(refusal_status(refusal.error.code), refusal_headers(refusal));
}

// Failures are for the client: what it sent, and nothing of the mesh.
Result<MeshServer::Asked> MeshServer::check_client(const ConnectRequest& request,
                                                   const Sha256Digest& certificate) {
  auto parsed = parse_mesh_request(request, Asker::client);
  if (!parsed) return fail(parsed.error());
  CarryUse use;
  use.target = parsed->target;
  use.channel_class = parsed->channel_class;
  use.client_certificate = &certificate;
  const auto claims = host_.carry_verifier().verify(parsed->carry, use, host_.now().wall);
  if (!claims) return fail(claims.error());
  Asked out;
  out.echo = claims->verb == CarryVerb::trace;
  if (parsed->trace && !out.echo) return fail(Errc::forbidden, "rap-trace: not with this lease");
  out.request = std::move(*parsed);
  out.organization = claims->organization_id;
  auto place = entry_.admit(out.organization, out.begun);
  if (!place) return fail(place.error());
  out.place = std::move(*place);
  return out;
}

// The refusal of `node`, or why it could not be asked; unless `answer` has a stream.
Task<HopRefusal> MeshServer::ask(const std::string& node, const MeshRequest& request,
                                 milliseconds patience, ConnectAnswer& answer) {
  HopRefusal out;
  ConnectRequest wish = to_connect_request(request);
  try {
    answer = co_await net::with_deadline(host_.open(node, std::move(wish), request.channel_class),
                                         patience);
  } catch (const NetError& error) {
    // Also `cancelled`: the channel was closed meanwhile. Whoever is cancelled himself notices at
    // the next wait.
    out.error =
        Error{error.code() == Errc::timeout ? Errc::timeout : Errc::unavailable, error.detail()};
    out.failed_node = node;
    co_return out;
  }
  if (!answer.stream) out = read_refusal(answer);
  co_return out;
}

net::HttpHeaders MeshServer::hops_header(const Asked& asked, std::string_view rest) {
  net::HttpHeaders out;
  if (!asked.request.trace) return out;
  std::vector<HopTime> hops;
  const auto took = std::chrono::steady_clock::now() - asked.begun;
  hops.push_back(HopTime{own_id(), std::chrono::duration<double, std::milli>(took).count()});
  if (auto known = parse_hops(rest)) {
    for (HopTime& hop : *known) hops.push_back(std::move(hop));
  }
  if (hops.size() > routing::kPathNodesMax) hops.resize(routing::kPathNodesMax);
  out.set(std::string(kHopsHeader), format_hops(hops));
  return out;
}

Task<void> MeshServer::carry(std::unique_ptr<IncomingConnect> incoming, const Asked& asked,
                             ConnectAnswer answer, bool relayed) {
  const CountedOpen open(counts_.open);
  std::optional<CountedOpen> relaying;
  if (relayed) relaying.emplace(counts_.relaying);
  const auto rest = answer.headers.find(kHopsHeader);
  const net::HttpHeaders headers = hops_header(asked, rest.value_or(""));
  auto from = incoming->accept(headers);
  incoming.reset();
  Passing as;
  as.organization = asked.organization;
  as.relayed = relayed;
  co_await host_.splice(std::move(from), std::move(answer.stream), std::move(as));
}

Task<void> MeshServer::end_here(std::unique_ptr<IncomingConnect> incoming, const Asked& asked) {
  const net::HttpHeaders headers = hops_header(asked, "");
  if (asked.echo) {
    ++counts_.ended;
    net::ByteStreamPtr stream = incoming->accept(headers);
    incoming.reset();
    co_await serve_echo(std::move(stream), limits_.echo);
    co_return;
  }
  ServiceEnd* services = host_.services();
  const std::string& service = asked.request.target.id;
  Status admitted = fail(Errc::not_found, "no services here");
  if (services != nullptr) admitted = services->admits(service, asked.organization);
  if (!admitted) {
    refuse(*incoming, HopRefusal{admitted.error(), own_id()});
    co_return;
  }
  ++counts_.ended;
  services->serve(incoming->accept(headers), service);
}

Task<void> MeshServer::serve_client(std::unique_ptr<IncomingConnect> incoming,
                                    Sha256Digest client_certificate) {
  auto asked = check_client(incoming->request(), client_certificate);
  if (!asked) {
    refuse(*incoming, HopRefusal{asked.error(), {}});
    co_return;
  }
  const WantedPath wanted{asked->request.target, asked->organization, asked->request.channel_class};
  Way way = co_await open_way(wanted, asked->request, incoming.get());
  if (incoming->gone()) co_return;
  if (way.failure) {
    refuse(*incoming, HopRefusal{*way.failure, {}});
    co_return;
  }
  if (way.here) {
    // Its refusal names this node: for nodes only.
    if (!asked->echo && (host_.services() == nullptr ||
                         !host_.services()->admits(wanted.target.id, wanted.organization))) {
      refuse(*incoming, HopRefusal{{Errc::unavailable, "the service is not ready here"}, {}});
      co_return;
    }
    co_await end_here(std::move(incoming), *asked);
    co_return;
  }
  ++counts_.entered;
  co_await carry(std::move(incoming), *asked, std::move(way.answer), false);
}

Task<MeshServer::Way> MeshServer::open_way(const WantedPath& wanted, MeshRequest& request,
                                           const IncomingConnect* asker) {
  PathPicker picker(wanted, host_.now().mono, limits_.picker);
  Way out;
  std::optional<Error> last;
  for (;;) {
    const RouteView view = host_.routes();
    // People come as soon as the port is open, and after a restart all at once.
    if (view.directory == nullptr) {
      out.failure = Error{Errc::unavailable, "the entry does not know the mesh yet"};
      co_return out;
    }
    const auto path = picker.next(view, host_.now(), host_.route_cache());
    if (!path) {
      out.failure = last ? told_to_client(*last) : path.error();
      co_return out;
    }
    if (path->empty()) {
      out.here = true;
      co_return out;
    }
    request.path = *path;
    const HopRefusal refusal =
        co_await ask(path->front(), request, picker.patience(host_.now()), out.answer);
    if (asker != nullptr && asker->gone()) co_return out;
    const auto found = path_over(*view.directory, *path);
    routing::RouteCache* cache = host_.route_cache();
    if (out.answer.stream) {
      if (cache != nullptr) {
        cache->good(route_key(wanted), found, *view.directory, host_.now().wall);
      }
      co_return out;
    }
    log::info("way of a mesh stream failed",
              {{"path", format_path(*path)}, {"error", refusal.error.text()}});
    if (cache != nullptr) cache->bad(route_key(wanted), found, *view.directory);
    picker.failed(refusal.failed_node);
    last = refusal.error;
    ++counts_.retried;
  }
}

Task<Result<std::unique_ptr<H2Stream>>> MeshServer::open_own(MeshTarget target,
                                                             routing::ChannelClass channel_class) {
  using Answer = Result<std::unique_ptr<H2Stream>>;
  if (target.kind != MeshTarget::Kind::node) {
    co_return Answer(fail(Errc::unsupported, "a node's own streams go to nodes"));
  }
  if (host_.routes().directory == nullptr) {
    co_return Answer(fail(Errc::unavailable, "no directory yet"));
  }
  MeshRequest request;
  request.target = target;
  request.channel_class = channel_class;
  const WantedPath wanted{std::move(target), {}, channel_class};
  Way way = co_await open_way(wanted, request, nullptr);
  if (way.failure) co_return Answer(fail(*way.failure));
  if (way.here) co_return Answer(fail(Errc::invalid, "that is this node"));
  co_return Answer(std::move(way.answer.stream));
}

Task<void> MeshServer::serve_node(std::unique_ptr<IncomingConnect> incoming, std::string from) {
  Asked asked;
  auto request = parse_mesh_request(incoming->request(), Asker::node);
  if (!request) {
    refuse(*incoming, HopRefusal{request.error(), own_id()});
    co_return;
  }
  const auto directory = host_.routes().directory;
  const routing::NodeIndex asker = directory->find(from);
  auto hop = asker == routing::kNoNode
                 ? Result<Hop>(fail(Errc::forbidden, "not in the directory"))
                 : check_hop(*directory, host_.carry_verifier(), *request, asker, host_.now());
  if (!hop) {
    refuse(*incoming, HopRefusal{hop.error(), own_id()});
    co_return;
  }
  auto place = relay_.admit(hop->organization, asked.begun);
  if (!place) {
    refuse(*incoming, HopRefusal{place.error(), own_id()});
    co_return;
  }
  asked.place = std::move(*place);
  asked.organization = hop->organization;
  asked.echo = hop->echo;
  if (hop->end) {
    asked.request = std::move(*request);
    co_await end_here(std::move(incoming), asked);
    co_return;
  }
  if (!host_.relays()) {
    refuse(*incoming, HopRefusal{{Errc::unavailable, "this node is no relay"}, own_id()});
    co_return;
  }
  asked.request = std::move(hop->onward);
  ConnectAnswer answer;
  const HopRefusal refusal = co_await ask(hop->next, asked.request, kRelayPatience, answer);
  if (incoming->gone()) co_return;
  if (!answer.stream) {
    HopRefusal passed = refusal;
    if (passed.failed_node.empty()) passed.failed_node = hop->next;
    refuse(*incoming, passed);
    co_return;
  }
  ++counts_.relayed;
  co_await carry(std::move(incoming), asked, std::move(answer), true);
}

MeshServerCounts MeshServer::counts() const {
  return counts_;
}

}  // namespace rap::fabric
