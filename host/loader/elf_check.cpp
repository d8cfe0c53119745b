// The rules; elf_reader.cpp has the reader.
#include "host/loader/elf_check.hpp"

#include <fmt/format.h>

namespace rap::loader {
namespace {

void add_export_findings(const ElfFacts& facts, std::vector<Finding>& out) {
  std::size_t majors = 0;
  for (const ElfSymbol& symbol : facts.exported) {
    if (plugin_symbol_major(symbol.name) == 0) {
      out.push_back({"P4", fmt::format("exports {}; only rap_plugin_v<N> may be visible",
                                       symbol.name.substr(0, 120))});
      continue;
    }
    ++majors;
    if (!symbol.object || symbol.unique) {
      out.push_back({"P4", symbol.name + " is not an ordinary data symbol"});
    }
  }
  if (majors == 0) out.push_back({"P4", "exports no rap_plugin_v<N>"});
}

}  // namespace

unsigned plugin_symbol_major(std::string_view name) {
  constexpr std::string_view prefix = "rap_plugin_v";
  if (!name.starts_with(prefix)) return 0;
  name.remove_prefix(prefix.size());
  if (name.empty() || name.size() > 2 || name[0] == '0') return 0;
  unsigned major = 0;
  for (const char c : name) {
    if (c < '0' || c > '9') return 0;
    major = major * 10 + static_cast<unsigned>(c - '0');
  }
  return major;
}

std::vector<Finding> plugin_elf_findings(const ElfFacts& facts) {
  std::vector<Finding> out;
  const auto require = [&](bool good, std::string_view text) {
    if (!good) out.push_back({"P4", std::string(text)});
  };
  require(facts.shared_object, "not a shared library (ET_DYN)");
  require(facts.this_machine, "built for another machine");
  require(!facts.interpreter, "is a program (PT_INTERP), not a library");
  require(facts.stack_header && !facts.stack_executable, "asks for an executable stack");
  require(!facts.writable_code, "has a segment that is writable and executable");
  require(!facts.text_relocations, "has text relocations; compile with -fPIC");
  require(facts.bind_now, "binds symbols late; link with -z now");
  require(facts.relro, "has no RELRO; link with -z relro");
  require(!facts.preinit, "has DT_PREINIT_ARRAY");
  for (const std::string& tag : facts.forbidden) {
    out.push_back({"P4", tag + " is not allowed"});
  }
  for (const std::string& library : facts.needed) {
    require(!library.empty() && library.find('/') == std::string::npos,
            "needs a library by path: " + library.substr(0, 120));
  }
  add_export_findings(facts, out);
  return out;
}

Result<ElfFacts> check_plugin_elf(ByteView file) {
  auto facts = read_elf(file);
  if (!facts) return facts;
  const auto findings = plugin_elf_findings(*facts);
  if (!findings.empty()) return fail(Errc::invalid, findings[0].rule + ": " + findings[0].text);
  return facts;
}

}  // namespace rap::loader
