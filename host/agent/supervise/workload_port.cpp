#include "host/agent/supervise/workload_port.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

// Connections that wait while the worker is busy; above it the kernel makes clients try again.
constexpr int kBacklog = 256;

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;

  socklen_t size() const { return any.sa_family == AF_INET6 ? sizeof v6 : sizeof v4; }
};

Result<Address> parse(const std::string& host_port) {
  const auto wrong = [&] { return fail(Errc::invalid, host_port + ": want a numeric host:port"); };
  const std::size_t colon = host_port.rfind(':');
  if (colon == host_port.npos || colon == 0) return wrong();
  std::uint16_t port = 0;
  const char* end = host_port.data() + host_port.size();
  const auto read = std::from_chars(host_port.data() + colon + 1, end, port);
  if (read.ec != std::errc() || read.ptr != end) return wrong();
  std::string host = host_port.substr(0, colon);
  Address out{};
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(port);
    if (::inet_pton(AF_INET6, host.c_str(), &out.v6.sin6_addr) != 1) return wrong();
    return out;
  }
  out.v4.sin_family = AF_INET;
  out.v4.sin_port = htons(port);
  if (::inet_pton(AF_INET, host.c_str(), &out.v4.sin_addr) != 1) return wrong();
  return out;
}

std::string text_of(const Address& address) {
  char host[INET6_ADDRSTRLEN] = {};
  if (address.any.sa_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof host);
    return "[" + std::string(host) + "]:" + std::to_string(ntohs(address.v6.sin6_port));
  }
  ::inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof host);
  return std::string(host) + ":" + std::to_string(ntohs(address.v4.sin_port));
}

}  // namespace

Result<ListeningSocket> listen_tcp(const std::string& host_port) {
  auto address = parse(host_port);
  if (!address) return fail(address.error());
  Fd fd(::socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int one = 1;
  if (fd) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (!fd || ::bind(fd.get(), &address->any, address->size()) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    const int error = errno;
    const Errc code = error == EADDRINUSE                  ? Errc::conflict
                      : error == EACCES || error == EPERM  ? Errc::forbidden
                      : error == EMFILE || error == ENFILE ? Errc::exhausted
                                                           : Errc::unavailable;
    return fail(code, "cannot listen at " + host_port + ": " + errno_text(error));
  }
  socklen_t size = sizeof(Address);
  ::getsockname(fd.get(), &address->any, &size);
  return ListeningSocket{std::move(fd), text_of(*address)};
}

std::string resources_document(const Applied& applied, const std::string& role,
                               const std::string& organization) {
  json::array list;
  for (const auto& [id, resource] : applied.access.resources) {
    if (resource.role != role || resource.organization_id != organization) continue;
    auto options = parse_json(resource.options_json);
    list.push_back(json::object{{"resource_id", id},
                                {"name", resource.name},
                                {"protocol", resource.protocol},
                                {"options", options ? *options : json::value(json::object{})}});
  }
  return json::serialize(json::object{{"format", 1}, {"resources", std::move(list)}});
}

std::string access_document(const Applied& applied) {
  const Membership& membership = applied.membership;
  json::array keys;
  if (membership.status == NodeStatus::active) {
    for (const LeaseKey& key : applied.access.lease_keys) {
      keys.push_back(json::object{{"kid", key.kid}, {"public", key.public_hex}});
    }
  }
  return json::serialize(json::object{{"format", 1},
                                      {"cluster_id", membership.cluster_id},
                                      {"node_id", membership.node_id},
                                      {"lease_keys", std::move(keys)}});
}

Result<Resource> workload_target(const Applied& applied, const std::string& role,
                                 const std::string& organization, const std::string& target) {
  const auto found = applied.access.resources.find(target);
  if (applied.membership.status != NodeStatus::active || found == applied.access.resources.end() ||
      found->second.role != role || found->second.organization_id != organization) {
    return fail(Errc::forbidden, "not a target of this workload");
  }
  return found->second;
}

}  // namespace rap::agent
