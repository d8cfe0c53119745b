#include "host/plugin-check/runner.hpp"

#include <algorithm>

#include "host/plugin-check/load_checks.hpp"
#include "host/plugin-check/static_checks.hpp"

namespace rap::check {
namespace {

std::string to_text(const Outcome& outcome) {
  const char mark = outcome.verdict == Verdict::pass   ? '+'
                    : outcome.verdict == Verdict::fail ? '-'
                                                       : '?';
  return mark + outcome.text;
}

Outcome from_text(const std::string& text) {
  const std::string rest = text.size() > 1 ? text.substr(1) : "";
  if (text.starts_with('+')) return pass(rest);
  if (text.starts_with('?')) return skip(rest);
  if (text.starts_with('-')) return broken(rest);
  return broken(text);  // the sandbox's own words
}

// In the box: the order of a real worker.
Outcome in_box(Box& box, const Subject& subject, const loader::AdapterFacts& facts,
               const BoxedCheck& check) {
  ProcessState before = ProcessState::now();
  auto loaded = loader::load_plugin(Fd(subject.file.fd.get()));
  if (!loaded) return broken(loaded.error().text());
  if (loaded->plugin->warm_up) {
    const rap_result warm = loaded->plugin->warm_up();
    if (warm < 0) return broken("warm_up() answered " + result_name(warm));
  }
  if (auto ok = box.close(); !ok) return broken("sandbox: " + ok.error().text());
  const Scene scene{loaded->plugin, facts, subject.session_options, std::move(before)};
  return check.run(scene, check.argument);
}

std::string last_words(const Finished& done) {
  const std::string trouble = done.trouble();
  if (done.output.empty()) return trouble;
  std::string printed = done.output;
  while (!printed.empty() && printed.back() == '\n') printed.pop_back();
  std::ranges::replace(printed, '\n', '|');
  return trouble + "; it printed: " + printed;
}

// After so many checks that hang the others would only take time.
constexpr int kHangsMax = 3;

Line run_one(const Subject& subject, const loader::AdapterFacts& facts, const BoxedCheck& check,
             bool several, int& hangs) {
  if (hangs >= kHangsMax) {
    return {check.level, check.rule, check.name, skip("earlier checks hung"), {}};
  }
  const int fd = subject.file.fd.get();
  const Finished done = run_boxed(
      fd, subject.limit, [&](Box& box) { return to_text(in_box(box, subject, facts, check)); });
  if (done.how == Finished::How::timed_out) ++hangs;
  Line out{check.level, check.rule, check.name, {}, done.took};
  if (several) out.name = facts.id + ": " + out.name;
  out.outcome =
      done.how == Finished::How::answered ? from_text(done.answer) : broken(last_words(done));
  return out;
}

bool fits(const std::string& filter, const std::string& rule, const std::string& name) {
  return filter == rule || (!filter.empty() && name.starts_with(filter));
}

bool wanted(const RunOptions& options, const std::string& rule, const std::string& name) {
  return options.only.empty() || std::ranges::any_of(options.only, [&](const std::string& filter) {
           return fits(filter, rule, name);
         });
}

// All levels.
std::vector<BoxedCheck> boxed_checks(const loader::AdapterFacts& facts) {
  std::vector<BoxedCheck> out = load_checks(facts);
  if (std::ranges::count(facts.provides, RAP_ADAPTER_SESSION)) {
    for (BoxedCheck& check : session_checks()) out.push_back(std::move(check));
  }
  if (std::ranges::count(facts.provides, RAP_ADAPTER_ACCEPT)) {
    for (BoxedCheck& check : accept_checks()) out.push_back(std::move(check));
  }
  return out;
}

struct Known {
  int level;
  std::string rule, name;
};

Status check_filters(const RunOptions& options, const std::vector<Known>& known) {
  for (const std::string& filter : options.only) {
    int level = 0;  // the lowest that has it
    for (const Known& one : known) {
      if (!fits(filter, one.rule, one.name)) continue;
      level = level == 0 ? one.level : std::min(level, one.level);
    }
    if (level > 0 && level <= options.level) continue;
    if (level > 0) {
      return fail(Errc::invalid, "--only " + filter + ": a check of level " +
                                     std::to_string(level) + "; add --level " +
                                     std::to_string(level));
    }
    std::string names;
    for (const Known& one : known) {
      const std::string name = one.rule + " " + one.name;
      if (names.find(name + ",") != std::string::npos) continue;  // of several adapters
      names += (names.empty() ? "" : " ") + name + ",";
    }
    names.pop_back();
    return fail(Errc::invalid, "--only " + filter + ": no such rule or check; there are " + names);
  }
  return {};
}

}  // namespace

Result<std::vector<Line>> run_checks(const Subject& subject, const RunOptions& options) {
  std::vector<Line> lines = elf_checks(subject);
  if (lines.size() == 1)
    return lines;  // no ELF file that can be read: the loader has no more to say
  const Result<Described> described = describe(subject);
  for (Line& line : descriptor_checks(subject, described)) lines.push_back(std::move(line));
  if (!described) return lines;  // all of them: what else could be wanted is not known
  std::vector<Known> known;
  for (const Line& line : lines) known.push_back({line.level, line.rule, line.name});
  for (const loader::AdapterFacts& facts : described->adapters) {
    for (const BoxedCheck& check : boxed_checks(facts)) {
      known.push_back({check.level, check.rule, check.name});
    }
  }
  if (auto ok = check_filters(options, known); !ok) return fail(std::move(ok.error()));

  std::erase_if(lines, [&](const Line& line) { return !wanted(options, line.rule, line.name); });
  int hangs = 0;
  for (const loader::AdapterFacts& facts : described->adapters) {
    for (const BoxedCheck& check : boxed_checks(facts)) {
      if (check.level > options.level || !wanted(options, check.rule, check.name)) continue;
      lines.push_back(run_one(subject, facts, check, described->adapters.size() > 1, hangs));
    }
  }
  return lines;
}

}  // namespace rap::check
