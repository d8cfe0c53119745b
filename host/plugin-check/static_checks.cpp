#include "host/plugin-check/static_checks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/schema/json_schema.hpp"
#include "base/semantic_version.hpp"
#include "host/plugin-check/versions.hpp"

namespace rap::check {
namespace {

// A scan must not hold up a node that has many plugins.
constexpr std::chrono::milliseconds kScanMax{100};
constexpr int kScanTries = 3;  // the fastest counts: other processes are not the plugin's fault

Line line(std::string rule, std::string name, Outcome outcome) {
  return {1, std::move(rule), std::move(name), std::move(outcome), {}};
}

Outcome check_versions(const loader::ElfFacts& facts) {
  const auto late = newer_than_baseline(facts.versions);
  if (late.empty()) return pass();
  return broken(fmt::format("newer than Debian 12: {}", fmt::join(late, ", ")));
}

Outcome check_constructors(const loader::ElfFacts& facts) {
  // One is the compiler's own (frame_dummy).
  if (facts.constructors <= 1) return pass();
  return pass(
      fmt::format("{} static constructors run before every check; they may only fill memory",
                  facts.constructors - 1));
}

Outcome check_schema(const loader::AdapterFacts& adapter) {
  auto value =
      parse_json(adapter.config_schema, {.bytes_max = loader::kConfigSchemaMax, .depth_max = 64});
  if (!value) return broken(adapter.id + ": config_schema is not JSON: " + value.error().detail);
  // Any document shows whether the schema is one; whether this document fits is not asked.
  const auto judged = check_against_schema(boost::json::object{}, *value);
  return judged ? pass() : broken(adapter.id + ": config_schema: " + judged.error().detail);
}

Outcome check_scan(const Subject& subject, const Described& first) {
  auto best = first.scan;
  for (int i = 1; i < kScanTries && best >= kScanMax; ++i) {
    const auto again = describe(subject);
    if (again) best = std::min(best, again->scan);
  }
  const std::string text =
      fmt::format("{} ms to map and read, at most {}", best.count(), kScanMax.count());
  return best < kScanMax ? pass(text) : broken(text);
}

Outcome check_manifest(const Subject& subject, const Described& described) {
  if (!subject.manifest) return skip("no --manifest");
  auto mapping = loader::SealedMapping::map(subject.file.fd.get());
  if (!mapping) return broken(mapping.error().text());
  const auto facts =
      loader::verify_plugin_file(*subject.manifest, mapping->bytes(), subject.file.sha256);
  if (!facts) return broken(facts.error().text());
  const auto same = loader::match_adapters(*subject.manifest, described.adapters);
  return same ? pass() : broken(same.error().text());
}

}  // namespace

std::vector<Line> elf_checks(const Subject& subject) {
  auto mapping = loader::SealedMapping::map(subject.file.fd.get());
  if (!mapping) return {line("P4", "elf", broken(mapping.error().text()))};
  const auto facts = loader::read_elf(mapping->bytes());
  if (!facts) return {line("P4", "elf", broken(facts.error().text()))};
  std::vector<Line> out;
  for (const loader::Finding& finding : loader::plugin_elf_findings(*facts)) {
    out.push_back(line(finding.rule, "elf", broken(finding.text)));
  }
  if (out.empty()) out.push_back(line("P4", "elf", pass()));
  out.push_back(line("P4", "symbol-versions", check_versions(*facts)));
  out.push_back(line("P4", "constructors", check_constructors(*facts)));
  return out;
}

std::vector<Line> descriptor_checks(const Subject& subject, const Result<Described>& described) {
  if (!described) return {line("ABI", "descriptor", broken(described.error().detail))};
  std::vector<Line> out{line("ABI", "descriptor", pass())};
  for (const loader::AdapterFacts& adapter : described->adapters) {
    out.push_back(line("ABI", "config-schema", check_schema(adapter)));
    out.push_back(
        line("ABI", "version",
             is_semantic_version(adapter.version)
                 ? pass()
                 : broken(adapter.id + ": version \"" + adapter.version + "\" is not semantic")));
  }
  out.push_back(line("ABI", "scan-time", check_scan(subject, *described)));
  out.push_back(line("T4", "no-thread-when-mapped",
                     described->threads > 1
                         ? broken(fmt::format("{} threads after mapping", described->threads))
                         : pass()));
  out.push_back(line("ABI", "manifest", check_manifest(subject, *described)));
  return out;
}

}  // namespace rap::check
