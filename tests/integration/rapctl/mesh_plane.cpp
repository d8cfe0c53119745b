#include "tests/integration/rapctl/mesh_plane.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <stdexcept>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "cli/config.hpp"
#include "contracts/frames/control.hpp"
#include "contracts/frames/reader.hpp"
#include "tests/support/run_task.hpp"

namespace rap::test {

using net::Task;
using routing::Role;
namespace json = boost::json;

namespace {

json::object node(unsigned number) {
  return {{"id", node_id(number)}, {"name", "node-" + std::to_string(number)}};
}

Sha256Digest digest_of(const json::object& body) {
  const auto bytes = from_base64url(*json_string(body, "client_certificate_sha256"));
  Sha256Digest out{};
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

}  // namespace

MeshPlane::MeshPlane() {
  // Whoever is not told that a client has gone waits longer than any test.
  world.resume.resume_window = std::chrono::minutes(10);
  // An address of this process: a relay that comes back finds its port free, whoever connects to
  // what meanwhile.
  const int pid = ::getpid();
  world.loopback = "127.77." + std::to_string(pid / 256 % 256) + "." + std::to_string(pid % 256);
  world.add(1, mask(Role::entry_node));
  world.add(2, mask(Role::relay_node));
  world.add(3, mask(Role::service), [this](std::unique_ptr<fabric::IncomingSession> incoming) {
    return serve(std::move(incoming));
  });
  world.start();
  entries = {world.node(1).entry_address()};

  CertificateWish wish;
  wish.subject_alt_name = "IP:127.0.0.1";
  net::TlsServerOptions options;
  options.identity = world.ca.issue(wish);
  options.clients = net::NoClientCertificate{};
  auto listener = net::Listener::bind(world.io.get_executor(), {"127.0.0.1", 0});
  net::HttpHandler handler = [this](const net::HttpRequest& request, const net::PeerInfo&) {
    return answer(request);
  };
  control_plane_ =
      std::make_unique<net::HttpServer>(world.io.get_executor(), std::move(*listener),
                                        *net::TlsServerContext::create(options), handler);
  control_plane_->start();

  std::string pattern = std::filesystem::temp_directory_path() / "rapctl-test-XXXXXX";
  config_dir = ::mkdtemp(pattern.data());
  cli::Context context;
  context.server = "https://" + control_plane_->local_address().text();
  context.ca_pem = world.ca.pem();
  context.token = "token";
  if (!cli::save_context(config_dir, context)) throw std::runtime_error(config_dir);
}

MeshPlane::~MeshPlane() {
  test::run_task(world.io, control_plane_->drain(net::milliseconds(0)));
  std::filesystem::remove_all(config_dir);
}

void MeshPlane::run(net::milliseconds time) {
  world.io.restart();
  world.io.run_for(time);
}

std::string MeshPlane::carry(const Sha256Digest& certificate, std::chrono::seconds life) {
  fabric::CarryClaims claims = world.carry_claims();
  claims.client_certificate_sha256 = certificate;
  claims.expires_at = claims.issued_at + life.count();
  return world.mint(claims);
}

json::object MeshPlane::access(const Sha256Digest& certificate, fabric::LeaseVerb verb) {
  fabric::LeaseClaims claims = world.session_claims();
  claims.client_certificate_sha256 = certificate;
  claims.verb = verb;
  claims.session_id = session;
  Sha256Digest holder = certificate;
  if (!first_carry_works) holder[0] ^= 1;
  json::object mesh{{"entries", json::array(entries.begin(), entries.end())},
                    {"service", claims.audience},
                    {"carry", carry(holder, std::chrono::hours(12))},
                    {"carry_expires_at", to_rfc3339(world.clock.now() + carry_until)},
                    {"lease", world.mint(claims)},
                    {"cluster_ca_pem", world.ca.pem()}};
  return {{"session", {{"id", session}, {"cluster_id", kCluster}}}, {"mesh", std::move(mesh)}};
}

json::object MeshPlane::trace_access(const std::string& to, const Sha256Digest& certificate) {
  fabric::CarryClaims claims = world.carry_claims();
  const bool node = to.starts_with("nod_");
  claims.target = {node ? fabric::MeshTarget::Kind::node : fabric::MeshTarget::Kind::service, to};
  claims.verb = fabric::CarryVerb::trace;
  claims.session_id.clear();
  if (node) claims.organization_id.clear();
  claims.client_certificate_sha256 = certificate;
  return {{"entries", json::array(entries.begin(), entries.end())},
          {"target", fabric::target_spiffe(kCluster, claims.target)},
          {"authority", fabric::mesh_authority(claims.target)},
          {"carry", world.mint(claims)},
          {"carry_expires_at", to_rfc3339(from_unix_seconds(claims.expires_at))},
          {"cluster_ca_pem", world.ca.pem()}};
}

Task<net::HttpResponse> MeshPlane::answer(const net::HttpRequest& request) {
  net::HttpResponse out;
  out.headers.set("content-type", "application/json");
  const std::string path(request.path());
  const auto parsed = parse_json(request.body.empty() ? "{}" : request.body);
  const json::object& body = parsed->get_object();
  if (request.method == "POST" && path == "/v1/sessions") {
    ++opened;
    out.status = 201;
    out.body = json::serialize(access(digest_of(body), fabric::LeaseVerb::open));
  } else if (path == "/v1/sessions/" + session + "/attach") {
    ++attached;
    view_or_control = *json_string(body, "mode");
    out.body = json::serialize(access(digest_of(body), fabric::LeaseVerb::attach));
  } else if (path == "/v1/sessions/" + session + "/carry") {
    ++renewed;
    const auto until = world.clock.now() + std::chrono::hours(12);
    out.body =
        json::serialize(json::object{{"carry", carry(digest_of(body), std::chrono::hours(12))},
                                     {"carry_expires_at", to_rfc3339(until)}});
  } else if (path == "/v1/sessions/" + session) {
    out.body = fate;
  } else if (path == "/v1/clusters/" + kCluster + "/mesh-trace") {
    ++traced;
    out.body = json::serialize(trace_access(*json_string(body, "to"), digest_of(body)));
  } else if (path == "/v1/clusters") {
    out.body = json::serialize(
        json::object{{"items", {{{"id", kCluster}, {"slug", "demo"}}}}, {"next_cursor", nullptr}});
  } else if (path == "/v1/nodes") {
    json::array items{node(1), node(2), node(3)};
    out.body = json::serialize(json::object{{"items", items}, {"next_cursor", nullptr}});
  } else if (path == "/v1/nodes/" + node_id(3) + "/mesh") {
    out.body = json::serialize(json::object{{"keys",
                                             {{{"purpose", "mesh"}},
                                              {{"purpose", "service"},
                                               {"organization_id", world.organization},
                                               {"service_id", world.service}}}}});
  } else if (path.starts_with("/v1/nodes/")) {
    for (const unsigned n : {1, 2, 3}) {
      if (path.ends_with(node_id(n))) out.body = json::serialize(node(n));
    }
  } else {
    out.status = 404;
    out.body = R"({"code":"not_found","detail":"no such route"})";
  }
  co_return out;
}

Task<void> MeshPlane::serve(std::unique_ptr<fabric::IncomingSession> incoming) {
  if (refuses) {
    Error why = *refuses;
    co_await incoming->refuse(std::move(why));
    co_return;
  }
  net::ByteStreamPtr stream = co_await incoming->accept();
  incoming.reset();
  try {
    co_await talk(*stream);
    co_await stream->shutdown();
    Bytes rest(1024);
    while (co_await stream->read_some(rest) > 0) continue;
  } catch (const net::NetError&) {
    stream->close();
  }
}

// What the hub answers to one frame. A shell whose screen is one line: what was typed comes back;
// "exit N" and Enter end it.
Bytes MeshPlane::reply(const frames::FrameView& frame, Shell& shell) {
  const std::string payload(as_text(frame.payload));
  const auto control = [&](const frames::HubMessage& message) {
    return frames::make_control_frame(frames::to_json(message), ++shell.control_seq);
  };
  const auto paint = [&](std::string_view text, std::uint16_t flags = 0) {
    frames::FrameHeader header;
    header.channel = frames::Channel::terminal;
    header.flags = flags;
    header.seq = ++shell.terminal_seq;
    return frames::make_frame(header, as_bytes(text));
  };
  if (frame.header.channel == frames::Channel::input) {
    typed += payload;
    shell.line += payload;
    const auto exit = shell.line.find("exit ");
    shell.over = exit != std::string::npos && shell.line.ends_with('\r');
    if (!shell.over) return paint(payload);
    return control(frames::Closed{"exit", std::stoll(shell.line.substr(exit + 5)), ""});
  }
  const auto message = frames::parse_client_message(payload);
  if (!message) return {};
  if (std::holds_alternative<frames::Detach>(*message)) {
    ++detached;
    shell.over = true;
  } else if (std::holds_alternative<frames::Repaint>(*message)) {
    ++repaints;
    return paint("[again]", frames::kFlagKey);
  } else if (std::holds_alternative<frames::Hello>(*message)) {
    ++hellos;
    Bytes out = control(frames::Welcome{session, "att", "control", "active", {}, 80, 24, true});
    const Bytes picture = paint("[screen]", frames::kFlagKey);
    out.insert(out.end(), picture.begin(), picture.end());
    return out;
  }
  return {};
}

Task<void> MeshPlane::talk(net::ByteStream& stream) {
  frames::FrameReader reader(frames::Direction::to_hub);
  Shell shell;
  while (!shell.over) {
    const std::size_t n = co_await stream.read_some(reader.prepare());
    if (n == 0) co_return;
    reader.commit(n);
    Bytes out;
    for (auto frame = reader.next(); frame && *frame; frame = reader.next()) {
      const Bytes more = reply(**frame, shell);
      out.insert(out.end(), more.begin(), more.end());
    }
    co_await stream.write_all(out);
  }
}

}  // namespace rap::test
