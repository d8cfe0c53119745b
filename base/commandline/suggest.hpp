// "did you mean": the known word that a mistyped one was probably meant to be. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rap::commandline {

// The first of the nearest of `known`; empty when none is near: more than a third of its letters
// would have to change (a swap of neighbours counts once), and it does not begin with `word`.
std::string nearest_word(std::string_view word, const std::vector<std::string>& known);

}  // namespace rap::commandline
