#include "host/agent/supervise/log_capture.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace rap::agent {
namespace {

namespace asio = net::asio;
namespace json = boost::json;

constexpr std::size_t kLineBytesMax = 8 * 1024;  // longer ones are cut
// 64 KiB, what the pipe holds. Then the other work of this thread has its turn: a writer that is
// faster than the reader would keep it for ever.
constexpr int kReadsPerTurn = 16;

}  // namespace

CapturedLine parse_captured_line(std::string_view line) {
  CapturedLine out;
  if (line.starts_with('{')) {
    auto value = parse_json(line, {.bytes_max = kLineBytesMax, .depth_max = 8});
    json::object* object = value ? value->if_object() : nullptr;
    const auto message = object ? json_string_or_none(*object, "message") : std::nullopt;
    if (message) {
      out.message = *message;
      out.level = json_string_or_none(*object, "level").value_or("info");
      for (const char* taken : {"message", "level", "time", "program"}) object->erase(taken);
      if (!object->empty()) out.fields = json::serialize(*object);
      return out;
    }
  }
  out.message = as_utf8(line);
  return out;
}

bool keep_line(LineLimiter& limiter, Counters& counters, const std::string& instance) {
  const auto verdict = limiter.line(std::chrono::steady_clock::now());
  if (verdict.dropped > 0) {
    log::warn("log lines dropped", {{"instance", instance}, {"count", verdict.dropped}});
  }
  ++(verdict.keep ? counters.log_lines : counters.log_lines_dropped);
  return verdict.keep;
}

struct LogCapture::Reader {
  Reader(asio::any_io_executor executor, Fd fd, LogLabels names, std::filesystem::path where)
      : pipe(executor, fd.release()), labels(std::move(names)), path(std::move(where)) {}

  asio::posix::stream_descriptor pipe;
  LogLabels labels;
  std::filesystem::path path;
  std::string partial;
  LineLimiter limiter;

  void emit(Counters& counters, std::string_view line) {
    if (line.empty()) return;
    if (!keep_line(limiter, counters, labels.instance)) return;
    const CapturedLine captured = parse_captured_line(line);
    log::write(log::level_from_name(captured.level), captured.message,
               {{"workload", labels.workload},
                {"instance", labels.instance},
                {"organization", labels.organization},
                {"worker_fields", captured.fields}});
  }

  void take(Counters& counters, std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      partial.append(text.substr(0, std::min(end, kLineBytesMax - partial.size())));
      if (end == text.npos) return;
      emit(counters, partial);
      partial.clear();
      text.remove_prefix(end + 1);
    }
  }
};

LogCapture::LogCapture(Context& context) : context_(context) {}
LogCapture::~LogCapture() = default;

Result<Fd> LogCapture::open(const LogLabels& labels) {
  const std::string path = context_.run.log_pipe(labels.instance).string();
  ::unlink(path.c_str());
  ::unlink(context_.run.old_log_pipe(labels.instance).c_str());
  if (::mkfifo(path.c_str(), 0600) != 0) {
    return fail(errno == ENOSPC ? Errc::exhausted : Errc::internal,
                path + ": " + errno_text(errno));
  }
  Fd read_end(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  Fd write_end(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!read_end || !write_end) return fail(Errc::internal, path + ": " + errno_text(errno));
  start(labels, std::move(read_end), path);
  return write_end;
}

void LogCapture::reopen(const LogLabels& labels) {
  for (auto path :
       {context_.run.log_pipe(labels.instance), context_.run.old_log_pipe(labels.instance)}) {
    Fd read_end(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
    if (!read_end) continue;
    start(labels, std::move(read_end), std::move(path));
    return;
  }
}

void LogCapture::start(const LogLabels& labels, Fd read_end, std::filesystem::path path) {
  auto reader =
      std::make_shared<Reader>(context_.executor, std::move(read_end), labels, std::move(path));
  context_.tasks.spawn("log capture", read_loop(context_, std::move(reader)));
}

net::Task<void> LogCapture::read_loop(Context& context, std::shared_ptr<Reader> reader) {
  char buffer[4096];
  int reads = 0;
  while (true) {
    if (++reads > kReadsPerTurn) {
      reads = 0;
      co_await asio::post(context.executor, asio::use_awaitable);
    }
    const ssize_t n = ::read(reader->pipe.native_handle(), buffer, sizeof buffer);
    if (n > 0) {
      reader->take(context.counters, std::string_view(buffer, static_cast<std::size_t>(n)));
      continue;
    }
    if (n == 0) break;  // every writer is gone
    if (errno == EINTR) continue;
    if (errno != EAGAIN) break;
    reads = 0;
    co_await reader->pipe.async_wait(asio::posix::stream_descriptor::wait_read,
                                     asio::use_awaitable);
  }
  if (!reader->partial.empty()) reader->emit(context.counters, reader->partial);
  // The next process of this name may have made its own pipe there already.
  struct stat ours {};
  struct stat there {};
  if (::fstat(reader->pipe.native_handle(), &ours) == 0 &&
      ::stat(reader->path.c_str(), &there) == 0 && ours.st_ino == there.st_ino) {
    ::unlink(reader->path.c_str());
  }
}

}  // namespace rap::agent
