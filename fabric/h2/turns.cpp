#include "fabric/h2/turns.hpp"

#include <deque>
#include <optional>

#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>

namespace rap::fabric {

namespace asio = net::asio;

struct BulkTurns::State {
  explicit State(asio::any_io_executor e) : executor(std::move(e)) {}

  asio::any_io_executor executor;
  std::deque<std::function<void()>> waiting;
  bool posted = false;

  // Posted once more for each turn: in between the loop looks for what has become ready.
  static void post_next(std::shared_ptr<State> state) {
    state->posted = true;
    const asio::any_io_executor executor = state->executor;
    asio::post(executor, [state = std::move(state)]() mutable {
      state->posted = false;
      if (state->waiting.empty()) return;
      auto turn = std::move(state->waiting.front());
      state->waiting.pop_front();
      if (!state->waiting.empty()) post_next(state);
      turn();
    });
  }
};

namespace {

struct TurnsService final : asio::execution_context::service {
  using key_type = TurnsService;
  static asio::execution_context::id id;
  explicit TurnsService(asio::execution_context& context) : service(context) {}
  void shutdown() override { turns.reset(); }
  std::optional<BulkTurns> turns;
};
asio::execution_context::id TurnsService::id;

}  // namespace

BulkTurns::BulkTurns(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

void BulkTurns::add(std::function<void()> turn) {
  state_->waiting.push_back(std::move(turn));
  if (!state_->posted) State::post_next(state_);
}

BulkTurns& BulkTurns::of(const asio::any_io_executor& executor) {
  auto& context = asio::query(executor, asio::execution::context);
  auto& service = asio::use_service<TurnsService>(context);
  if (!service.turns) service.turns.emplace(executor);
  return *service.turns;
}

}  // namespace rap::fabric
