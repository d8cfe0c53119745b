#include "fabric/ends/admission.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace rap::fabric {
namespace {

using Places = std::vector<std::unique_ptr<Admission::Place>>;
constexpr Admission::TimePoint kBegin{};

std::size_t take(Admission& admission, const std::string& organization, Admission::TimePoint now,
                 std::size_t wanted, Places& into) {
  std::size_t got = 0;
  for (std::size_t i = 0; i < wanted; ++i) {
    auto place = admission.admit(organization, now);
    if (!place) {
      EXPECT_EQ(place.error().code, Errc::exhausted);
      continue;
    }
    into.push_back(std::move(*place));
    ++got;
  }
  return got;
}

TEST(Admission, OneOrganizationCannotTakeAllPlaces) {
  Admission admission({100, 60, 1000, 1000});
  Places one, two;
  EXPECT_EQ(take(admission, "org_1", kBegin, 80, one), 60u);
  EXPECT_EQ(take(admission, "org_2", kBegin, 80, two), 40u);
  one.clear();
  EXPECT_EQ(take(admission, "org_2", kBegin, 80, two), 20u);
  EXPECT_EQ(admission.by_organization().size(), 1u);
  two.clear();
  EXPECT_EQ(admission.streams(), 0u);
}

TEST(Admission, AStormIsSlowedAndOthersAreNot) {
  Admission admission({100'000, 100'000, 50, 10});
  Places places;
  EXPECT_EQ(take(admission, "org_1", kBegin, 200, places), 50u);
  EXPECT_EQ(take(admission, "org_2", kBegin, 10, places), 10u);
  EXPECT_EQ(take(admission, "org_1", kBegin + std::chrono::seconds(2), 200, places), 20u);
  // A clock that stands still or goes back gives nothing.
  EXPECT_EQ(take(admission, "org_1", kBegin, 5, places), 0u);
}

TEST(Admission, ForgetsOrganizationsThatAreGone) {
  Admission admission({100'000, 10, 2, 1});
  for (int i = 0; i < 2000; ++i) {
    Places places;
    const auto now = kBegin + std::chrono::seconds(10 * i);
    EXPECT_EQ(take(admission, "org_" + std::to_string(i), now, 1, places), 1u);
  }
  EXPECT_TRUE(admission.by_organization().empty());
}

TEST(Admission, PlacesOutliveIt) {
  Places places;
  {
    Admission admission;
    take(admission, "org_1", kBegin, 3, places);
  }
  places.clear();
}

}  // namespace
}  // namespace rap::fabric
