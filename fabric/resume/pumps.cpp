// What moves the bytes of a resumable stream while it has a transport.
#include <algorithm>
#include <cstring>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "fabric/resume/core.hpp"

namespace rap::resume {

using net::NetError;

namespace {

// Read at once: grows when the transport gives that much; over it the data leaves the L2 cache.
constexpr std::size_t kStageBytesMin = 4 * 1024;
constexpr std::size_t kStageBytesMax = 64 * 1024;

}  // namespace

Task<void> Core::read_pump(std::shared_ptr<Core> self) {
  struct EndAttachment {
    Core& core;
    // While CLOSE is on its way the writer ends the attachment.
    ~EndAttachment() {
      core.reader_over_ = true;
      if (!core.engine_.closing() || core.engine_.close_sent()) core.end_attachment();
    }
  } at_end{*self};
  try {
    co_await self->read_frames();
  } catch (const NetError&) {  // the transport died: what this is for
  }
}

Task<void> Core::read_frames() {
  net::ByteStream& transport = *transport_;
  Bytes stage(kStageBytesMin);
  std::size_t have = 0;
  while (!attachment_over_) {
    const std::size_t n = co_await transport.read_some(std::span(stage).subspan(have));
    if (n == 0) co_return;
    have += n;
    const bool was_full = have == stage.size();
    const std::size_t used = engine_.closing() ? have : consume(ByteView(stage).first(have));
    if (over_) co_return;
    if (engine_.closing()) {  // only its end is waited for
      have = 0;
      continue;
    }
    std::memmove(stage.data(), stage.data() + used, have - used);
    have -= used;
    if (was_full && stage.size() < kStageBytesMax) stage.resize(kStageBytesMax);
    engine_changed();
    // The user gets a turn before more comes: what it takes now needs no storing.
    if (engine_.unread() > 0) co_await net::asio::post(executor_, net::asio::use_awaitable);
  }
}

std::size_t Core::consume(ByteView bytes) {
  const TimePoint now = clock_.now();
  std::size_t used = 0;
  for (;;) {
    const ByteView rest = bytes.subspan(used);
    if (engine_.data_left() > 0) {
      if (rest.empty()) return used;
      const std::size_t n = std::min(rest.size(), engine_.data_left());
      read_got_ += engine_.data(rest.first(n),
                                read_into_.subspan(std::min(read_got_, read_into_.size())), now);
      readable_.set();
      used += n;
      continue;
    }
    if (rest.size() < kHeaderBytes) return used;
    const auto header = decode_header(rest.first<kHeaderBytes>(), Phase::streaming);
    if (!header) {
      broken(header.error());
      return used;
    }
    const Status ok = engine_.frame(*header, now);
    if (!ok) {
      broken(ok.error());
      return used;
    }
    used += kHeaderBytes;
    switch (header->type) {
      case FrameType::ack:
        if (engine_.has_room()) writable_.set();
        if (engine_.finished()) kick_.set();
        break;
      case FrameType::end:
        readable_.set();
        break;
      case FrameType::close:
        peer_closed(*engine_.closed_by_peer());
        return used;
      default:
        break;
    }
  }
}

Task<void> Core::write_pump(std::shared_ptr<Core> self) {
  struct EndAttachment {
    Core& core;
    // After an orderly end the reader sees the other end's; after CLOSE of a dialler too: closing a
    // transport at once may overtake what was written to it, as RST_STREAM does at every hop, and
    // whoever does not hear that a client has gone waits for it.
    ~EndAttachment() {
      const bool waits =
          core.engine_.closing() ? core.dials() && !core.reader_over_ : core.engine_.finished();
      if (!waits) core.end_attachment();
    }
  } at_end{*self};
  try {
    co_await self->write_frames();
  } catch (const NetError&) {
    self->end_attachment();
  }
}

Task<void> Core::write_frames() {
  net::ByteStream& transport = *transport_;
  if (!greeting_.empty()) {
    co_await transport.write_all(greeting_);
    Bytes().swap(greeting_);
  }
  while (!attachment_over_) {
    kick_.reset();
    const ByteView output = engine_.output(clock_.now());
    if (!output.empty()) {
      co_await transport.write_all(output);
      engine_.written();
      if (engine_.close_sent()) {
        co_await transport.shutdown();
        co_return;
      }
      if (engine_.has_room()) writable_.set();
      continue;
    }
    if (engine_.finished()) {
      closing_until_ = clock_.now() + limits_.close_timeout;
      watch_.set();
      co_await transport.shutdown();
      co_return;
    }
    co_await kick_.wait();
  }
}

}  // namespace rap::resume
