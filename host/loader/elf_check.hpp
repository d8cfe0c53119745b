// What a plugin file says about itself before any of its code runs: a small ELF64 reader that
// trusts no byte of it, and the rules a plugin must keep (P4).
//
// It reads what the dynamic loader reads (program headers and the dynamic section), never section
// headers, and refuses files whose meaning depends on which of two answers a loader would take:
// two dynamic sections, repeated tags, overlapping segments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace rap::loader {

// Limits; each far above what a real plugin has.
inline constexpr std::size_t kElfSegmentsMax = 64;
inline constexpr std::size_t kElfDynamicMax = 1024;
inline constexpr std::size_t kElfSymbolsMax = 1u << 18;
inline constexpr std::size_t kElfNeededMax = 64;
inline constexpr std::size_t kElfVersionsMax = 1024;
inline constexpr std::size_t kElfNameMax = 4096;  // bytes of one symbol or library name

struct ElfSymbol {
  std::string name;
  std::uint64_t size = 0;
  bool object = false;  // data
  bool unique = false;  // STB_GNU_UNIQUE
};

struct ElfVersion {
  std::string library;  // "libc.so.6"
  std::string version;  // "GLIBC_2.36"
  bool operator==(const ElfVersion&) const = default;
};

struct ElfFacts {
  bool shared_object = false;  // ET_DYN
  bool this_machine = false;   // the architecture this program was built for
  bool interpreter = false;    // PT_INTERP
  bool stack_header = false;   // PT_GNU_STACK; without it the stack becomes executable
  bool stack_executable = false;
  bool writable_code = false;  // a segment both writable and executable
  bool text_relocations = false;
  bool bind_now = false;
  bool relro = false;
  bool preinit = false;                // DT_PREINIT_ARRAY
  std::uint64_t constructors = 0;      // entries of DT_INIT_ARRAY
  std::vector<std::string> forbidden;  // tags a plugin may not have, such as "DT_RUNPATH"
  std::vector<std::string> needed;     // DT_NEEDED in order
  std::vector<ElfSymbol> exported;     // defined dynamic symbols that are not local
  std::vector<ElfVersion> versions;    // symbol versions it asks of its libraries
  std::string soname;
  std::string build_id;  // hex, empty without the note
};

// Fails with `malformed` for anything that is not a well-formed little-endian ELF64 file with one
// dynamic section, `too_large` over a limit. Never reads outside `file`.
Result<ElfFacts> read_elf(ByteView file);

// One broken rule, in words for the author of the plugin.
struct Finding {
  std::string rule;  // "P4"
  std::string text;
};

// Everything about the file that breaks P4; empty for a good plugin. What DT_NEEDED may hold is the
// manifest's business.
std::vector<Finding> plugin_elf_findings(const ElfFacts& facts);

// read_elf() and no findings, or `invalid` with the first finding.
Result<ElfFacts> check_plugin_elf(ByteView file);

// The major a symbol name stands for ("rap_plugin_v1" is 1), or 0.
unsigned plugin_symbol_major(std::string_view name);

}  // namespace rap::loader
