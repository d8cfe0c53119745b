// Who may have a connection to a listener: nobody waits behind strangers who only connect, and no
// network takes every place.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/net/tcp.hpp"

namespace rap::net {

struct SlotLimits {
  std::size_t all = 0;
  std::size_t per_network = 0;
  // A handshake that takes longer gives its place up when places are short: an honest one needs
  // some round trips, and the fast must not be ended in a burst of them.
  std::chrono::milliseconds slow{1'000};
  // So does a connection that nobody uses. Shorter pauses are between the requests of one command.
  std::chrono::milliseconds idle{1'000};
};

// The part of an address that one person can have: an IPv4 address, the first 64 bits of an IPv6
// one (written as 16 hex digits). Of "192.0.2.1:4711"; empty for what is no such address.
std::string network_of(std::string_view peer_address);

// One executor.
class ConnectionSlots {
 public:
  struct State;

  // A place, for as long as it lives.
  class Slot {
   public:
    explicit Slot(std::shared_ptr<State> state, std::uint64_t number);
    ~Slot();
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    // The handshake is over: the place is not taken away any more, but while it is idle.
    void established();
    // Nobody uses the connection from now on: `end` may be called, once, to give the place to
    // somebody else; from inside a later take().
    void idle(std::function<void()> end);
    void busy();

   private:
    std::shared_ptr<State> state_;
    std::uint64_t number_;
  };

  explicit ConnectionSlots(SlotLimits limits);
  ~ConnectionSlots();

  // A place for an accepted connection. When its network, or all, have no more, a slow handshake is
  // ended for it (its socket is shut down): the oldest of the network that has most; without one
  // the longest idle connection of the network that has most. Null: there is none to end; close the
  // connection. Connections without a network (Unix) have no share.
  std::unique_ptr<Slot> take(const TcpStream& socket);

  std::size_t taken() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace rap::net
