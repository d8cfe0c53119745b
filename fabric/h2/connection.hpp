// HTTP/2 CONNECT (RFC 9113 section 8.5) over one ByteStream: many streams of bytes on one
// connection, each with its own backpressure. Both ends are here.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/net/byte_stream.hpp"
#include "base/net/http.hpp"
#include "base/net/net_error.hpp"
#include "base/net/task_group.hpp"
#include "fabric/h2/stream.hpp"

namespace rap::fabric {

struct H2Limits {
  std::uint32_t streams_max = 128;  // open at once per connection; more are refused by SETTINGS
  std::size_t header_bytes_max = 16 * 1024;  // a lease is 4 KiB; over it the stream is reset
  // Before a stream is accepted its peer may have sent this much: memory a stranger can claim.
  std::int32_t window_before = 64 * 1024;
  // After: 256 KiB per stream and 1 MiB per connection keep bulk at full speed on a LAN and a
  // keystroke's queue short.
  std::int32_t stream_window = 256 * 1024;
  std::int32_t connection_window = 1024 * 1024;
  net::milliseconds idle_timeout{30'000};  // a server's connection without any stream
  // A server's connection none of whose streams was ever accepted is a stranger's: it ends after so
  // long (the answer to an honest one may take 10 s) and so many refusals, whatever it sends.
  net::milliseconds stranger_timeout{15'000};
  std::size_t stranger_refusals_max = 8;
  net::milliseconds ping_after{20'000};    // silence after which we ask
  net::milliseconds ping_timeout{10'000};  // silence after asking that ends the connection
  // When three quarters of the connection's window wait for readers, the stream whose reader took
  // nothing for longest, and for so long, is reset, so that the others go on. 0: never.
  net::milliseconds stuck_after{0};
  // 0: asks only after silence. Else also so often, for the round trip.
  net::milliseconds ping_every{0};
  // yielding: bulk, which lets everything else on the thread go first (BulkTurns).
  enum class Turn : std::uint8_t { prompt, yielding };
  Turn turn = Turn::prompt;
  // lasting: a client's connection stays without streams, as between nodes.
  enum class Life : std::uint8_t { with_streams, lasting };
  Life life = Life::with_streams;
};

struct ConnectRequest {
  std::string authority;     // "host:port"
  net::HttpHeaders headers;  // lower-case names
};

struct ConnectAnswer {
  unsigned status = 0;
  net::HttpHeaders headers;
  std::unique_ptr<H2Stream> stream;  // when status is 2xx
};

// A stream a client asks for. Answer exactly once; destroyed unanswered it is reset.
class IncomingConnect {
 public:
  IncomingConnect(std::shared_ptr<H2Connection> connection, std::shared_ptr<H2StreamState> state);
  ~IncomingConnect();
  IncomingConnect(const IncomingConnect&) = delete;
  IncomingConnect& operator=(const IncomingConnect&) = delete;

  const ConnectRequest& request() const;
  // Which connection it came on; only to tell them apart.
  const void* connection() const { return connection_.get(); }
  // Whether the client has given it up meanwhile.
  bool gone() const;
  // 200 with `headers`; the stream is open both ways from now on.
  std::unique_ptr<H2Stream> accept(const net::HttpHeaders& headers = {});
  void refuse(unsigned status, const net::HttpHeaders& headers);

 private:
  std::shared_ptr<H2Connection> connection_;
  std::shared_ptr<H2StreamState> state_;  // null once answered
};

// Runs inside the connection's task group: cancelled when the connection ends.
using ConnectHandler = std::function<net::Task<void>(std::unique_ptr<IncomingConnect>)>;

// Owned by its tasks and by its streams; ends when the peer goes, a limit is broken, it is idle
// (server) or its last stream is gone (client).
class H2Connection : public std::enable_shared_from_this<H2Connection> {
 public:
  // `transport` is ready for the HTTP/2 preface. start() must follow.
  static std::shared_ptr<H2Connection> make_server(net::asio::any_io_executor executor,
                                                   net::ByteStreamPtr transport, H2Limits limits,
                                                   ConnectHandler handler);
  static std::shared_ptr<H2Connection> make_client(net::asio::any_io_executor executor,
                                                   net::ByteStreamPtr transport, H2Limits limits);
  ~H2Connection();

  void start();

  // Client: asks for a stream and waits for the answer. Throws NetError when the connection ends.
  net::Task<ConnectAnswer> connect(ConnectRequest request);

  // GOAWAY; streams that are open go on, the connection ends with the last of them.
  void drain();
  // Whether no new stream can be had: it has ended, or one side said goodbye.
  bool draining() const;
  // Whether it has ended.
  bool over() const;
  // The peer said GOAWAY.
  bool said_goodbye() const;
  // Streams that were reset because nobody read them (stuck_after).
  std::uint64_t stuck_streams() const;
  // Ends everything now; streams fail with `cancelled`.
  void close();
  // Returns when the peer's first frame has come, or the connection has ended. In TLS 1.3 a client
  // learns only here that it was refused.
  net::Task<void> greeted();
  // Returns when the connection has ended.
  net::Task<void> ended();

  std::size_t streams() const;
  // Why it ended; before that `unavailable`.
  const Error& end_reason() const;
  // Called with every round trip that a ping measured. Before start().
  void on_round_trip(std::function<void(std::chrono::nanoseconds)> then);

  struct Impl;
  Impl& impl() { return *impl_; }
  // For make_server and make_client.
  explicit H2Connection(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace rap::fabric
