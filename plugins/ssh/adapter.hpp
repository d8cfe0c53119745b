// SSH targets: rap.ssh, role ssh-worker.
#pragma once

#include <rap/rap.hpp>

#include "options.hpp"
#include "session.hpp"

namespace rap::ssh {

struct SshAdapter : rap::Adapter {
  static constexpr rap::Info info{
      .id = "rap.ssh",
      .name = "SSH",
      .vendor = "RAP",
      .version = "0.1.0",
      .roles = {"ssh-worker"},
      .needs = {RAP_HOST_SESSION, RAP_HOST_STREAM, RAP_HOST_SECRET, RAP_HOST_LOOP},
      .wants = {RAP_HOST_LOG, RAP_HOST_CONFIG, RAP_HOST_METRICS},
      .config_schema = kConfigSchema,
      .share = RAP_SHARE_SESSION,
      .fork_safe = true};

  using Adapter::Adapter;
  static void warm_up() { warm_up_libraries(); }

  void start() override;
  void health(rap_health& report) override;
  std::unique_ptr<rap::Session> open(Sink sink, const rap_session_want& want) override;

 private:
  Counters counters_;
};

}  // namespace rap::ssh
