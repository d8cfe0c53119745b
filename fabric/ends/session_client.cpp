#include "fabric/ends/session_client.hpp"

#include <algorithm>

#include "base/net/task_group.hpp"
#include "base/net/timer.hpp"
#include "fabric/ends/lease_line.hpp"
#include "fabric/ends/session_ways.hpp"

namespace rap::fabric {

using net::milliseconds;
using net::NetError;
using net::Task;
using resume::ResumableStreamPtr;

namespace {

// A shorter pause is not worth a word.
constexpr milliseconds kPauseShown{1'000};
constexpr milliseconds kPauseLook{50};
// A clock that was set is noticed within a minute.
constexpr milliseconds kRenewalLook{60'000};
// A first way that cannot be had is looked for again: a relay may have died in this moment.
constexpr milliseconds kFirstAgain{250};

struct Watched {
  resume::ResumableStream* stream = nullptr;  // null once its user has let it go
  std::uint64_t attachments = 1;              // that were seen
};

// Also when it has ended meanwhile.
bool is_attached(const Watched& watched) {
  if (watched.stream == nullptr) return true;
  const resume::ResumeInfo info = watched.stream->info();
  return info.attached || info.attachments > watched.attachments;
}

// Says when a pause is long and when it is over.
Task<void> watch_pause(std::shared_ptr<SessionWays> ways, std::shared_ptr<Watched> watched) {
  const auto begun = std::chrono::steady_clock::now();
  const auto pause = [begun] {
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun);
  };
  const auto tell = [&](SessionProgress what) {
    if (watched->stream != nullptr && ways->options.progress) {
      ways->options.progress(what, pause());
    }
  };
  while (!is_attached(*watched) && pause() < kPauseShown) co_await net::sleep_for(kPauseLook);
  if (!is_attached(*watched)) {
    tell(SessionProgress::reconnecting);
    while (!is_attached(*watched)) co_await net::sleep_for(kPauseLook);
    tell(SessionProgress::connected);
  }
  if (watched->stream != nullptr) watched->attachments = watched->stream->info().attachments;
}

Task<void> watch(std::shared_ptr<SessionWays> ways, std::shared_ptr<Watched> watched) {
  while (watched->stream != nullptr) {
    const bool lost = co_await ways->lost.wait_for(kRenewalLook);
    if (watched->stream == nullptr) co_return;
    if (lost) {
      ways->lost.reset();
      co_await watch_pause(ways, watched);
    } else if (ways->clock.now() >= ways->renew_at) {
      co_await renew_carry(ways);
    }
  }
}

class MeshSession final : public net::ByteStream {
 public:
  MeshSession(std::shared_ptr<SessionWays> ways, ResumableStreamPtr stream,
              const net::asio::any_io_executor& executor)
      : stream_(std::move(stream)), watched_(std::make_shared<Watched>()), tasks_(executor) {
    watched_->stream = stream_.get();
    ways->opened = true;
    ways->lost.reset();
    tasks_.spawn("mesh session", watch(std::move(ways), watched_));
  }
  ~MeshSession() override { watched_->stream = nullptr; }

  Task<std::size_t> read_some(std::span<std::uint8_t> into) override {
    return stream_->read_some(into);
  }
  Task<void> write_all(ByteView bytes) override { return stream_->write_all(bytes); }
  Task<void> shutdown() override { return stream_->shutdown(); }
  void close() override { stream_->close(); }

 private:
  ResumableStreamPtr stream_;
  std::shared_ptr<Watched> watched_;
  net::TaskGroup tasks_;
};

bool worth_another_try(Errc code) {
  return code == Errc::unavailable || code == Errc::timeout || code == Errc::exhausted;
}

Task<ResumableStreamPtr> open_first(std::shared_ptr<SessionWays> ways,
                                    const resume::ResumeClock& clock) {
  const auto until = std::chrono::steady_clock::now() + ways->options.timeout;
  for (;;) {
    resume::OpenTransport open = [ways] { return open_way(ways); };
    std::optional<Error> failed;
    try {
      ResumableStreamPtr stream =
          co_await resume::open_resumable(std::move(open), ways->options.resume, clock);
      co_return stream;
    } catch (const NetError& error) {
      failed = error.error();
    }
    // The last reason is a better answer than the deadline that would end the next try.
    const bool late = std::chrono::steady_clock::now() + ways->options.timeout / 2 >= until;
    if (late || !worth_another_try(failed->code)) throw NetError(*failed);
    co_await net::sleep_for(kFirstAgain);
  }
}

Task<net::ByteStreamPtr> open_session(std::shared_ptr<SessionWays> ways,
                                      const resume::ResumeClock& clock) {
  auto executor = co_await net::asio::this_coro::executor;
  ResumableStreamPtr stream = co_await open_first(ways, clock);
  const std::string line = lease_line(ways->options.lease);
  co_await stream->write_all(as_bytes(line));
  const std::string answer = co_await read_line(*stream, kAnswerLineMax);
  const Status ok = parse_answer_line(answer);
  if (!ok) throw NetError(ok.error());
  co_return std::make_unique<MeshSession>(std::move(ways), std::move(stream), executor);
}

}  // namespace

resume::ResumeLimits client_resume_limits() {
  resume::ResumeLimits out;
  out.try_timeout = milliseconds(7'000);
  return out;
}

Task<Result<net::ByteStreamPtr>> open_mesh_session(MeshSessionOptions options, const Clock& clock,
                                                   const resume::ResumeClock& resume_clock) {
  using Answer = Result<net::ByteStreamPtr>;
  auto executor = co_await net::asio::this_coro::executor;
  auto ways = SessionWays::create(std::move(options), clock, executor);
  if (!ways) co_return Answer(fail(ways.error()));
  const milliseconds timeout = (*ways)->options.timeout;
  std::optional<Error> failed;
  net::ByteStreamPtr stream;
  try {
    stream = co_await net::with_deadline(open_session(*ways, resume_clock), timeout);
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    failed = error.error();
  }
  if (failed) co_return Answer(fail(std::move(*failed)));
  co_return Answer(std::move(stream));
}

}  // namespace rap::fabric
