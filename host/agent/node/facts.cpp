#include "host/agent/node/facts.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <charconv>
#include <thread>
#include <vector>

#include <boost/json.hpp>

#include "base/file.hpp"

namespace rap::agent {
namespace {

constexpr std::size_t kProcBytesMax = 1 << 20;  // /proc/cpuinfo of a 256-core host is about 400 KB

std::string slurp(const std::filesystem::path& path) {
  return read_text_file(path, kProcBytesMax).value_or("");
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) {
    text.remove_suffix(1);
  }
  return text;
}

// The rest of the first line that starts with `key`.
std::string_view value_after(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.starts_with(key)) return line.substr(key.size());
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return {};
}

template <typename T>
std::optional<T> number(std::string_view text) {
  text = trim(text);
  T out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return out;
}

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> out;
  while (true) {
    line = trim(line);
    if (line.empty()) return out;
    const std::size_t end = std::min(line.find(' '), line.size());
    out.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

}  // namespace

Facts read_facts() {
  Facts out;
  struct utsname name {};
  if (::uname(&name) == 0) {
    out.kernel = name.release;
    out.arch = name.machine;
    out.hostname = name.nodename;
  }
  const std::string release = slurp("/etc/os-release");
  std::string_view pretty = trim(value_after(release, "PRETTY_NAME="));
  if (pretty.size() >= 2 && pretty.front() == '"') pretty = pretty.substr(1, pretty.size() - 2);
  out.os = pretty.empty() ? "Linux" : std::string(pretty);
  const std::string cpuinfo = slurp("/proc/cpuinfo");
  std::string_view model = value_after(cpuinfo, "model name");
  if (const auto colon = model.find(':'); colon != model.npos) model.remove_prefix(colon + 1);
  out.cpu_model = std::string(trim(model));
  out.cpus = static_cast<int>(std::thread::hardware_concurrency());
  out.memory_kb = parse_meminfo(slurp("/proc/meminfo"), "MemTotal").value_or(0);
  out.boot_id = std::string(trim(slurp("/proc/sys/kernel/random/boot_id")));
  return out;
}

boost::json::object to_json(const Facts& facts) {
  return {{"os", facts.os},
          {"kernel", facts.kernel},
          {"arch", facts.arch},
          {"hostname", facts.hostname},
          {"cpu_model", facts.cpu_model},
          {"cpus", facts.cpus},
          {"memory_kb", facts.memory_kb}};
}

std::optional<CpuTimes> parse_cpu_times(std::string_view proc_stat) {
  const auto fields = words(value_after(proc_stat, "cpu "));
  if (fields.size() < 4) return std::nullopt;
  CpuTimes out;
  // user nice system idle iowait irq softirq steal; guest time is already part of user.
  for (std::size_t i = 0; i < fields.size() && i < 8; ++i) {
    const auto ticks = number<std::uint64_t>(fields[i]);
    if (!ticks) return std::nullopt;
    out.total += *ticks;
    if (i != 3 && i != 4) out.busy += *ticks;
  }
  return out;
}

std::optional<std::int64_t> parse_meminfo(std::string_view meminfo, std::string_view name) {
  return number<std::int64_t>(value_after(meminfo, std::string(name) + ":"));
}

Load LoadMeter::sample() {
  Load out;
  if (const auto times = parse_cpu_times(slurp("/proc/stat"))) {
    const std::uint64_t total = times->total - previous_.total;
    const std::uint64_t busy = times->busy - previous_.busy;
    if (total > 0 && busy <= total) out.cpu = double(busy) / double(total);
    previous_ = *times;
  }
  const std::string meminfo = slurp("/proc/meminfo");
  out.memory_total_kb = parse_meminfo(meminfo, "MemTotal").value_or(0);
  out.memory_used_kb = out.memory_total_kb - parse_meminfo(meminfo, "MemAvailable").value_or(0);
  return out;
}

std::optional<std::uint64_t> parse_start_time(std::string_view stat) {
  // The name in parentheses may hold anything, so fields are counted from the last ')'.
  const std::size_t close = stat.rfind(')');
  if (close == stat.npos) return std::nullopt;
  const auto fields = words(stat.substr(close + 1));
  if (fields.size() < 20) return std::nullopt;
  return number<std::uint64_t>(fields[19]);
}

std::optional<std::uint64_t> process_start_time(int pid) {
  return parse_start_time(slurp("/proc/" + std::to_string(pid) + "/stat"));
}

std::int64_t process_rss_kb(int pid) {
  const std::string statm = slurp("/proc/" + std::to_string(pid) + "/statm");
  const auto fields = words(statm);
  if (fields.size() < 2) return 0;
  return number<std::int64_t>(fields[1]).value_or(0) * (::sysconf(_SC_PAGESIZE) / 1024);
}

}  // namespace rap::agent
