#include "cli/failure.hpp"

namespace rap::cli {

Exit exit_of(Errc code) {
  switch (code) {
    case Errc::unauthorized:
    case Errc::expired:
      return Exit::unauthorized;
    case Errc::forbidden:
      return Exit::forbidden;
    case Errc::not_found:
      return Exit::not_found;
    case Errc::conflict:
    case Errc::rollback:
      return Exit::conflict;
    case Errc::unavailable:
    case Errc::timeout:
      return Exit::unavailable;
    default:
      return Exit::error;
  }
}

}  // namespace rap::cli
