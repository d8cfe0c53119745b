// How long a test waits for what must happen. The wait ends when it does, so the number costs
// nothing: it covers a loaded machine and one that stands still for 20 s. A limit that is what a
// test is about stands there.
#pragma once

#include <chrono>

namespace rap::test {

inline constexpr std::chrono::seconds kPatience{60};
inline constexpr int kPatienceMs = 60'000;

}  // namespace rap::test
