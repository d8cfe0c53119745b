// The baseline of symbol versions: what the oldest supported system has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/loader/elf_check.hpp"

namespace rap::check {

// "2.36" <= "2.36.1"; by numbers, not by letters.
bool version_at_most(std::string_view version, std::string_view most);

// Those of the C and C++ runtime that Debian 12 lacks, as "GLIBC_2.38 of libc.so.6"; private
// symbols of the C library too. Versions of other libraries are not judged.
std::vector<std::string> newer_than_baseline(const std::vector<loader::ElfVersion>& versions);

}  // namespace rap::check
