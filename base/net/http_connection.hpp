// Private to base/net: one connection of an HttpServer.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/net/event.hpp"
#include "base/net/http_server.hpp"
#include "base/net/http_wire.hpp"

namespace rap::net {

// Two tasks share it: the reader fills a bounded buffer and notices when the client goes; the
// server parses, calls the handler and answers. Every wait of the server has a deadline that
// aborts the connection.
//
//   idle -> headers -> body -> handler -> response -> idle ...     any -> closed
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(asio::any_io_executor executor, ByteStreamPtr stream, PeerInfo peer,
                 const HttpServerLimits& limits, const HttpHandler& handler,
                 HttpServerStats& stats);

  static Task<void> read_loop(std::shared_ptr<HttpConnection> self);
  static Task<void> serve(std::shared_ptr<HttpConnection> self);

  // Called by serve() when it begins to wait for a request, and when one begins to come.
  using IdleChanged = std::function<void(bool idle)>;
  void when_idle_changes(IdleChanged changed) { idle_changed_ = std::move(changed); }

  const PeerInfo& peer() const { return peer_; }
  // Ends it now, in the middle of whatever it does.
  void abort();
  // Ends it after the request under way; at once when there is none.
  void finish();

 private:
  Task<bool> next_request(HttpRequest& into);
  Task<void> refuse(Error error, unsigned status);
  Task<HttpResponse> run_handler(const HttpRequest& request);
  Task<void> respond(HttpResponse response, bool head_only);
  Task<void> write(ByteView bytes);
  Task<void> write_file(const FileBody& file);
  Task<bool> wait_for_news(std::chrono::steady_clock::time_point until);
  void arm_write_deadline(milliseconds limit);
  Task<void> linger();

  asio::any_io_executor executor_;
  ByteStreamPtr stream_;
  PeerInfo peer_;
  const HttpServerLimits& limits_;
  const HttpHandler& handler_;
  HttpServerStats& stats_;

  Bytes input_;               // read and not parsed, at most kInputMax
  bool input_ended_ = false;  // the client ended its direction, or is gone
  Event news_;                // input, its end, the handler's end, or abort
  Event space_;               // room in input_
  asio::steady_timer write_deadline_;
  std::shared_ptr<asio::cancellation_signal> cancel_handler_;
  void set_idle(bool idle);

  IdleChanged idle_changed_;
  bool idle_ = true;
  bool finishing_ = false;
  bool aborted_ = false;
  bool keep_alive_ = true;
};

}  // namespace rap::net
