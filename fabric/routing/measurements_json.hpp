// Measurements in JSON, by node ids. Inside fabric/routing only.
#pragma once

#include <boost/json/fwd.hpp>

#include "fabric/routing/measurements.hpp"

namespace rap::routing {

class MeasurementsText {
 public:
  static boost::json::object write(const Measurements& measurements, const Directory& directory);
  // `invalid`: a member, or a node that is not in the directory.
  static Result<Measurements> read(const boost::json::object& object, const Directory& directory);
};

}  // namespace rap::routing
