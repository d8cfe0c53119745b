// Inside the box of one check: the plugin, mapped and warmed up, the box closed, and a host.
#pragma once

#include <set>
#include <string>

#include "host/loader/plugin_loader.hpp"
#include "host/plugin-check/outcome.hpp"
#include "host/plugin-check/process_state.hpp"
#include "host/plugin-check/test_host.hpp"

namespace rap::check {

struct Scene {
  const rap_plugin* plugin;
  const loader::AdapterFacts& facts;
  const std::string& session_options;  // JSON for open()
  ProcessState before;                 // of the process, from before the plugin was mapped

  // Everything the descriptor lists and this host knows, without `withheld`.
  std::set<std::string> grants(const std::set<std::string>& withheld = {}) const;
};

// An adapter that is stopped and destroyed at the end of the scope, however that is reached.
class Running {
 public:
  Running(const Scene& scene, TestHost& host);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  rap_result created() const { return created_; }
  rap_adapter* get() const { return adapter_; }
  rap_result start();
  // Ends it early; what stop() answered.
  rap_result stop();
  void destroy();

 private:
  rap_result created_ = RAP_E_INTERNAL;
  rap_adapter* adapter_ = nullptr;
};

// "RAP_E_CONFIG" and the like.
std::string result_name(rap_result result);

// The host's complaints as a failure, or `otherwise`.
Outcome judged(TestHost& host, Outcome otherwise);

}  // namespace rap::check
