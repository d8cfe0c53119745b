#include <cstdio>
#include <exception>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "base/bytes.hpp"
#include "base/net/net_error.hpp"
#include "base/net/x509.hpp"
#include "host/agent/commands/commands.hpp"
#include "host/agent/state/layout.hpp"

namespace rap::agent {
namespace json = boost::json;

int report_failure(const Error& error, Output output) {
  if (output == Output::json) {
    const json::object problem{{"error", name(error.code)}, {"detail", error.detail}};
    std::fprintf(stderr, "%s\n", json::serialize(problem).c_str());
  } else {
    std::fprintf(stderr, "rap-node-agent: %s\n", error.detail.c_str());
  }
  return 1;
}

int enroll_command(const Config& config, EnrollOptions options, Output output) {
  net::asio::io_context context(1);
  Result<EnrollOutcome> outcome = fail(Errc::internal, "enrollment did not end");
  std::exception_ptr fault;
  const Progress progress = [output](const std::string& text) {
    std::fprintf(output == Output::json ? stderr : stdout, "%s\n", text.c_str());
    std::fflush(stdout);
  };
  const auto done = [&](std::exception_ptr error, Result<EnrollOutcome> result) {
    fault = error;
    if (!error) outcome = std::move(result);
  };
  net::asio::co_spawn(context, enroll(config, std::move(options), progress), done);
  context.run();
  if (fault) std::rethrow_exception(fault);
  if (!outcome) return report_failure(outcome.error(), output);
  if (output == Output::json) {
    json::object answer{{"status", *outcome == EnrollOutcome::pending ? "pending" : "enrolled"}};
    const StateLayout state{config.state_dir};
    if (auto pending = read_pending(state.enrollment());
        pending && *outcome == EnrollOutcome::pending) {
      answer["join_request_id"] = pending->join_request_id;
      if (auto key = net::key_spki_sha256(pending->key_pem)) answer["fingerprint"] = to_hex(*key);
    }
    if (auto identity = read_identity(state.identity())) {
      answer["node_id"] = identity->node_id;
      answer["cluster_id"] = identity->cluster_id;
    }
    std::printf("%s\n", json::serialize(answer).c_str());
  }
  return 0;
}

}  // namespace rap::agent
