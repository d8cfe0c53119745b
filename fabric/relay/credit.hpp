// Private to fabric/relay: gives senders leave to send on, as fast as their organization may.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/steady_timer.hpp>

#include "fabric/h2/stream.hpp"
#include "fabric/relay/traffic.hpp"

namespace rap::fabric {

class Credit {
 public:
  Credit(const net::asio::any_io_executor& executor, std::optional<Traffic::Slot> slot)
      : slot_(std::move(slot)), timer_(executor) {}

  // So many bytes have gone on: `stream->consumed()` now or after the pause.
  void gone(H2Stream& from, std::size_t bytes, const std::shared_ptr<void>& keeps) {
    if (!slot_) return from.consumed(bytes);
    const auto now = std::chrono::steady_clock::now();
    const auto pause = slot_->charge(bytes, now);
    if (pause.count() == 0 && !waiting_) return from.consumed(bytes);
    Debt& debt = &from == debts_[0].stream || debts_[0].stream == nullptr ? debts_[0] : debts_[1];
    debt.stream = &from;
    debt.bytes += bytes;
    if (waiting_) return;
    waiting_ = true;
    timer_.expires_after(pause);
    timer_.async_wait([this, weak = std::weak_ptr<void>(keeps)](boost::system::error_code error) {
      const auto alive = weak.lock();
      if (error || !alive) return;
      pay();
    });
  }

  // Nothing is given any more, and the place is free.
  void end() {
    debts_[0] = debts_[1] = Debt{};
    timer_.cancel();
    slot_.reset();
  }

 private:
  struct Debt {
    H2Stream* stream = nullptr;
    std::size_t bytes = 0;
  };

  void pay() {
    waiting_ = false;
    for (Debt& debt : debts_) {
      const Debt paid = std::exchange(debt, Debt{});
      if (paid.stream != nullptr) paid.stream->consumed(paid.bytes);
    }
  }

  std::optional<Traffic::Slot> slot_;
  net::asio::steady_timer timer_;
  bool waiting_ = false;
  Debt debts_[2];  // one for each side
};

}  // namespace rap::fabric
