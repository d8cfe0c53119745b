// Private to base/net: asking a spawned task to end.
#pragma once

#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>

namespace rap::net {

// Emits on the task's executor. Boost 1.81's co_spawn forwards a signal that is emitted elsewhere
// by a raw pointer, which dangles when the task ends first; on the executor it forwards at once.
inline void cancel_task(const boost::asio::any_io_executor& executor,
                        std::shared_ptr<boost::asio::cancellation_signal> signal) {
  boost::asio::dispatch(executor, [signal = std::move(signal)] {
    signal->emit(boost::asio::cancellation_type::terminal);
  });
}

}  // namespace rap::net
