// Private to fabric/h2.
#pragma once

#include <nghttp2/nghttp2.h>

#include <chrono>
#include <deque>
#include <map>
#include <optional>

#include <boost/asio/steady_timer.hpp>

#include "base/net/buffer_pool.hpp"
#include "base/net/direct_io.hpp"
#include "base/net/event.hpp"
#include "fabric/h2/connection.hpp"
#include "fabric/h2/stream.hpp"

namespace rap::fabric {

// One stream, shared by the connection and whoever reads, writes or answers it.
//
//   headers -> waiting (server: for our answer; client: for theirs) -> open -> closed
//
// Both directions end on their own: in_ended (their END_STREAM), out_ended (ours, sent).
struct H2StreamState : std::enable_shared_from_this<H2StreamState> {
  H2StreamState(net::asio::any_io_executor executor, std::int32_t number)
      : id(number), readable(executor), written(executor), answered(executor) {}

  std::int32_t id;
  ConnectRequest request;   // server
  unsigned status = 0;      // client: of their answer
  net::HttpHeaders answer;  // client
  std::size_t header_bytes = 0;
  bool complained = false;  // their method was not CONNECT

  // In: what came and nobody has read. Bounded by the window, which grows only when it is read.
  Bytes in;
  std::size_t in_begin = 0;
  std::span<std::uint8_t> read_into;  // of the read that waits
  std::size_t read_got = 0;           // bytes put there
  bool in_ended = false;
  std::size_t unread = 0;  // came, and its sender has no leave to send as much again
  std::chrono::steady_clock::time_point consumed_at{};

  // Out: the caller's buffer of the write under way, or the first of those that wait.
  ByteView out;
  bool headroom = false;      // before `out` is room for a frame's header
  std::deque<Bytes> waiting;  // each with room before it; bounded by whoever sends
  std::size_t waiting_bytes = 0;
  std::shared_ptr<StreamSink> sink;  // instead of reads and writes
  bool out_end_wanted = false;
  bool out_ended = false;
  bool refused = false;    // we answered without a stream
  bool abandoned = false;  // nobody will read any more
  bool closed = false;     // nghttp2 forgot it

  std::optional<Error> error;
  net::Event readable;
  net::Event written;
  net::Event answered;

  std::size_t in_size() const { return in.size() - in_begin; }
  void fail_with(Error why);
  void keep(ByteView bytes);
  void sent(std::size_t bytes);
  void tell_closed();
};

struct FreeSession {
  void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
};
using SessionPtr = std::unique_ptr<nghttp2_session, FreeSession>;

struct H2Connection::Impl {
  Impl(net::asio::any_io_executor e, net::ByteStreamPtr t, H2Limits l, ConnectHandler h)
      : executor(e),
        io(net::make_batched_io(e, std::move(t))),
        limits(l),
        handler(std::move(h)),
        pool(net::BufferPool::of(e)),
        greeting(e),
        over(e),
        timer(e),
        tasks(e) {}

  net::asio::any_io_executor executor;
  std::unique_ptr<net::BatchedIo> io;
  H2Limits limits;
  ConnectHandler handler;  // empty on clients
  net::BufferPool& pool;
  SessionPtr session;
  H2Connection* self = nullptr;
  std::map<std::int32_t, std::shared_ptr<H2StreamState>> open_streams;

  Bytes control;                              // frames without data, put together
  std::deque<std::int32_t> waiting_for_room;  // streams whose data found none
  bool receiving = false;                     // within nghttp2's parser
  bool sending = false;                       // within nghttp2's packer
  bool pump_posted = false;
  bool waits_writable = false;
  net::Event greeting;  // their SETTINGS came, or it has ended
  net::Event over;      // ended
  bool peer_goodbye = false;
  std::uint64_t stuck = 0;
  bool draining = false;   // no new streams; end with the last
  bool finishing = false;  // end when what is queued was sent
  bool end_put = false;
  bool ended = false;
  std::optional<Error> failure;  // found within a callback of nghttp2
  Error end_reason{Errc::unavailable, "open"};
  bool accepted_any = false;  // server: a stream was accepted
  std::size_t refusals = 0;   // server
  using TimePoint = std::chrono::steady_clock::time_point;
  const TimePoint since = std::chrono::steady_clock::now();
  TimePoint last_heard = since;
  TimePoint idle_since = since;
  TimePoint ping_at{};  // of the one that is not answered
  TimePoint last_ping = since;
  TimePoint finish_since{};
  bool ping_sent = false;
  std::function<void(std::chrono::nanoseconds)> on_rtt;
  double resets_left = 0;  // of a bucket that refills; see allow_reset()
  TimePoint resets_at{};
  net::asio::steady_timer timer;
  net::TaskGroup tasks;

  bool busy() const { return receiving || sending; }
  // What came is parsed and handed on, one batch; then waits, or takes another turn.
  void read_turn();
  void wait_readable();
  void next_turn();
  // Packs frames into the batch: `first`, then whoever has something. Throws NetError.
  void encode(H2StreamState* first = nullptr);
  void put_control();
  // Whether a frame of `bytes` may be added now.
  bool has_room(std::size_t bytes);
  void kick();  // pump() soon
  void pump();
  void pump_or_throw();
  void send_ping();
  void reset_stuck(TimePoint now);
  void start_timer();
  void on_timer();

  // False when the peer resets more streams than anybody would (CVE-2023-44487).
  bool allow_reset();
  bool is_server() const { return static_cast<bool>(handler); }
  void make_session();
  void submit_settings();
  // Everything fails with `why`, the transport closes. Idempotent.
  void end(const Error& why);
  // Ends in order, after what is queued.
  void terminate();
  // Ends in order when the last stream is gone.
  void finish_when_empty();
  void resume(H2StreamState& state);
  void consume(H2StreamState& state, std::size_t bytes);
  void reset(H2StreamState& state, std::uint32_t code);
  void widen_windows(std::int32_t stream);
};

// nghttp2's events, with an Impl as user data.
nghttp2_session_callbacks* new_callbacks();

// Reads from a stream's `out`.
nghttp2_data_provider data_provider_of(H2StreamState& state);

}  // namespace rap::fabric
