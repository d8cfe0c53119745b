// Private to fabric/h2.
#pragma once

#include <nghttp2/nghttp2.h>

#include <chrono>
#include <map>
#include <optional>

#include "base/net/event.hpp"
#include "fabric/h2/connection.hpp"

namespace rap::fabric {

// One stream, shared by the connection and whoever reads, writes or answers it.
//
//   headers -> waiting (server: for our answer; client: for theirs) -> open -> closed
//
// Both directions end on their own: in_ended (their END_STREAM), out_ended (ours, sent).
struct H2StreamState {
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

  // Out: the caller's buffer of the write under way.
  ByteView out;
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
};

struct FreeSession {
  void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
};
using SessionPtr = std::unique_ptr<nghttp2_session, FreeSession>;

struct H2Connection::Impl {
  Impl(net::asio::any_io_executor e, net::ByteStreamPtr t, H2Limits l, ConnectHandler h)
      : executor(e),
        transport(std::move(t)),
        limits(l),
        handler(std::move(h)),
        kick(e),
        over(e),
        tasks(e) {}

  net::asio::any_io_executor executor;
  net::ByteStreamPtr transport;
  H2Limits limits;
  ConnectHandler handler;  // empty on clients
  SessionPtr session;
  H2Connection* self = nullptr;
  std::map<std::int32_t, std::shared_ptr<H2StreamState>> open_streams;

  Bytes out;               // frames to send
  net::Event kick;         // the writer has something to do
  net::Event over;         // ended
  bool draining = false;   // no new streams; end with the last
  bool finishing = false;  // end when what is queued was sent
  bool ended = false;
  bool ping_sent = false;
  bool accepted_any = false;  // server: a stream was accepted
  std::size_t refusals = 0;   // server
  const std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_heard = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point idle_since = std::chrono::steady_clock::now();
  double resets_left = 0;  // of a bucket that refills; see allow_reset()
  std::chrono::steady_clock::time_point resets_at{};
  net::TaskGroup tasks;

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

// The ByteStream over one open stream.
net::ByteStreamPtr make_h2_stream(std::shared_ptr<H2Connection> connection,
                                  std::shared_ptr<H2StreamState> state);

// nghttp2's events, with an Impl as user data.
nghttp2_session_callbacks* new_callbacks();

// Reads from a stream's `out`.
nghttp2_data_provider data_provider_of(H2StreamState& state);

}  // namespace rap::fabric
