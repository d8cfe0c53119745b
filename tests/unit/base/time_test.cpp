#include <gtest/gtest.h>

#include "base/clock.hpp"

namespace rap {
namespace {

TEST(Rfc3339, RoundTrips) {
  const SystemTime time = from_unix_seconds(1'795'290'000);
  EXPECT_EQ(from_rfc3339(to_rfc3339(time)).value(), time);
  EXPECT_EQ(
      from_rfc3339("2026-11-21T19:37:37.5Z").value() - from_rfc3339("2026-11-21T19:37:37Z").value(),
      std::chrono::milliseconds(500));
}

TEST(Rfc3339, RefusesOtherForms) {
  for (const char* text :
       {"", "2026-11-21", "2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z",
        "2026-11-21T19:37:37+00:00", "2026-11-21T19:37:37", "2026-11-21T19:37:37.Z",
        "2026-11-21 19:37:37Z", "20261-1-21T19:37:37Z"}) {
    EXPECT_FALSE(from_rfc3339(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace rap
