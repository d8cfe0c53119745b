// The roles relay-node and entry-node: what the node of the core adapter may do besides.
#pragma once

#include <memory>

#include <rap/mesh.hpp>

#include "plugins/mesh/shared.hpp"

namespace rap::mesh {

// Carries streams between other nodes. Needs nothing of the host: its rights are in the directory.
class RelayAdapter final : public Adapter {
 public:
  static constexpr Info info{.id = "rap.mesh.relay",
                             .name = "Mesh relay",
                             .vendor = "RAP",
                             .version = "0.1.0",
                             .roles = {"relay-node"},
                             .wants = {RAP_HOST_LOG},
                             .provides = {},
                             .profile = "net.client",
                             .config_schema = kConfigSchema,
                             .share = RAP_SHARE_WORKLOAD};
  using Adapter::Adapter;
  ~RelayAdapter() override { RelayAdapter::stop(); }

  void start() override;
  void drain(std::uint64_t deadline_ms) override;
  void stop() override;
  void health(rap_health& out) override;

 private:
  std::shared_ptr<Shared> shared_;  // while started
  bool draining_ = false;
};

// Lets people in.
class EntryAdapter final : public Adapter {
 public:
  static constexpr Info info{.id = "rap.mesh.entry",
                             .name = "Mesh entry",
                             .vendor = "RAP",
                             .version = "0.1.0",
                             .roles = {"entry-node"},
                             .needs = {RAP_HOST_IDENTITY},
                             .wants = {RAP_HOST_LOG},
                             .provides = {},
                             .profile = "net.client",
                             .config_schema = kConfigSchema,
                             .share = RAP_SHARE_WORKLOAD};
  using Adapter::Adapter;
  ~EntryAdapter() override { EntryAdapter::stop(); }

  void start() override;
  void drain(std::uint64_t deadline_ms) override;
  void stop() override;
  void health(rap_health& out) override;

 private:
  void watch();
  void on_identity(const rap_identity& given);

  std::shared_ptr<Shared> shared_;  // while started
  bool draining_ = false;
};

}  // namespace rap::mesh
