// A workload with a port, under a real agent's supervision.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/integration/agent/supervision_rig.hpp"

namespace rap::agent {

class EchoService : public Supervision {
 protected:
  EchoService()
      : EchoService(directory_of("RAP_TEST_PLUGIN_DIR", RAP_TEST_PLUGIN_DIR) + "/echo-service.so",
                    "echo-service") {}
  using Supervision::Supervision;

  void SetUp() override {
    Supervision::SetUp();
    config_.services.push_back({"echo-service", "echo", "127.0.0.1:0"});
  }

  // The same assignment with another configuration.
  AppliedPtr with_config(const std::string& json) const {
    auto out = std::make_shared<Applied>(*applied_);
    out->roles[0].config_json = json;
    return out;
  }
  static std::string detail_of(Life& life) { return life.workloads.report().at(0).detail; }

  static std::string address_of(Life& life) {
    for (const auto& zygote : life.workloads.all()) {
      if (zygote->gave_way()) continue;
      for (const ServiceReport& service : zygote->services()) return service.address;
    }
    return "";
  }
  static Fd connect_to_service(const std::string& address) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fd.reset();
    const timeval limit{test::kPatience.count(), 0};
    if (fd) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
  }
  // The agent does not run meanwhile: bytes, and new connections, do without it.
  static std::string say(const Fd& fd, const std::string& text) {
    if (!text.empty() && ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return "";
    std::array<char, 256> buffer;
    const ssize_t n = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    return n > 0 ? std::string(buffer.data(), static_cast<std::size_t>(n)) : "";
  }
};

}  // namespace rap::agent
