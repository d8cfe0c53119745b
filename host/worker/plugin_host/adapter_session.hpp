// One session of an adapter: the table rap.adapter.session/1 under the guard, and the sink behind
// rap.host.session/1.
#pragma once

#include "host/worker/hub/hub.hpp"
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {

struct SessionWant {
  std::string session_id, target, secret_ref, options;
  std::uint32_t cols = 80, rows = 24;
};

class AdapterSession final : public RemoteSession {
 public:
  // What the adapter says about the session. Posted: never from inside a call into the adapter.
  struct Events {
    std::function<void(rap_result, const std::string& detail)> opened;
    std::function<void(rap_result, const std::string& detail)> closed;
  };

  AdapterSession(Loop& loop, PluginHost& host, Events events);
  ~AdapterSession() override;

  // `hub` takes what is emitted; set before open() and valid until close().
  void set_hub(Hub* hub);

  // `opened` follows, also for an adapter that is done at once. Fails when the adapter refuses.
  Status open(const SessionWant& want);
  // The handle ends; calls afterwards do nothing. May be repeated.
  void close(rap_result why);

  rap_result attach(const rap_attach& who) override;
  rap_result detach(std::uint64_t number) override;
  rap_result takeover(std::uint64_t old_number, const rap_attach& who) override;
  rap_result resize(std::uint32_t cols, std::uint32_t rows) override;
  rap_result input(std::uint64_t number, const rap_frame* frames, std::uint32_t count) override;
  void writable() override;

 private:
  // Logs the plugin's words about a call that failed, once a second at most: what somebody types
  // may fail with every key. Returns `result`.
  rap_result noted(const char* what, rap_result result);

  Loop& loop_;
  PluginHost& host_;
  std::shared_ptr<rap_sink> sink_;  // also held by what its functions have posted
  const rap_adapter_session_1* table_ = nullptr;
  rap_session* session_ = nullptr;
  Loop::Clock::time_point last_noted_{};
  std::int64_t failures_ = 0;  // since then
};

}  // namespace rap::worker
