#include "base/net/connection_slots.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <cstring>
#include <map>

#include "base/bytes.hpp"

namespace rap::net {

using SteadyClock = std::chrono::steady_clock;

struct ConnectionSlots::State {
  using Networks = std::map<std::string, std::size_t>;
  struct Entry {
    Networks::iterator network;
    SteadyClock::time_point since;
    // Of the same socket, while its handshake runs: to end it from outside. The number of the
    // original may belong to somebody else by then.
    Fd socket;
    std::function<void()> end = {};  // while it is idle
    SteadyClock::time_point idle_since{};
  };
  using Entries = std::map<std::uint64_t, Entry>;

  SlotLimits limits;
  Networks networks;  // places of each
  Entries entries;    // oldest first
  std::uint64_t next = 1;

  void release(Entries::iterator at) {
    if (--at->second.network->second == 0) networks.erase(at->second.network);
    entries.erase(at);
  }

  // The oldest slow handshake of `only`, or of the network with most places.
  bool end_one(const std::string* only) {
    const auto now = SteadyClock::now();
    auto found = entries.end();
    for (auto at = entries.begin(); at != entries.end(); ++at) {
      const Entry& entry = at->second;
      if (now - entry.since < limits.slow) break;  // so are all after it
      if (!entry.socket || (only != nullptr && entry.network->first != *only)) continue;
      if (found == entries.end() || entry.network->second > found->second.network->second) {
        found = at;
      }
    }
    if (found == entries.end()) return end_idle(only, now);
    ::shutdown(found->second.socket.get(), SHUT_RDWR);
    release(found);
    return true;
  }

  // The longest idle connection of `only`, or of the network with most places. As many steps as
  // there are places, for a connection that found them all taken.
  bool end_idle(const std::string* only, SteadyClock::time_point now) {
    auto found = entries.end();
    for (auto at = entries.begin(); at != entries.end(); ++at) {
      const Entry& entry = at->second;
      if (!entry.end || now - entry.idle_since < limits.idle) continue;
      if (only != nullptr && entry.network->first != *only) continue;
      if (found == entries.end() || better(entry, found->second)) found = at;
    }
    if (found == entries.end()) return false;
    const auto end = std::move(found->second.end);
    release(found);
    end();
    return true;
  }
  static bool better(const Entry& a, const Entry& b) {
    const std::size_t of_a = a.network->second, of_b = b.network->second;
    return of_a != of_b ? of_a > of_b : a.idle_since < b.idle_since;
  }
};

std::string network_of(std::string_view peer_address) {
  const auto address = parse_host_port(peer_address);
  if (!address) return {};
  in6_addr v6{};
  if (inet_pton(AF_INET6, address->host.c_str(), &v6) != 1) return address->host;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    char text[INET_ADDRSTRLEN] = {};
    inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof text);
    return text;
  }
  return to_hex(ByteView(v6.s6_addr, 8));
}

ConnectionSlots::ConnectionSlots(SlotLimits limits) : state_(std::make_shared<State>()) {
  state_->limits = limits;
}
ConnectionSlots::~ConnectionSlots() = default;

std::unique_ptr<ConnectionSlots::Slot> ConnectionSlots::take(const TcpStream& socket) {
  State& state = *state_;
  const std::string network = network_of(socket.peer_address());
  const auto known = state.networks.find(network);
  const bool share_used = !network.empty() && known != state.networks.end() &&
                          known->second >= state.limits.per_network;
  if (share_used && !state.end_one(&network)) return nullptr;
  if (state.entries.size() >= state.limits.all && !state.end_one(nullptr)) return nullptr;
  const auto place = state.networks.try_emplace(network, 0).first;
  ++place->second;
  const std::uint64_t number = state.next++;
  Fd copy(::fcntl(socket.native_handle(), F_DUPFD_CLOEXEC, 0));
  State::Entry entry{place, SteadyClock::now(), std::move(copy)};
  state.entries.emplace(number, std::move(entry));
  return std::make_unique<Slot>(state_, number);
}

std::size_t ConnectionSlots::taken() const {
  return state_->entries.size();
}

ConnectionSlots::Slot::Slot(std::shared_ptr<State> state, std::uint64_t number)
    : state_(std::move(state)), number_(number) {}

ConnectionSlots::Slot::~Slot() {
  const auto at = state_->entries.find(number_);
  if (at != state_->entries.end()) state_->release(at);
}

void ConnectionSlots::Slot::established() {
  const auto at = state_->entries.find(number_);
  if (at != state_->entries.end()) at->second.socket.reset();
}

void ConnectionSlots::Slot::idle(std::function<void()> end) {
  const auto at = state_->entries.find(number_);
  if (at == state_->entries.end()) return;
  at->second.end = std::move(end);
  at->second.idle_since = SteadyClock::now();
}

void ConnectionSlots::Slot::busy() {
  const auto at = state_->entries.find(number_);
  if (at != state_->entries.end()) at->second.end = nullptr;
}

}  // namespace rap::net
