// Level 1: what the file and its descriptors say.
#pragma once

#include <vector>

#include "host/plugin-check/outcome.hpp"
#include "host/plugin-check/subject.hpp"

namespace rap::check {

std::vector<Line> elf_checks(const Subject& subject);
std::vector<Line> descriptor_checks(const Subject& subject, const Result<Described>& described);

}  // namespace rap::check
