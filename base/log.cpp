#include "base/log.hpp"

#include <unistd.h>

#include <atomic>
#include <shared_mutex>

#include <boost/json.hpp>

#include "base/clock.hpp"
#include "base/log_sink.hpp"

namespace rap::log {
namespace {

// The only process-wide state of the code base: where lines go is a fact of the process.
std::atomic<Level> g_least{Level::info};
std::string g_program = "rap";
std::shared_mutex g_sink_lock;  // of the next
Sink g_sink;

constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error"};

}  // namespace

void init(std::string_view program, Level least) {
  g_program = program;
  g_least = least;
}

void set_level(Level least) {
  g_least = least;
}

Level level_from_name(std::string_view text) {
  for (std::size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (kLevelNames[i] == text) return static_cast<Level>(i);
  }
  return Level::info;
}

void set_sink(Sink sink) {
  const std::unique_lock lock(g_sink_lock);
  g_sink = std::move(sink);
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (level < g_least.load(std::memory_order_relaxed)) return;
  boost::json::object line;
  {
    const std::shared_lock lock(g_sink_lock);
    if (g_sink) {
      for (const Field& field : fields) {
        std::visit([&](const auto& value) { line[field.name] = value; }, field.value);
      }
      g_sink(level, message, boost::json::serialize(line));
      return;
    }
  }
  line["time"] = to_rfc3339(RealClock().now());
  line["level"] = kLevelNames[static_cast<std::size_t>(level)];
  line["program"] = g_program;
  line["message"] = message;
  for (const Field& field : fields) {
    std::visit([&](const auto& value) { line[field.name] = value; }, field.value);
  }
  const std::string text = boost::json::serialize(line) + "\n";
  // A log that cannot be written has nowhere to say so.
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace rap::log
