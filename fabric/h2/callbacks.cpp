#include <algorithm>
#include <charconv>
#include <cstring>

#include "fabric/h2/connection_impl.hpp"

namespace rap::fabric {

namespace {

using Impl = H2Connection::Impl;

Impl& impl_of(void* user) {
  return *static_cast<Impl*>(user);
}

std::shared_ptr<H2StreamState> find(Impl& impl, std::int32_t id) {
  const auto at = impl.open_streams.find(id);
  return at == impl.open_streams.end() ? nullptr : at->second;
}

ssize_t on_send(nghttp2_session*, const std::uint8_t* data, std::size_t size, int, void* user) {
  Impl& impl = impl_of(user);
  if (impl.control.size() + size > net::kPutBytesMax || !impl.has_room(size)) {
    return NGHTTP2_ERR_WOULDBLOCK;
  }
  impl.control.insert(impl.control.end(), data, data + size);
  return static_cast<ssize_t>(size);
}

// The payload is not copied: its header goes into the room before it, and both are one TLS write.
int on_send_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t* header, std::size_t length,
                 nghttp2_data_source* source, void* user) {
  Impl& impl = impl_of(user);
  const auto state = static_cast<H2StreamState*>(source->ptr)->shared_from_this();
  try {
    impl.put_control();
    if (state->headroom && length > 0) {
      auto* frame = const_cast<std::uint8_t*>(state->out.data()) - kFrameHeaderBytes;
      std::memcpy(frame, header, kFrameHeaderBytes);
      impl.io->put(ByteView(frame, kFrameHeaderBytes + length));
    } else {
      const auto copy = impl.pool.take();
      std::memcpy(copy.get(), header, kFrameHeaderBytes);
      if (length > 0) std::memcpy(copy.get() + kFrameHeaderBytes, state->out.data(), length);
      impl.io->put(ByteView(copy.get(), kFrameHeaderBytes + length));
    }
    if (length > 0) state->sent(length);
  } catch (const net::NetError& error) {
    impl.failure = error.error();
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  return 0;
}

ssize_t on_data_wanted(nghttp2_session*, std::int32_t id, std::uint8_t*, std::size_t length,
                       std::uint32_t* flags, nghttp2_data_source* source, void* user) {
  Impl& impl = impl_of(user);
  auto& state = *static_cast<H2StreamState*>(source->ptr);
  const std::size_t n = std::min(length, state.out.size());
  const bool last = state.out_end_wanted && n == state.out.size() && state.waiting.size() < 2;
  if (n == 0 && !last) return NGHTTP2_ERR_DEFERRED;
  // Nothing may stop it from here on: what is offered is sent before this call of nghttp2 returns.
  if (!impl.has_room(kFrameHeaderBytes + n)) {
    impl.waiting_for_room.push_back(id);
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (last) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(n);
}

ssize_t on_data_length(nghttp2_session*, std::uint8_t, std::int32_t, std::int32_t session_window,
                       std::int32_t stream_window, std::uint32_t frame_max, void*) {
  const std::size_t window =
      static_cast<std::size_t>(std::max(1, std::min(session_window, stream_window)));
  return static_cast<ssize_t>(std::min({window, static_cast<std::size_t>(frame_max), kPieceBytes}));
}

int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
  Impl& impl = impl_of(user);
  if (!impl.is_server() || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  const std::int32_t id = frame->hd.stream_id;
  auto state = std::make_shared<H2StreamState>(impl.executor, id);
  impl.open_streams.emplace(id, state);
  nghttp2_session_set_stream_user_data(session, id, state.get());
  return 0;
}

int on_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name_data,
              std::size_t name_size, const std::uint8_t* value_data, std::size_t value_size,
              std::uint8_t, void* user) {
  Impl& impl = impl_of(user);
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  const auto state = find(impl, frame->hd.stream_id);
  if (!state) return 0;
  const bool first =
      frame->headers.cat == NGHTTP2_HCAT_REQUEST || frame->headers.cat == NGHTTP2_HCAT_RESPONSE;
  if (!first) return 0;  // trailers carry nothing for us
  state->header_bytes += name_size + value_size + 32;
  if (state->header_bytes > impl.limits.header_bytes_max) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                              NGHTTP2_ENHANCE_YOUR_CALM);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  const std::string_view name(reinterpret_cast<const char*>(name_data), name_size);
  std::string value(reinterpret_cast<const char*>(value_data), value_size);
  if (impl.is_server()) {
    if (name == ":method") {
      state->complained = value != "CONNECT";
    } else if (name == ":authority") {
      state->request.authority = std::move(value);
    } else if (!name.starts_with(':')) {
      state->request.headers.push_back(net::HttpHeader{std::string(name), std::move(value)});
    }
  } else if (name == ":status") {
    // nghttp2 lets only three digits through.
    std::from_chars(value.data(), value.data() + value.size(), state->status);
  } else {
    state->answer.push_back(net::HttpHeader{std::string(name), std::move(value)});
  }
  return 0;
}

net::Task<void> run_handler(std::shared_ptr<H2Connection> connection,
                            std::unique_ptr<IncomingConnect> incoming) {
  auto work = connection->impl().handler(std::move(incoming));
  co_await std::move(work);
}

void on_request(Impl& impl, const std::shared_ptr<H2StreamState>& state) {
  auto connection = impl.self->shared_from_this();
  auto incoming = std::make_unique<IncomingConnect>(connection, state);
  if (state->complained) {
    net::HttpHeaders headers;
    headers.set("rap-error", "unsupported");
    headers.set("rap-detail", "only CONNECT is served here");
    incoming->refuse(405, headers);
    return;
  }
  impl.tasks.spawn("h2 connect", run_handler(connection, std::move(incoming)));
}

int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  Impl& impl = impl_of(user);
  if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
    if (!impl.ping_sent) return 0;
    impl.ping_sent = false;
    if (impl.on_rtt) impl.on_rtt(std::chrono::steady_clock::now() - impl.ping_at);
    return 0;
  }
  if (frame->hd.type == NGHTTP2_SETTINGS) {
    impl.greeting.set();
    return 0;
  }
  if (frame->hd.type == NGHTTP2_GOAWAY) {
    impl.peer_goodbye = true;
    impl.finish_when_empty();
    return 0;
  }
  if (frame->hd.type == NGHTTP2_RST_STREAM && impl.is_server() && !impl.allow_reset()) {
    return NGHTTP2_ERR_CALLBACK_FAILURE;  // ends the connection
  }
  const auto state = find(impl, frame->hd.stream_id);
  if (!state) return 0;
  const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame->hd.type == NGHTTP2_HEADERS) {
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) on_request(impl, state);
    if (frame->headers.cat == NGHTTP2_HCAT_RESPONSE) state->answered.set();
  }
  if (end && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
    state->in_ended = true;
    state->readable.set();
    if (const auto sink = state->sink) sink->on_end();
  }
  return 0;
}

int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
            std::size_t size, void* user) {
  Impl& impl = impl_of(user);
  const auto state = find(impl, id);
  if (!state || state->abandoned) {
    nghttp2_session_consume(impl.session.get(), id, size);
    return 0;
  }
  if (state->unread == 0) state->consumed_at = impl.last_heard;
  state->unread += size;
  if (const auto sink = state->sink) {
    // Within the buffer that read_turn() gave to the parser, which is past the bytes before.
    sink->on_bytes(std::span(const_cast<std::uint8_t*>(data), size));
    return 0;
  }
  if (!state->read_into.empty() && state->in_size() == 0) {
    const std::size_t n = std::min(size, state->read_into.size());
    std::memcpy(state->read_into.data(), data, n);
    state->read_into = state->read_into.subspan(n);
    state->read_got += n;
    data += n;
    size -= n;
  }
  state->in.insert(state->in.end(), data, data + size);
  state->readable.set();
  return 0;
}

int on_frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
  Impl& impl = impl_of(user);
  const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (!ends || (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)) return 0;
  const auto state = find(impl, frame->hd.stream_id);
  if (!state) return 0;
  state->out_ended = true;
  // Whoever sends on must learn that nobody reads.
  if ((state->refused || state->abandoned) && !state->in_ended) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                              state->refused ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
  }
  return 0;
}

int on_stream_close(nghttp2_session*, std::int32_t id, std::uint32_t code, void* user) {
  Impl& impl = impl_of(user);
  const auto state = find(impl, id);
  if (!state) return 0;
  impl.open_streams.erase(id);
  state->closed = true;
  if (!state->in_ended) {
    // Reset: what nobody read is void, and must not hold the connection's window.
    nghttp2_session_consume_connection(impl.session.get(), std::exchange(state->unread, 0));
    state->in.clear();
    state->in_begin = 0;
  }
  if (!state->in_ended || !state->out_ended) {
    state->fail_with(Error{Errc::unavailable, std::string("the other side ended the stream: ") +
                                                  nghttp2_http2_strerror(code)});
  }
  state->readable.set();
  state->answered.set();
  state->written.set();
  state->tell_closed();
  impl.idle_since = std::chrono::steady_clock::now();
  impl.finish_when_empty();
  return 0;
}

// A request that could not go out, after GOAWAY for example, has no stream to be closed.
int on_frame_not_sent(nghttp2_session*, const nghttp2_frame* frame, int code, void* user) {
  Impl& impl = impl_of(user);
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  const auto state = find(impl, frame->hd.stream_id);
  if (!state) return 0;
  impl.open_streams.erase(state->id);
  state->closed = true;
  state->fail_with(Error{Errc::unavailable, std::string("HTTP/2: ") + nghttp2_strerror(code)});
  state->tell_closed();
  impl.finish_when_empty();
  return 0;
}

}  // namespace

void H2StreamState::tell_closed() {
  const auto told = std::exchange(sink, nullptr);
  if (told) told->on_closed(error ? &*error : nullptr);
}

void H2StreamState::fail_with(Error why) {
  if (!error) error = std::move(why);
  readable.set();
  written.set();
  answered.set();
}

nghttp2_data_provider data_provider_of(H2StreamState& state) {
  nghttp2_data_provider provider{};
  provider.source.ptr = &state;
  provider.read_callback = on_data_wanted;
  return provider;
}

nghttp2_session_callbacks* new_callbacks() {
  nghttp2_session_callbacks* out = nullptr;
  if (nghttp2_session_callbacks_new(&out) != 0) throw std::bad_alloc();
  nghttp2_session_callbacks_set_send_callback(out, on_send);
  nghttp2_session_callbacks_set_send_data_callback(out, on_send_data);
  nghttp2_session_callbacks_set_data_source_read_length_callback(out, on_data_length);
  nghttp2_session_callbacks_set_on_begin_headers_callback(out, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(out, on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(out, on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(out, on_data);
  nghttp2_session_callbacks_set_on_frame_send_callback(out, on_frame_sent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(out, on_frame_not_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(out, on_stream_close);
  return out;
}

}  // namespace rap::fabric
