// rap.host.log/1
#include "base/log.hpp"
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

// A line of a log, not a dump.
constexpr std::size_t kMessageBytesMax = 1024;
constexpr std::size_t kFieldsBytesMax = 4096;

log::Level level_of(std::uint32_t level) {
  switch (level) {
    case RAP_LOG_DEBUG:
      return log::Level::debug;
    case RAP_LOG_INFO:
      return log::Level::info;
    case RAP_LOG_WARN:
      return log::Level::warn;
    default:
      return log::Level::error;
  }
}

void write(const rap_host* host, std::uint32_t level, rap_str message, rap_str fields) {
  const PluginHostOptions& who = PluginHost::of(host).options();
  log::write(level_of(level), view(message).substr(0, kMessageBytesMax),
             {{"source", "plugin"},
              {"organization", who.organization},
              {"session", who.session_id},
              {"fields", view(fields).substr(0, kFieldsBytesMax)}});
}

}  // namespace

const rap_host_log_1 kLogTable = {write};

}  // namespace rap::worker
