#include "host/worker/hub/out_queue.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace rap::worker {
namespace {

using frames::Channel;

// What a person waits for goes first; a file never delays a key's echo.
constexpr std::array<Channel, frames::kChannelCount> kOrder = {
    Channel::control,   Channel::terminal, Channel::cursor, Channel::audio_out, Channel::display,
    Channel::clipboard, Channel::file,     Channel::input,  Channel::audio_in};

// Measured for socket pairs: larger writes gain nothing, smaller ones cost.
constexpr std::size_t kWriteBytes = std::size_t{256} << 10;
constexpr std::size_t kWriteParts = 16;

ssize_t send_parts(int socket, iovec* parts, std::size_t count) {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  ssize_t n = 0;
  do {
    n = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n;
}

}  // namespace

bool OutQueue::fits(Channel channel, std::size_t payload) const {
  const std::size_t waiting = bytes(channel);
  return waiting == 0 || waiting + frames::kHeaderBytes + payload <= kQueueBytesMax;
}

OutQueue::Io OutQueue::push(const frames::FrameHeader& header, ByteView payload) {
  frames::HeaderBytes head;
  frames::encode_header(header, head);
  std::size_t written = 0;
  if (total_ == 0) {
    iovec parts[2] = {{head.data(), head.size()},
                      {const_cast<std::uint8_t*>(payload.data()), payload.size()}};
    const ssize_t n = send_parts(socket_, parts, payload.empty() ? 1 : 2);
    if (n < 0 && errno != EAGAIN) return Io::broken;
    if (n > 0) written = static_cast<std::size_t>(n);
    if (written == head.size() + payload.size()) return Io::ok;
  }
  Lane& to = lane(header.channel);
  const std::size_t before = to.bytes.size();
  if (written < head.size()) {
    to.bytes.append(ByteView(head).subspan(written));
    to.bytes.append(payload);
  } else {
    to.bytes.append(payload.subspan(written - head.size()));
  }
  const std::size_t grown = to.bytes.size() - before;
  if (written > 0) to.mid = true;
  to.added += grown;
  to.ends.push_back(to.added);
  total_ += grown;
  return Io::ok;
}

void OutQueue::take(Lane& from, std::size_t bytes) {
  from.bytes.consume(bytes);
  from.taken += bytes;
  total_ -= bytes;
  bool whole = bytes == 0 && !from.mid;
  while (!from.ends.empty() && from.ends.front() <= from.taken) {
    whole = from.ends.front() == from.taken;
    from.ends.pop_front();
  }
  from.mid = !whole;
}

OutQueue::Io OutQueue::flush() {
  while (total_ > 0) {
    // A frame that has begun is finished before another channel has its turn.
    std::array<Lane*, frames::kChannelCount> order{};
    std::size_t lanes = 0;
    for (Channel channel : kOrder) {
      if (lane(channel).mid) order[lanes++] = &lane(channel);
    }
    const std::size_t begun = lanes;
    if (begun == 0) {
      for (Channel channel : kOrder) {
        if (lane(channel).bytes.size() > 0) order[lanes++] = &lane(channel);
      }
    }
    std::array<iovec, kWriteParts> parts;
    std::array<std::size_t, frames::kChannelCount> offered{};
    std::size_t count = 0;
    std::size_t budget = kWriteBytes;
    for (std::size_t i = 0; i < lanes && count < parts.size() && budget > 0; ++i) {
      std::size_t most = budget;
      if (begun > 0) most = std::min<std::size_t>(most, order[i]->ends.front() - order[i]->taken);
      const std::size_t from = count;
      count += order[i]->bytes.gather(&parts[count], parts.size() - count, most);
      for (std::size_t p = from; p < count; ++p) offered[i] += parts[p].iov_len;
      budget -= offered[i];
      if (offered[i] < order[i]->bytes.size()) break;  // perhaps inside a frame
    }
    ssize_t n = send_parts(socket_, parts.data(), count);
    if (n < 0) return errno == EAGAIN ? Io::ok : Io::broken;
    for (std::size_t i = 0; i < lanes && n > 0; ++i) {
      const auto here = std::min<std::size_t>(offered[i], static_cast<std::size_t>(n));
      take(*order[i], here);
      n -= static_cast<ssize_t>(here);
    }
  }
  return Io::ok;
}

void OutQueue::clear_data() {
  for (std::size_t i = 1; i < channels_.size(); ++i) {
    Lane& here = channels_[i];
    const std::size_t keep = here.mid ? here.ends.front() - here.taken : 0;
    total_ -= here.bytes.size() - keep;
    here.bytes.truncate(keep);
    here.ends.resize(here.mid ? 1 : 0);
    here.added = here.taken + keep;
  }
}

}  // namespace rap::worker
