#include "host/plugin-check/commands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/semantic_version.hpp"
#include "host/plugin-check/static_checks.hpp"
#include "rap/abi.h"

namespace rap::check {
namespace {

namespace json = boost::json;

int complain(const Error& error) {
  fmt::print(stderr, "rap-plugin-check: {}\n", error.text());
  return 1;
}

// Of an option's value, before anything is looked at.
int wrong_usage(std::string_view text) {
  fmt::print(stderr, "rap-plugin-check: {}\n", text);
  return 2;
}

std::string_view word(Verdict verdict) {
  return verdict == Verdict::pass ? "pass" : verdict == Verdict::fail ? "FAIL" : "skip";
}

struct Count {
  int passed = 0, failed = 0, skipped = 0;
  bool good() const { return passed > 0 && failed == 0; }
};

Count count(const std::vector<Line>& lines) {
  Count out;
  for (const Line& line : lines) {
    switch (line.outcome.verdict) {
      case Verdict::pass:
        ++out.passed;
        break;
      case Verdict::fail:
        ++out.failed;
        break;
      case Verdict::skip:
        ++out.skipped;
        break;
    }
  }
  return out;
}

void print_text(const std::vector<Line>& lines, const Count& total) {
  for (const Line& line : lines) {
    fmt::print("{} {:<3} {} ({} ms){}{}\n", word(line.outcome.verdict), line.rule, line.name,
               line.took.count(), line.outcome.text.empty() ? "" : ": ", line.outcome.text);
  }
  fmt::print("{} passed, {} failed, {} skipped\n", total.passed, total.failed, total.skipped);
}

void print_json(const Subject& subject, const std::vector<Line>& lines, const Count& total) {
  json::array checks;
  for (const Line& line : lines) {
    std::string verdict(word(line.outcome.verdict));
    std::ranges::transform(verdict, verdict.begin(),
                           [](char c) { return static_cast<char>(c | 0x20); });
    checks.push_back(json::object{{"level", line.level},
                                  {"rule", line.rule},
                                  {"name", line.name},
                                  {"verdict", verdict},
                                  {"detail", line.outcome.text},
                                  {"ms", line.took.count()}});
  }
  fmt::print("{}\n", json::serialize(json::object{{"plugin", subject.path},
                                                  {"sha256", to_hex(subject.file.sha256)},
                                                  {"checks", std::move(checks)},
                                                  {"passed", total.passed},
                                                  {"failed", total.failed},
                                                  {"skipped", total.skipped},
                                                  {"good", total.good()}}));
}

Result<Subject> open_subject(const std::string& plugin, const std::string& manifest) {
  Subject out;
  out.path = plugin;
  auto file = loader::seal_file(plugin);
  if (!file) return fail(file.error());
  out.file = std::move(*file);
  if (manifest.empty()) return out;
  auto text = read_text_file(manifest, loader::kManifestBytesMax);
  if (!text) return fail(text.error());
  auto parsed = loader::parse_plugin_manifest(*text);
  if (!parsed) return fail(parsed.error());
  out.manifest = std::move(*parsed);
  return out;
}

bool is_path_part(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text[0] != '.' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '+';
         });
}

Result<loader::PluginManifest> make_manifest(const ManifestCommand& command,
                                             const Subject& subject) {
  auto mapping = loader::SealedMapping::map(subject.file.fd.get());
  if (!mapping) return fail(mapping.error());
  auto elf = loader::check_plugin_elf(mapping->bytes());
  if (!elf) return fail(elf.error());
  auto described = describe(subject);
  if (!described) return fail(described.error());
  for (const Line& line : descriptor_checks(subject, described)) {
    if (line.outcome.verdict == Verdict::fail) {
      return fail(Errc::invalid, line.rule + " " + line.name + ": " + line.outcome.text);
    }
  }

  loader::PluginManifest out;
  out.product = command.product;
  out.version = command.version;
  out.release_seq = command.release_seq;
  out.security_epoch = command.security_epoch;
  out.built_from = command.built_from;
  const std::string platform = "linux-" + loader::this_arch() + "-glibc";
  out.variants.push_back(
      {.os = "linux",
       .arch = loader::this_arch(),
       .libc = "glibc",
       .target = fmt::format("rel/{}/{}/{}.so", out.product, out.version, platform),
       .length = subject.file.size,
       .sha256 = subject.file.sha256});
  out.abi_major = RAP_ABI_MAJOR;
  out.adapters = std::move(described->adapters);
  out.dt_needed = std::move(elf->needed);
  return out;
}

}  // namespace

int check_command(const CheckCommand& command) {
  if (auto options = parse_json(command.session_options); !options || !options->is_object()) {
    return wrong_usage("--session-options: want a JSON object, {..}");
  }
  auto subject = open_subject(command.plugin, command.manifest);
  if (!subject) return complain(subject.error());
  subject->session_options = command.session_options;
  subject->limit = std::chrono::milliseconds(command.limit_ms);
  const auto checked = run_checks(*subject, command.run);
  if (!checked) {
    complain(checked.error());
    return 2;
  }
  const std::vector<Line>& lines = *checked;
  const Count total = count(lines);
  if (command.json) {
    print_json(*subject, lines, total);
  } else {
    print_text(lines, total);
  }
  return total.good() ? 0 : 1;
}

int manifest_command(const ManifestCommand& command) {
  if (!is_path_part(command.product) || !command.product.starts_with("plugin.")) {
    return wrong_usage("--product '" + command.product + "': want plugin.<vendor>.<name>");
  }
  if (!is_path_part(command.version) || !is_semantic_version(command.version)) {
    return wrong_usage("--version '" + command.version +
                       "': want a semantic version such as 1.4.0, up to 64 characters");
  }
  auto subject = open_subject(command.plugin, "");
  if (!subject) return complain(subject.error());
  auto manifest = make_manifest(command, *subject);
  if (!manifest) return complain(manifest.error());
  const std::string text = loader::to_json(*manifest) + "\n";
  if (command.out.empty()) {
    fmt::print("{}", text);
    return 0;
  }
  if (auto ok = write_file_atomic(command.out, text); !ok) return complain(ok.error());
  return 0;
}

int sandbox_command(bool as_json) {
  const Finished done = run_boxed(-1, std::chrono::seconds(10), [](Box& box) {
    const Status closed = box.close();
    json::array layers;
    for (const sandbox::Layer& layer : box.report().layers()) {
      layers.push_back(json::object{
          {"name", layer.name}, {"state", sandbox::name(layer.state)}, {"detail", layer.detail}});
    }
    return json::serialize(
        json::object{{"layers", std::move(layers)}, {"closed", closed.has_value()}});
  });
  if (done.how != Finished::How::answered) {
    return complain({Errc::internal, "sandbox: " + done.trouble()});
  }
  auto value = parse_json(done.answer);
  if (!value || !value->is_object()) return complain({Errc::internal, done.answer});
  if (as_json) fmt::print("{}\n", done.answer);
  bool all = value->at("closed").as_bool();
  for (const json::value& layer : value->at("layers").as_array()) {
    const auto text = [&](const char* key) { return json::value_to<std::string>(layer.at(key)); };
    all = all && text("state") == "active";
    if (!as_json) fmt::print("{:<14} {:<7} {}\n", text("name"), text("state"), text("detail"));
  }
  return all ? 0 : 1;
}

}  // namespace rap::check
