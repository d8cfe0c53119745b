#include "host/agent/control/enroll.hpp"

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/net/timer.hpp"
#include "base/net/x509.hpp"
#include "base/secret.hpp"
#include "host/agent/control/control_client.hpp"
#include "host/agent/control/join_token.hpp"
#include "host/agent/node/capabilities.hpp"
#include "host/agent/node/facts.hpp"
#include "host/agent/state/layout.hpp"
#include "host/agent/version.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

constexpr std::size_t kTokenBytesMax = 4096;  // a token has about 140
constexpr net::milliseconds kCallDeadline{20'000};
constexpr net::milliseconds kPollInterval{2'000};  // a person decides: sooner helps nobody
constexpr net::milliseconds kRetryInterval{5'000};

// The key of an unfinished request for the same server goes on; that of a node, `own_key`, always.
Result<PendingEnrollment> begin(const StateLayout& state, const std::string& server,
                                const JoinToken& token, const std::string& own_key) {
  auto pending = read_pending(state.enrollment());
  if (!pending && pending.error().code != Errc::not_found) {
    return fail(pending.error(), "remove this damaged file and enroll again");
  }
  const bool goes_on =
      pending && pending->server == server && (own_key.empty() || pending->key_pem == own_key);
  if (goes_on && pending->token_id == token.id) return pending;
  PendingEnrollment fresh;
  fresh.key_pem = !own_key.empty() ? own_key
                  : goes_on        ? pending->key_pem
                                   : net::generate_p256_key_pem();
  fresh.server = server;
  fresh.token_id = token.id;
  // Before the key is used: a request whose key is lost could never be answered.
  if (Status written = write_pending(state.enrollment(), fresh); !written) {
    return fail(std::move(written.error()));
  }
  return fresh;
}

json::object request_body(const Config& config, const std::string& node_name,
                          const std::string& token, const std::string& csr) {
  const Facts facts = read_facts();
  const HostAbilities abilities =
      probe_host({config.worker_path, config.listener_path, system_library_directories()});
  json::array capabilities;
  for (const Capability& entry : abilities.capabilities) {
    capabilities.push_back(json::object{{"name", entry.name}, {"detail", entry.detail}});
  }
  return {{"token", token},
          {"csr_pem", csr},
          {"node_name", node_name.empty() ? facts.hostname : node_name},
          {"facts", to_json(facts)},
          {"capabilities", std::move(capabilities)},
          {"requested_roles", json::array{}},
          {"agent_version", kAgentVersion}};
}

// Worth another try without a person: the way to the control plane, not its decision.
bool is_transient(const Error& error) {
  return error.code == Errc::unavailable || error.code == Errc::timeout;
}

std::string not_reached(const std::string& server, const Error& error) {
  return "cannot reach " + server + ": " + error.detail +
         "\nIs rap-control-plane running there, is the address right, and may this host connect?";
}

void forget_pending(const StateLayout& state) {
  std::error_code ec;
  std::filesystem::remove(state.enrollment(), ec);
}

Status store_identity(const StateLayout& state, const Identity& identity) {
  if (Status written = write_identity(state.identity(), identity); !written) return written;
  forget_pending(state);
  return {};
}

struct Request {
  StateLayout state;
  PendingEnrollment pending;
  std::string pin_text;
  json::object body;
  std::string fingerprint;  // of the key, as the owner sees it
  EnrollOptions::Wait wait = EnrollOptions::Wait::yes;
  std::optional<Identity> member;  // whose enrollment is renewed
};

net::Task<Result<EnrollOutcome>> ask_until_decided(ControlClient& client, Request& request,
                                                   const Progress& progress) {
  const std::string& server = request.pending.server;
  bool asked = false;
  bool complained = false;
  while (true) {
    auto answer = co_await client.post("/v1/enroll", request.body, kCallDeadline);
    if (!answer && is_transient(answer.error()) && request.wait == EnrollOptions::Wait::yes) {
      if (!complained) {
        progress(not_reached(server, answer.error()) +
                 "\ntrying again every 5 s; Ctrl-C gives up and loses nothing");
      }
      complained = true;
      co_await net::sleep_for(kRetryInterval);
      continue;
    }
    if (!answer) {
      // A rejected request stays rejected: the next run makes a new one, with a new key.
      if (answer.error().code == Errc::forbidden) forget_pending(request.state);
      if (is_transient(answer.error())) {
        co_return fail(answer.error().code, not_reached(server, answer.error()));
      }
      co_return fail(answer.error(), "enrollment at " + server);
    }
    complained = false;
    const json::object* object = answer->if_object();
    const auto status = object ? json_string_or_none(*object, "status") : std::nullopt;
    if (status == "approved") {
      const std::string text = json::serialize(*answer);
      auto identity = accept_approval(text, request.pending, request.pin_text, RealClock().now());
      if (!identity) co_return fail(std::move(identity.error()));
      if (request.member && (identity->node_id != request.member->node_id ||
                             identity->cluster_id != request.member->cluster_id)) {
        co_return fail(Errc::mismatch, "the approval is for another node, " + identity->node_id);
      }
      if (Status stored = store_identity(request.state, *identity); !stored) {
        co_return fail(std::move(stored.error()));
      }
      progress((request.member ? "renewed " : "enrolled as ") + identity->node_id + " in " +
               identity->cluster_id);
      co_return EnrollOutcome::enrolled;
    }
    if (status != "pending") co_return fail(Errc::malformed, "unknown answer to the join request");
    if (!asked) {
      request.pending.join_request_id =
          json_string_or_none(*object, "join_request_id").value_or("");
      if (Status written = write_pending(request.state.enrollment(), request.pending); !written) {
        co_return fail(std::move(written.error()));
      }
      progress("join request " + request.pending.join_request_id +
               " waits for approval\n  key fingerprint " + request.fingerprint +
               "\n  before an owner approves it, compare: rapctl join-request show " +
               request.pending.join_request_id);
    }
    asked = true;
    if (request.wait == EnrollOptions::Wait::no) co_return EnrollOutcome::pending;
    co_await net::sleep_for(kPollInterval);
  }
}

}  // namespace

Status check_node_certificate(const Identity& identity, SystemTime now) {
  auto certificate = net::parse_certificate_pem(identity.certificate_pem);
  if (!certificate) return fail(certificate.error(), "certificate");
  auto key = net::key_spki_sha256(identity.key_pem);
  if (!key) return fail(key.error(), "own key");
  if (certificate->spki_sha256 != *key) {
    return fail(Errc::mismatch, "the certificate is for another key");
  }
  const std::string expected = "spiffe://" + identity.cluster_id + "/node/" + identity.node_id;
  if (certificate->spiffe_uri != expected) {
    return fail(Errc::mismatch, "the certificate names " + certificate->spiffe_uri);
  }
  Status chain = net::verify_chain(certificate->der, {}, identity.cluster_ca_pem,
                                   net::CertificateUse::client, now);
  if (!chain && chain.error().code == Errc::expired) {
    return fail(Errc::expired, certificate->not_after <= now
                                   ? how_to_renew(certificate->not_after, now)
                                   : "the certificate is valid from " +
                                         to_rfc3339(certificate->not_before) +
                                         " but the clock of this host says " + to_rfc3339(now) +
                                         "; set the clock");
  }
  return chain;
}

std::optional<SystemTime> certificate_ended(const Identity& identity, SystemTime now) {
  auto certificate = net::parse_certificate_pem(identity.certificate_pem);
  if (!certificate || certificate->not_after > now) return std::nullopt;
  return certificate->not_after;
}

std::string how_to_renew(SystemTime ended, SystemTime now) {
  return "the node certificate ended " + to_rfc3339(ended) + "; if the clock of this host (" +
         to_rfc3339(now) +
         ") is right, run with a new join token: rap-node-agent enroll --token-file FILE";
}

Result<Identity> accept_approval(std::string_view answer_json, const PendingEnrollment& pending,
                                 const std::string& pin_text, SystemTime now) {
  auto value = parse_json(answer_json);
  if (!value || !value->is_object()) return fail(Errc::malformed, "the approval is not an object");
  const json::object& answer = value->get_object();
  Identity out;
  out.server = pending.server;
  out.pin = pin_text;
  out.key_pem = pending.key_pem;
  for (const auto& [key, into] :
       {std::pair{"node_id", &out.node_id}, std::pair{"cluster_id", &out.cluster_id},
        std::pair{"certificate_pem", &out.certificate_pem},
        std::pair{"cluster_ca_pem", &out.cluster_ca_pem}}) {
    auto text = json_string(answer, key);
    if (!text || text->empty()) return fail(Errc::malformed, std::string("approval: ") + key);
    *into = std::move(*text);
  }
  const json::value* root = answer.if_contains("director_root");
  if (root == nullptr) return fail(Errc::malformed, "approval: director_root");
  out.director_root = root->is_string() ? std::string(root->get_string()) : json::serialize(*root);
  if (Status good = check_node_certificate(out, now); !good) {
    return fail(good.error(), "approval");
  }
  return out;
}

net::Task<Result<EnrollOutcome>> enroll(const Config& config, EnrollOptions options,
                                        Progress progress) {
  const StateLayout state{config.state_dir};
  if (Status made = make_directories(state, {config.run_dir}); !made) {
    co_return fail(std::move(made.error()));
  }
  Request request;
  request.state = state;
  request.wait = options.wait;
  auto identity = read_identity(state.identity());
  if (!identity && identity.error().code != Errc::not_found) {
    co_return fail(std::move(identity.error()));
  }
  Result<Fd> lock = Fd();
  if (identity) {
    const auto ended = certificate_ended(*identity, RealClock().now());
    if (!ended) {
      progress("already enrolled as " + identity->node_id + " in " + identity->cluster_id);
      co_return EnrollOutcome::already_enrolled;
    }
    progress("the certificate of " + identity->node_id + " ended " + to_rfc3339(*ended) +
             "; asking for another with the same key");
    request.member = std::move(*identity);
    if (options.server.empty()) options.server = request.member->server;
  } else {
    // Not for a renewal: a running agent holds the lock, keeps the sessions, and takes the identity
    // from the disk when it is there.
    lock = lock_state(state);
  }
  if (!lock) co_return fail(std::move(lock.error()));
  if (options.server.empty()) {
    co_return fail(Errc::invalid, "name the control plane: --server https://host:port");
  }

  auto text = read_text_file(options.token_file, kTokenBytesMax);
  if (!text) co_return fail(text.error(), "join token");
  auto token = parse_join_token(*text);
  if (!token) co_return fail(std::move(token.error()));
  if (request.member && request.member->pin != token->pin_text) {
    co_return fail(Errc::mismatch,
                   "the join token is of another installation than this node; to move the host "
                   "there, end it here (rap-node-agent stop --all) and remove " +
                       state.root.string());
  }
  while (options.server.ends_with('/')) options.server.pop_back();
  auto pending =
      begin(state, options.server, *token, request.member ? request.member->key_pem : "");
  if (!pending) co_return fail(std::move(pending.error()));
  auto csr = net::make_csr_pem(pending->key_pem, options.node_name);
  if (!csr) co_return fail(std::move(csr.error()));
  auto fingerprint = net::key_spki_sha256(pending->key_pem);
  if (!fingerprint) co_return fail(fingerprint.error(), "own key");

  request.pending = std::move(*pending);
  request.fingerprint = to_hex(*fingerprint);
  request.pin_text = token->pin_text;
  request.body = request_body(config, options.node_name, std::string(trim(*text)), *csr);
  wipe(*text);

  ControlClient client(co_await net::asio::this_coro::executor);
  const ServerAddress address{options.server, token->pin};
  if (Status ready = client.connect_to(address, std::nullopt); !ready) {
    co_return fail(ready.error(), options.server);
  }
  co_return co_await ask_until_decided(client, request, progress);
}

}  // namespace rap::agent
