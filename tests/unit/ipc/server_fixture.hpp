// An IpcServer on a thread of its own, as the loop of a supervised process would drive it.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

#include <boost/json.hpp>

#include "host/ipc/server.hpp"
#include "tests/support/patience.hpp"

namespace rap::ipc {

class RunningServer {
 public:
  RunningServer() {
    char pattern[] = "/tmp/rap-ipc-test-XXXXXX";
    directory_ = mkdtemp(pattern);
    auto listening = listen_at(path());
    IpcServer::Handlers handlers;
    handlers.on_request = [this](IpcServer::RequestId id, Message message) {
      on_request(id, std::move(message));
    };
    handlers.on_hello = [](boost::json::object& answer) { answer["greeting"] = "hi"; };
    server_.emplace(ServerOptions{*std::move(listening), "session", "0.1.0", getuid()},
                    std::move(handlers));
    thread_ = std::thread([this] {
      while (!stop_) {
        pollfd wait{server_->fd(), POLLIN, 0};
        poll(&wait, 1, 20);
        server_->process();
      }
    });
  }
  ~RunningServer() {
    stop_ = true;
    thread_.join();
    std::filesystem::remove_all(directory_);
  }

  std::string path() const { return directory_ + "/s"; }

 private:
  // "echo" answers its text; "event" sends one; "ask" calls the agent and answers with what it
  // said; "never" is not answered.
  void on_request(IpcServer::RequestId id, Message message) {
    namespace json = boost::json;
    if (message.op == "echo") {
      std::vector<int> fds;
      for (const Fd& fd : message.fds) fds.push_back(fd.get());
      return server_->answer(id, {{"text", message.body->at("text")}}, fds);
    }
    if (message.op == "event") {
      server_->send_event({{"op", "state"}, {"n", message.body->at("n")}});
      return server_->answer(id, {});
    }
    if (message.op == "ask") {
      server_->call({{"op", "question"}}, {},
                    std::chrono::milliseconds(message.body->at("ms").as_int64()),
                    [this, id](Result<Message> answer) {
                      if (!answer) return server_->refuse(id, answer.error());
                      server_->answer(id, {{"said", answer->body->at("said")}});
                    });
      return;
    }
    if (message.op == "never") return;
    server_->refuse(id, {Errc::unsupported, "unknown op " + message.op});
  }

  std::string directory_;
  std::optional<IpcServer> server_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

inline constexpr const char* kNonce = "0123456789abcdef0123456789abcdef";

}  // namespace rap::ipc
