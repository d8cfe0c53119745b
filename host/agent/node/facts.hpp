// What kind of host this is and how busy it is: read from /proc and /etc/os-release.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

namespace rap::agent {

struct Facts {
  std::string os;      // "Debian GNU/Linux 12 (bookworm)"
  std::string kernel;  // "6.1.0-18-amd64"
  std::string arch;    // "x86_64"
  std::string hostname;
  std::string cpu_model;
  int cpus = 0;
  std::int64_t memory_kb = 0;
  std::string boot_id;  // another one after each boot
};

// Never fails: what cannot be read stays empty or zero.
Facts read_facts();
boost::json::object to_json(const Facts& facts);

struct Load {
  double cpu = 0;  // 0..1, all cores together, since the previous sample
  std::int64_t memory_used_kb = 0;
  std::int64_t memory_total_kb = 0;
};

// Cumulative figures of the first line of /proc/stat.
struct CpuTimes {
  std::uint64_t busy = 0;
  std::uint64_t total = 0;
};
std::optional<CpuTimes> parse_cpu_times(std::string_view proc_stat);

// Value in kB of a line "Name:   123 kB"; nothing when there is no such line.
std::optional<std::int64_t> parse_meminfo(std::string_view meminfo, std::string_view name);

// Samples the load; keeps the previous figures.
class LoadMeter {
 public:
  Load sample();

 private:
  CpuTimes previous_;
};

// Field 22 of /proc/<pid>/stat: the start of the process in clock ticks after boot. With the pid it
// names a process for as long as the host is up. Nothing when there is no such process.
std::optional<std::uint64_t> process_start_time(int pid);
std::optional<std::uint64_t> parse_start_time(std::string_view proc_pid_stat);

// Resident memory of a process in kB; 0 when it is gone.
std::int64_t process_rss_kb(int pid);

}  // namespace rap::agent
