#include "base/commandline/suggest.hpp"

#include <algorithm>

namespace rap::commandline {
namespace {

// No command or flag is longer; what is typed may be anything.
constexpr std::size_t kWordMax = 64;

// Letters inserted, left out, replaced, or swapped with their neighbour.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, changed});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > kWordMax) return {};
  std::string best;
  std::size_t least = kWordMax;
  for (const std::string& candidate : known) {
    const bool begun = word.size() >= 2 && candidate.starts_with(word);
    const std::size_t changes = begun ? 1 : distance(word, candidate);
    if (changes > std::max<std::size_t>(1, candidate.size() / 3) || changes >= least) continue;
    least = changes;
    best = candidate;
  }
  return best;
}

}  // namespace rap::commandline
