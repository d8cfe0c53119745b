#include "base/net/net_error.hpp"

#include <cerrno>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include "base/file.hpp"
#include "base/net/asio_error.hpp"

namespace rap::net {

namespace {

namespace asio_error = boost::asio::error;

std::string joined(std::string_view what, std::string_view why) {
  return std::string(what) + ": " + std::string(why);
}

}  // namespace

NetError to_net_error(const boost::system::error_code& error, std::string_view what) {
  if (error == asio_error::operation_aborted || error == asio_error::bad_descriptor) {
    return NetError(Errc::cancelled, std::string(what));
  }
  if (error == asio_error::host_not_found || error == asio_error::no_data) {
    return NetError(Errc::unavailable, joined(what, "no such host"));
  }
  if (error.category() == boost::system::system_category() ||
      error.category() == boost::system::generic_category()) {
    return errno_to_net_error(error.value(), what);
  }
  return NetError(Errc::unavailable, joined(what, error.message()));
}

NetError errno_to_net_error(int error, std::string_view what) {
  switch (error) {
    case ECANCELED:
    case EBADF:
      return NetError(Errc::cancelled, std::string(what));
    case ETIMEDOUT:
      return NetError(Errc::timeout, joined(what, errno_text(error)));
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return NetError(Errc::exhausted, joined(what, errno_text(error)));
    default:
      return NetError(Errc::unavailable, joined(what, errno_text(error)));
  }
}

bool is_cancellation(std::exception_ptr error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const NetError& e) {
    return e.code() == Errc::cancelled;
  } catch (const boost::system::system_error& e) {
    return e.code() == asio_error::operation_aborted;
  } catch (...) {
    return false;
  }
}

std::string exception_text(std::exception_ptr error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "unknown exception";
  }
}

}  // namespace rap::net
