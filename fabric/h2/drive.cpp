// When a connection reads, parses, packs and sends, and what it does as time passes.
#include <boost/asio/post.hpp>

#include "fabric/h2/connection_impl.hpp"
#include "fabric/h2/turns.hpp"

namespace rap::fabric {

namespace {

using net::NetError;
using SteadyClock = std::chrono::steady_clock;

// Read in one turn, then others on the thread go first: about 50 us of work.
constexpr std::size_t kTurnBytes = 64 * 1024;
// Batches sent in one turn.
constexpr int kBatchesPerTurn = 4;
// Free room before what is parsed, for the header of a frame that is handed on.
constexpr std::size_t kFrontBytes = 64;
// What is queued when the connection ends in order must be taken so soon; the peer may be gone.
constexpr net::milliseconds kGoodbye{1000};

}  // namespace

// ---- moving bytes ----

void H2Connection::Impl::wait_readable() {
  io->on_readable([connection = self->shared_from_this()] {
    Impl& impl = connection->impl();
    if (impl.limits.turn == H2Limits::Turn::yielding) return impl.next_turn();
    impl.read_turn();
  });
}

void H2Connection::Impl::next_turn() {
  auto turn = [connection = self->shared_from_this()] { connection->impl().read_turn(); };
  if (limits.turn == H2Limits::Turn::yielding) return BulkTurns::of(executor).add(std::move(turn));
  net::asio::post(executor, std::move(turn));
}

void H2Connection::Impl::read_turn() {
  if (ended) return;
  const auto keeps = self->shared_from_this();
  try {
    const auto buffer = pool.take();
    const std::span<std::uint8_t> into(buffer.get() + kFrontBytes, kTurnBytes);
    const auto n = io->read_now(into);
    if (!n) return wait_readable();
    if (*n == 0) return end(Error{Errc::unavailable, "the peer ended the connection"});
    last_heard = SteadyClock::now();
    receiving = true;
    const ssize_t used = nghttp2_session_mem_recv(session.get(), into.data(), *n);
    receiving = false;
    if (ended) return;
    if (used < 0) {
      throw NetError(Errc::malformed,
                     std::string("HTTP/2: ") + nghttp2_strerror(static_cast<int>(used)));
    }
    pump_or_throw();
    if (ended) return;
    if (io->drained()) return wait_readable();
    next_turn();
  } catch (const NetError& error) {
    receiving = false;
    end(error.error());
  }
}

bool H2Connection::Impl::has_room(std::size_t bytes) {
  if (io->unsent() + control.size() + bytes <= net::kBatchBytes) return true;
  try {
    put_control();
    return io->push();
  } catch (const NetError& error) {
    failure = error.error();
    return false;
  }
}

void H2Connection::Impl::put_control() {
  if (control.empty()) return;
  io->put(control);
  control.clear();
}

void H2Connection::Impl::encode(H2StreamState* first) {
  if (ended || busy()) return;
  if (first != nullptr) nghttp2_session_resume_data(session.get(), first->id);
  sending = true;
  const int result = nghttp2_session_send(session.get());
  sending = false;
  if (!failure && result != 0) failure = Error{Errc::malformed, nghttp2_strerror(result)};
  // Found by whoever reads or pumps next, which ends the connection outside of other callbacks.
  if (failure) return kick();
}

void H2Connection::Impl::kick() {
  if (pump_posted || ended) return;
  pump_posted = true;
  net::asio::post(executor, [connection = self->shared_from_this()] {
    connection->impl().pump_posted = false;
    connection->impl().pump();
  });
}

void H2Connection::Impl::pump() {
  const auto keeps = self->shared_from_this();
  try {
    pump_or_throw();
  } catch (const NetError& error) {
    end(error.error());
  }
}

void H2Connection::Impl::pump_or_throw() {
  if (ended || busy()) return;
  for (int batch = 0;; ++batch) {
    if (!end_put) encode();
    if (ended) return;
    if (failure) throw NetError(*failure);
    put_control();
    if (!io->push()) break;
    if (waiting_for_room.empty()) break;
    if (batch == kBatchesPerTurn) return kick();
    while (!waiting_for_room.empty()) {
      nghttp2_session_resume_data(session.get(), waiting_for_room.front());
      waiting_for_room.pop_front();
    }
  }
  if (io->unsent() > 0) {
    if (waits_writable) return;
    waits_writable = true;
    io->on_writable([connection = self->shared_from_this()] {
      connection->impl().waits_writable = false;
      connection->impl().pump();
    });
    return;
  }
  const bool silent = nghttp2_session_want_read(session.get()) == 0;
  if (!silent && !finishing) return;
  if (!end_put) {
    // The end of TLS is said if the peer takes it soon.
    end_put = true;
    finish_since = SteadyClock::now();
    io->put_end();
    return pump_or_throw();
  }
  end(silent && !finishing ? Error{Errc::malformed, "HTTP/2: the connection broke a rule"}
                           : Error{Errc::cancelled, "closed"});
}

// ---- time ----

void H2Connection::Impl::send_ping() {
  ping_sent = true;
  ping_at = last_ping = SteadyClock::now();
  nghttp2_submit_ping(session.get(), NGHTTP2_FLAG_NONE, nullptr);
  kick();
}

void H2Connection::Impl::start_timer() {
  auto tick = std::min({limits.ping_after, limits.ping_timeout, kGoodbye});
  if (is_server()) tick = std::min({tick, limits.idle_timeout, limits.stranger_timeout});
  if (limits.ping_every.count() > 0) tick = std::min(tick, limits.ping_every);
  timer.expires_after(std::max(tick / 4, net::milliseconds(1)));
  timer.async_wait([weak = self->weak_from_this()](boost::system::error_code error) {
    const auto connection = weak.lock();
    if (!error && connection) connection->impl().on_timer();
  });
}

void H2Connection::Impl::reset_stuck(TimePoint now) {
  std::size_t unread = 0;
  std::shared_ptr<H2StreamState> worst;
  for (const auto& [id, state] : open_streams) {
    unread += state->unread;
    const bool longer = !worst || state->consumed_at < worst->consumed_at;
    if (state->unread > 0 && longer) worst = state;
  }
  if (unread < static_cast<std::size_t>(limits.connection_window) / 4 * 3) return;
  if (now - worst->consumed_at < limits.stuck_after) return;
  ++stuck;
  reset(*worst, NGHTTP2_ENHANCE_YOUR_CALM);
}

void H2Connection::Impl::on_timer() {
  if (ended) return;
  const auto now = SteadyClock::now();
  if (end_put && now - finish_since > kGoodbye) return end(Error{Errc::cancelled, "closed"});
  if (is_server() && limits.life == H2Limits::Life::with_streams) {
    if (open_streams.empty() && now - idle_since > limits.idle_timeout) terminate();
    if (!accepted_any && now - since > limits.stranger_timeout) {
      return end(Error{Errc::timeout, "no stream was accepted in time"});
    }
  }
  if (limits.stuck_after.count() > 0) reset_stuck(now);
  const auto silence = now - last_heard;
  const bool unanswered =
      ping_sent && now - ping_at > limits.ping_timeout && silence > limits.ping_timeout;
  if (unanswered) return end(Error{Errc::timeout, "the peer does not answer any more"});
  const bool due = limits.ping_every.count() > 0 && now - last_ping >= limits.ping_every;
  if (!ping_sent && (due || silence > limits.ping_after)) send_ping();
  start_timer();
}

}  // namespace rap::fabric
