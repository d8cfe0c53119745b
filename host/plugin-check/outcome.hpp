// What one check found.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace rap::check {

enum class Verdict { pass, fail, skip };

struct Outcome {
  Verdict verdict = Verdict::pass;
  std::string text;  // why, for a failure; a remark, for a pass
};

inline Outcome pass(std::string remark = {}) {
  return {Verdict::pass, std::move(remark)};
}
inline Outcome broken(std::string why) {
  return {Verdict::fail, std::move(why)};
}
inline Outcome skip(std::string why) {
  return {Verdict::skip, std::move(why)};
}

// One line of the report.
struct Line {
  int level = 1;
  std::string rule;  // "P4"; "ABI" where the headers themselves are the rule
  std::string name;
  Outcome outcome;
  std::chrono::milliseconds took{0};
};

}  // namespace rap::check
