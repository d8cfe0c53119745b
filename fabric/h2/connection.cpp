#include "fabric/h2/connection.hpp"

#include "fabric/h2/connection_impl.hpp"

namespace rap::fabric {

namespace {

using Impl = H2Connection::Impl;
using net::NetError;
using net::Task;
using SteadyClock = std::chrono::steady_clock;

// What a peer may say in frames of ours: with 9 bytes of header four TLS records.
constexpr std::uint32_t kFrameBytesMax = 64 * 1024;
// Resets a client may do before the connection ends (CVE-2023-44487): people close streams by
// hand, not a hundred at once and twenty a second.
// nghttp2 has the same limit but acts on it only with its next send.
constexpr std::uint64_t kResetBurst = 100;
constexpr std::uint64_t kResetsPerSecond = 20;
// A lease and its headers fit one frame (CVE-2024-28182).
constexpr std::size_t kContinuationsMax = 8;
constexpr std::size_t kUnsentAcksMax = 100;
constexpr std::size_t kSettingsMax = 32;

struct OptionsPtr {
  OptionsPtr() {
    if (nghttp2_option_new(&value) != 0) throw std::bad_alloc();
  }
  ~OptionsPtr() { nghttp2_option_del(value); }
  nghttp2_option* value = nullptr;
};

void check(int result, const char* what) {
  if (result != 0) {
    throw NetError(Errc::malformed, std::string(what) + ": " + nghttp2_strerror(result));
  }
}

nghttp2_nv pair_of(std::string_view name, std::string_view value) {
  return nghttp2_nv{reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                    reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
                    value.size(), NGHTTP2_NV_FLAG_NONE};
}

void append(std::vector<nghttp2_nv>& out, const net::HttpHeaders& headers) {
  for (const net::HttpHeader& header : headers) out.push_back(pair_of(header.name, header.value));
}

}  // namespace

void H2Connection::Impl::make_session() {
  nghttp2_session_callbacks* callbacks = new_callbacks();
  OptionsPtr options;
  nghttp2_option_set_no_auto_window_update(options.value, 1);
  nghttp2_option_set_stream_reset_rate_limit(options.value, kResetBurst, kResetsPerSecond);
  nghttp2_option_set_max_continuations(options.value, kContinuationsMax);
  nghttp2_option_set_max_outbound_ack(options.value, kUnsentAcksMax);
  nghttp2_option_set_max_settings(options.value, kSettingsMax);
  nghttp2_session* made = nullptr;
  const int result = is_server()
                         ? nghttp2_session_server_new2(&made, callbacks, this, options.value)
                         : nghttp2_session_client_new2(&made, callbacks, this, options.value);
  nghttp2_session_callbacks_del(callbacks);
  check(result, "HTTP/2");
  session.reset(made);
}

bool H2Connection::Impl::allow_reset() {
  const auto now = SteadyClock::now();
  const std::chrono::duration<double> passed = now - resets_at;
  resets_at = now;
  resets_left = std::min(static_cast<double>(kResetBurst),
                         resets_left + passed.count() * static_cast<double>(kResetsPerSecond));
  if (resets_left < 1) return false;
  resets_left -= 1;
  return true;
}

void H2Connection::Impl::submit_settings() {
  const std::int32_t window = is_server() ? limits.window_before : limits.stream_window;
  const nghttp2_settings_entry entries[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, is_server() ? limits.streams_max : 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<std::uint32_t>(window)},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameBytesMax},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.header_bytes_max)},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  };
  // A server may not send ENABLE_PUSH: it comes last so that it can be left out.
  const std::size_t count = std::size(entries) - (is_server() ? 1 : 0);
  check(nghttp2_submit_settings(session.get(), NGHTTP2_FLAG_NONE, entries, count), "HTTP/2");
  if (!is_server()) widen_windows(0);
}

void H2Connection::Impl::widen_windows(std::int32_t stream) {
  nghttp2_session_set_local_window_size(session.get(), NGHTTP2_FLAG_NONE, 0,
                                        limits.connection_window);
  if (stream != 0) {
    nghttp2_session_set_local_window_size(session.get(), NGHTTP2_FLAG_NONE, stream,
                                          limits.stream_window);
    kick();
  }
}

void H2Connection::Impl::end(const Error& why) {
  if (ended) return;
  ended = true;
  end_reason = why;
  io->close();
  timer.cancel();
  auto streams = std::move(open_streams);
  open_streams.clear();
  for (auto& [id, state] : streams) {
    state->closed = true;
    state->fail_with(why);
    state->tell_closed();
  }
  greeting.set();
  over.set();
  tasks.cancel();
}

void H2Connection::Impl::finish_when_empty() {
  if (ended || !open_streams.empty()) return;
  const bool lasts = is_server() || limits.life == H2Limits::Life::lasting;
  if (lasts && !draining && !peer_goodbye) return;
  if (!is_server() && !draining) return terminate();
  finishing = true;
  kick();
}

void H2Connection::Impl::terminate() {
  nghttp2_session_terminate_session(session.get(), NGHTTP2_NO_ERROR);
  finishing = true;
  kick();
}

void H2Connection::Impl::resume(H2StreamState& state) {
  if (ended || state.closed) return;
  // Fails when nothing is deferred (it will be asked for anyway): nothing to do then.
  nghttp2_session_resume_data(session.get(), state.id);
  kick();
}

void H2Connection::Impl::consume(H2StreamState& state, std::size_t bytes) {
  const std::size_t n = std::min(bytes, state.unread);
  state.unread -= n;
  state.consumed_at = last_heard;
  if (ended || n == 0) return;
  nghttp2_session_consume(session.get(), state.id, n);
  if (nghttp2_session_want_write(session.get()) != 0) kick();
}

void H2Connection::Impl::reset(H2StreamState& state, std::uint32_t code) {
  if (ended || state.closed) return;
  nghttp2_submit_rst_stream(session.get(), NGHTTP2_FLAG_NONE, state.id, code);
  kick();
}

H2Connection::H2Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->self = this;
  impl_->make_session();
  impl_->submit_settings();
}

H2Connection::~H2Connection() {
  impl_->end(Error{Errc::cancelled, "closed"});
}

std::shared_ptr<H2Connection> H2Connection::make_server(net::asio::any_io_executor executor,
                                                        net::ByteStreamPtr transport,
                                                        H2Limits limits, ConnectHandler handler) {
  return std::make_shared<H2Connection>(std::make_unique<Impl>(
      std::move(executor), std::move(transport), limits, std::move(handler)));
}

std::shared_ptr<H2Connection> H2Connection::make_client(net::asio::any_io_executor executor,
                                                        net::ByteStreamPtr transport,
                                                        H2Limits limits) {
  return std::make_shared<H2Connection>(
      std::make_unique<Impl>(std::move(executor), std::move(transport), limits, nullptr));
}

void H2Connection::start() {
  // Something may have come with the end of the handshake.
  impl_->next_turn();
  impl_->kick();
  impl_->start_timer();
}

Task<ConnectAnswer> H2Connection::connect(ConnectRequest request) {
  auto self = shared_from_this();
  if (impl_->ended || impl_->finishing) throw NetError(Errc::unavailable, "connection ended");
  auto state = std::make_shared<H2StreamState>(impl_->executor, 0);
  std::vector<nghttp2_nv> headers;
  headers.push_back(pair_of(":method", "CONNECT"));
  headers.push_back(pair_of(":authority", request.authority));
  append(headers, request.headers);
  nghttp2_data_provider provider = data_provider_of(*state);
  const std::int32_t id = nghttp2_submit_request(impl_->session.get(), nullptr, headers.data(),
                                                 headers.size(), &provider, nullptr);
  if (id < 0) throw NetError(Errc::unavailable, nghttp2_strerror(id));
  state->id = id;
  impl_->open_streams.emplace(id, state);
  impl_->kick();
  // Owns the stream from here on: a cancelled caller resets it.
  auto stream = std::make_unique<H2Stream>(self, state);
  co_await state->answered.wait();
  if (state->status == 0) {
    throw NetError(state->error ? *state->error
                                : Error{Errc::malformed, "HTTP/2: no answer to the request"});
  }
  ConnectAnswer answer;
  answer.status = state->status;
  answer.headers = std::move(state->answer);
  if (answer.status >= 200 && answer.status < 300) answer.stream = std::move(stream);
  co_return answer;
}

void H2Connection::drain() {
  if (impl_->ended) return;
  nghttp2_submit_goaway(impl_->session.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(impl_->session.get()),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  impl_->draining = true;
  impl_->finish_when_empty();
  impl_->kick();
}

void H2Connection::close() {
  impl_->end(Error{Errc::cancelled, "closed"});
}

Task<void> H2Connection::greeted() {
  auto self = shared_from_this();
  co_await impl_->greeting.wait();
}

Task<void> H2Connection::ended() {
  auto self = shared_from_this();
  co_await impl_->over.wait();
}

bool H2Connection::draining() const {
  return impl_->draining || impl_->finishing || impl_->ended || impl_->peer_goodbye;
}

bool H2Connection::over() const {
  return impl_->ended;
}

bool H2Connection::said_goodbye() const {
  return impl_->peer_goodbye;
}

std::uint64_t H2Connection::stuck_streams() const {
  return impl_->stuck;
}

const Error& H2Connection::end_reason() const {
  return impl_->end_reason;
}

void H2Connection::on_round_trip(std::function<void(std::chrono::nanoseconds)> then) {
  impl_->on_rtt = std::move(then);
}

std::size_t H2Connection::streams() const {
  return impl_->open_streams.size();
}

IncomingConnect::IncomingConnect(std::shared_ptr<H2Connection> connection,
                                 std::shared_ptr<H2StreamState> state)
    : connection_(std::move(connection)), state_(std::move(state)) {}

IncomingConnect::~IncomingConnect() {
  if (state_) connection_->impl().reset(*state_, NGHTTP2_CANCEL);
}

const ConnectRequest& IncomingConnect::request() const {
  return state_->request;
}

bool IncomingConnect::gone() const {
  return !state_ || state_->closed;
}

std::unique_ptr<H2Stream> IncomingConnect::accept(const net::HttpHeaders& headers) {
  auto state = std::exchange(state_, nullptr);
  if (!state || state->closed) throw NetError(Errc::cancelled, "the client gave the stream up");
  Impl& impl = connection_->impl();
  impl.accepted_any = true;
  std::vector<nghttp2_nv> lines;
  lines.push_back(pair_of(":status", "200"));
  append(lines, headers);
  nghttp2_data_provider provider = data_provider_of(*state);
  check(
      nghttp2_submit_response(impl.session.get(), state->id, lines.data(), lines.size(), &provider),
      "HTTP/2");
  impl.widen_windows(state->id);
  return std::make_unique<H2Stream>(connection_, std::move(state));
}

void IncomingConnect::refuse(unsigned status, const net::HttpHeaders& headers) {
  auto state = std::exchange(state_, nullptr);
  if (!state || state->closed) return;
  Impl& impl = connection_->impl();
  state->refused = true;
  state->abandoned = true;
  const std::string text = std::to_string(status);
  std::vector<nghttp2_nv> lines;
  lines.push_back(pair_of(":status", text));
  append(lines, headers);
  check(nghttp2_submit_response(impl.session.get(), state->id, lines.data(), lines.size(), nullptr),
        "HTTP/2");
  ++impl.refusals;
  // GOAWAY at once would overtake the answer.
  const bool stranger = impl.limits.life == H2Limits::Life::with_streams && !impl.accepted_any;
  if (stranger && impl.refusals >= impl.limits.stranger_refusals_max) {
    connection_->drain();
  }
  impl.kick();
}

}  // namespace rap::fabric
