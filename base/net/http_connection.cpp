#include "base/net/http_connection.hpp"

#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

#include "base/log.hpp"
#include "base/net/asio_error.hpp"
#include "base/net/cancellation.hpp"

namespace rap::net {

namespace {

using SteadyClock = std::chrono::steady_clock;

// Two full headers: a pipelining client waits for us, not in our memory.
constexpr std::size_t kInputMax = 64 * 1024;
constexpr std::size_t kReadBytes = 16 * 1024;
constexpr std::size_t kFilePieceBytes = 64 * 1024;

HttpResponse problem(unsigned status, std::string_view code, std::string_view detail) {
  HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", "application/problem+json");
  // Constants and reason phrases only: nothing in them needs escaping.
  response.body = "{\"type\":\"about:blank\",\"title\":\"" + std::string(reason_phrase(status)) +
                  "\",\"status\":" + std::to_string(status) + ",\"code\":\"" + std::string(code) +
                  "\",\"detail\":\"" + std::string(detail) + "\"}";
  return response;
}

// What the handler's task leaves behind; shared by it and the connection.
struct HandlerOutcome {
  bool ended = false;
  std::exception_ptr error;
  HttpResponse response;
};

// So that a handler that throws before its first wait fails like any other.
Task<HttpResponse> call(const HttpHandler& handler, const HttpRequest& request,
                        const PeerInfo& peer) {
  Task<HttpResponse> answer = handler(request, peer);
  co_return co_await std::move(answer);
}

}  // namespace

HttpConnection::HttpConnection(asio::any_io_executor executor, ByteStreamPtr stream, PeerInfo peer,
                               const HttpServerLimits& limits, const HttpHandler& handler,
                               HttpServerStats& stats)
    : executor_(executor),
      stream_(std::move(stream)),
      peer_(std::move(peer)),
      limits_(limits),
      handler_(handler),
      stats_(stats),
      news_(executor),
      space_(executor),
      write_deadline_(executor) {}

void HttpConnection::abort() {
  if (aborted_) return;
  aborted_ = true;
  input_ended_ = true;
  stream_->close();
  if (cancel_handler_) cancel_task(executor_, cancel_handler_);
  space_.set();
  news_.set();
}

void HttpConnection::finish() {
  finishing_ = true;
  if (idle_) abort();
}

void HttpConnection::set_idle(bool idle) {
  idle_ = idle;
  if (idle_changed_) idle_changed_(idle);
}

Task<void> HttpConnection::read_loop(std::shared_ptr<HttpConnection> self) {
  try {
    Bytes piece(kReadBytes);
    while (!self->input_ended_) {
      while (self->input_.size() >= kInputMax && !self->aborted_) {
        self->space_.reset();
        co_await self->space_.wait();
      }
      const std::size_t n = co_await self->stream_->read_some(piece);
      if (n == 0) break;
      self->input_.insert(self->input_.end(), piece.begin(),
                          piece.begin() + static_cast<std::ptrdiff_t>(n));
      self->news_.set();
    }
  } catch (const NetError&) {
    // Cut, reset or aborted: the same to the server.
  }
  self->input_ended_ = true;
  // A client that goes away while we work for it: nobody waits for the answer.
  if (self->cancel_handler_) cancel_task(self->executor_, self->cancel_handler_);
  self->news_.set();
}

// Waits for what came since the last news_.reset(), which belongs before the look at the state.
// False when `until` passed.
Task<bool> HttpConnection::wait_for_news(SteadyClock::time_point until) {
  const auto left =
      std::chrono::duration_cast<milliseconds>(until - SteadyClock::now()) + milliseconds(1);
  return news_.wait_for(left);
}

Task<void> HttpConnection::serve(std::shared_ptr<HttpConnection> self) {
  try {
    for (std::uint64_t served = 0; self->keep_alive_; ++served) {
      if (served >= self->limits_.requests_per_connection_max) break;
      HttpRequest request;
      const bool got = co_await self->next_request(request);
      if (!got) break;
      ++self->stats_.requests;
      HttpResponse response = co_await self->run_handler(request);
      if (self->finishing_) self->keep_alive_ = false;
      co_await self->respond(std::move(response), request.method == "HEAD");
      self->set_idle(true);
      if (self->finishing_) break;
    }
    if (!self->aborted_) {
      self->arm_write_deadline(milliseconds(1000));
      co_await self->stream_->shutdown();
    }
  } catch (const NetError&) {
    // The client is gone, or too slow to take the answer.
  }
  self->write_deadline_.cancel();
  self->abort();
}

// False at the end of the connection, whatever ended it.
Task<bool> HttpConnection::next_request(HttpRequest& into) {
  set_idle(true);
  RequestParser parser(limits_.header_bytes_max, limits_.body_bytes_max);
  bool continued = false;
  auto until = SteadyClock::now() + limits_.idle_timeout;
  for (;;) {
    news_.reset();
    if (aborted_) co_return false;
    if (!input_.empty()) {
      if (idle_) {
        set_idle(false);
        until = SteadyClock::now() + limits_.header_timeout;
      }
      const bool header_was_done = parser.header_done();
      auto used = parser.put(input_);
      if (!used) {
        co_await refuse(used.error(), parser.refusal_status());
        co_return false;
      }
      input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(*used));
      space_.set();
      if (parser.done()) break;
      if (!header_was_done && parser.header_done()) {
        until = SteadyClock::now() + limits_.body_timeout;
      }
      if (!parser.header_done() && input_.size() >= kInputMax) {
        Error too_large{Errc::too_large, "headers"};
        co_await refuse(std::move(too_large), 431);
        co_return false;
      }
    }
    if (parser.header_done() && !continued && parser.expects_continue()) {
      continued = true;
      co_await write(as_bytes("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    if (input_ended_) {
      if (!idle_) ++stats_.bad_requests;
      co_return false;
    }
    const bool in_time = co_await wait_for_news(until);
    if (!in_time) {
      if (!idle_) ++stats_.bad_requests;
      co_return false;
    }
  }
  keep_alive_ = parser.keep_alive();
  into = parser.take();
  co_return true;
}

Task<void> HttpConnection::refuse(Error error, unsigned status) {
  ++stats_.bad_requests;
  keep_alive_ = false;
  log::debug("request refused", {{"peer", peer_.address}, {"error", error.text()}});
  HttpResponse response = problem(status, name(error.code), "the request cannot be read");
  co_await respond(std::move(response), false);
  co_await linger();
}

// Lets the client read our refusal before a reset could take it: its rest is read for a moment.
Task<void> HttpConnection::linger() {
  co_await stream_->shutdown();
  const auto until = SteadyClock::now() + milliseconds(500);
  while (!input_ended_ && SteadyClock::now() < until) {
    news_.reset();
    input_.clear();
    space_.set();
    co_await wait_for_news(until);
  }
}

Task<HttpResponse> HttpConnection::run_handler(const HttpRequest& request) {
  auto outcome = std::make_shared<HandlerOutcome>();
  auto signal = std::make_shared<asio::cancellation_signal>();
  auto ended = [self = shared_from_this(), outcome, signal](std::exception_ptr error,
                                                            HttpResponse response) {
    outcome->error = error;
    outcome->response = std::move(response);
    outcome->ended = true;
    self->news_.set();
  };
  cancel_handler_ = signal;
  asio::co_spawn(executor_, contained(call(handler_, request, peer_)),
                 asio::bind_cancellation_slot(signal->slot(), std::move(ended)));
  const auto until = SteadyClock::now() + limits_.handler_timeout;
  bool late = false;
  for (;;) {
    news_.reset();
    if (outcome->ended) break;
    if (late || input_ended_) {
      // Too late, or nobody waits for the answer. It uses `request`: only its end ends the wait.
      cancel_task(executor_, signal);
      co_await news_.wait_for(milliseconds(100));
      continue;
    }
    const bool in_time = co_await wait_for_news(until);
    late = !in_time;
  }
  cancel_handler_ = nullptr;
  if (!outcome->error) co_return std::move(outcome->response);
  if (input_ended_ || aborted_) throw NetError(Errc::cancelled, "the client went away");
  if (is_cancellation(outcome->error)) {
    co_return problem(503, "timeout", "the request took too long");
  }
  log::error("request failed", {{"method", request.method},
                                {"path", request.path()},
                                {"error", exception_text(outcome->error)}});
  co_return problem(500, "internal", "see the server's log");
}

Task<void> HttpConnection::respond(HttpResponse response, bool head_only) {
  const std::uint64_t length = response.file ? response.file->length : response.body.size();
  auto head = response_head(response, length, keep_alive_);
  if (!head) {
    log::error("response has a header that cannot be sent", {});
    response = problem(500, "internal", "see the server's log");
    head = response_head(response, response.body.size(), keep_alive_);
  }
  std::string bytes = std::move(*head);
  const bool no_body = head_only || response.status == 204 || response.status == 304;
  if (!no_body && !response.file) bytes += response.body;
  co_await write(as_bytes(bytes));
  if (!no_body && response.file) co_await write_file(*response.file);
}

void HttpConnection::arm_write_deadline(milliseconds limit) {
  write_deadline_.expires_after(limit);
  write_deadline_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (!error && self) self->abort();
  });
}

Task<void> HttpConnection::write(ByteView bytes) {
  arm_write_deadline(limits_.write_timeout);
  co_await stream_->write_all(bytes);
  write_deadline_.cancel();
}

// Reading is from the page cache or one disk access of 64 KiB: short enough for the event loop.
Task<void> HttpConnection::write_file(const FileBody& file) {
  Bytes piece(kFilePieceBytes);
  std::uint64_t done = 0;
  while (done < file.length) {
    const std::size_t want =
        static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), file.length - done));
    const ssize_t n =
        ::pread(file.file->get(), piece.data(), want, static_cast<off_t>(file.offset + done));
    if (n <= 0) {
      // The head promised more: only cutting the connection tells the client.
      log::error("file ended while it was sent", {});
      throw NetError(Errc::cancelled, "file");
    }
    done += static_cast<std::uint64_t>(n);
    co_await write(ByteView(piece).first(static_cast<std::size_t>(n)));
  }
}

}  // namespace rap::net
