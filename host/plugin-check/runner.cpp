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

bool wanted(const RunOptions& options, const std::string& rule, const std::string& name) {
  if (options.only.empty()) return true;
  return std::ranges::any_of(options.only, [&](const std::string& filter) {
    return filter == rule || name.starts_with(filter);
  });
}

}  // namespace

std::vector<Line> run_checks(const Subject& subject, const RunOptions& options) {
  std::vector<Line> out;
  const auto add = [&](std::vector<Line> lines) {
    for (Line& line : lines) {
      if (wanted(options, line.rule, line.name)) out.push_back(std::move(line));
    }
  };
  add(elf_checks(subject));
  const Result<Described> described = describe(subject);
  add(descriptor_checks(subject, described));
  if (!described) return out;
  int hangs = 0;
  for (const loader::AdapterFacts& facts : described->adapters) {
    std::vector<BoxedCheck> checks;
    if (options.level >= 2) checks = load_checks(facts);
    if (options.level >= 3 && std::ranges::count(facts.provides, RAP_ADAPTER_SESSION)) {
      for (BoxedCheck& check : session_checks()) checks.push_back(std::move(check));
    }
    if (options.level >= 3 && std::ranges::count(facts.provides, RAP_ADAPTER_ACCEPT)) {
      for (BoxedCheck& check : accept_checks()) checks.push_back(std::move(check));
    }
    for (const BoxedCheck& check : checks) {
      if (!wanted(options, check.rule, check.name)) continue;
      out.push_back(run_one(subject, facts, check, described->adapters.size() > 1, hangs));
    }
  }
  return out;
}

}  // namespace rap::check
