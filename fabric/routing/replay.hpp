// A decision's inputs as one text, to be decided again elsewhere: in a test, or by whoever asks why
// a path was taken. It names nodes: for the owner only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "fabric/routing/engine.hpp"

namespace rap::routing {

// A directory may be large; the rest is as large as what was measured.
inline constexpr std::size_t kRecordBytesMax = 64u << 20;

std::string record_decision(const Directory& directory, const Measurements& measurements,
                            const Request& request, Moment now);

// The inputs again. Owns what its request() refers to.
class RecordedDecision {
 public:
  // `malformed`, `too_large`, `invalid`, as for a directory.
  static Result<RecordedDecision> parse(std::string_view text);

  const Directory& directory() const { return directory_; }
  const Measurements& measurements() const { return measurements_; }
  Moment now() const { return now_; }
  // Valid as long as this object stays where it is.
  Request request() const;
  Decision decide(std::span<Candidate> out) const;

 private:
  explicit RecordedDecision(Directory directory) : directory_(std::move(directory)) {}

  Directory directory_;
  Measurements measurements_;
  Moment now_;
  Request facts_;  // without its references
  std::string cluster_id_, target_, organization_;
  std::vector<NodeIndex> excluded_nodes_;
  std::vector<Link> excluded_links_;
};

}  // namespace rap::routing
