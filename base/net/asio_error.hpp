// Private to base/net and its neighbours: from Asio's errors to ours.
#pragma once

#include <exception>
#include <string_view>

#include <boost/system/error_code.hpp>

#include "base/net/net_error.hpp"

namespace rap::net {

NetError to_net_error(const boost::system::error_code& error, std::string_view what);
NetError errno_to_net_error(int error, std::string_view what);

// True for the exceptions that cancellation raises.
bool is_cancellation(std::exception_ptr error) noexcept;
// The message of an exception; for one log line.
std::string exception_text(std::exception_ptr error) noexcept;

}  // namespace rap::net
