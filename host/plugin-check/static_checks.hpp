// Level 1: what the file and its descriptors say.
#pragma once

#include <vector>

#include "host/plugin-check/outcome.hpp"
#include "host/plugin-check/subject.hpp"

namespace rap::check {

std::vector<Line> elf_checks(const Subject& subject);
std::vector<Line> descriptor_checks(const Subject& subject, const Result<Described>& described);

// "2.36" <= "2.36.1"; by numbers, not by letters.
bool version_at_most(std::string_view version, std::string_view most);

}  // namespace rap::check
