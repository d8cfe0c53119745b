#include "host/worker/hub/out_queue.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <map>

#include "base/file.hpp"
#include "contracts/frames/reader.hpp"

namespace rap::worker {
namespace {

using frames::Channel;

struct Line {
  Fd near, far;
};

Line line_with_little_room() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) abort();
  const int size = 4608;
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  return {Fd(ends[0]), Fd(ends[1])};
}

class Sender {
 public:
  explicit Sender(int socket) : queue(socket) {}
  void push(Channel channel, const std::string& text) {
    frames::FrameHeader header;
    header.length = static_cast<std::uint32_t>(text.size());
    header.channel = channel;
    header.seq = ++seq_[channel];
    EXPECT_EQ(queue.push(header, as_bytes(text)), OutQueue::Io::ok);
  }
  OutQueue queue;

 private:
  std::map<Channel, std::uint64_t> seq_;
};

// Reads everything, flushing in between; frames as "channel:first letter x length".
std::string read_all(OutQueue& queue, int far) {
  frames::FrameReader reader(frames::Direction::to_client);
  std::string out;
  while (true) {
    const auto room = reader.prepare();
    const ssize_t n =
        recv(far, room.data(), std::min<std::size_t>(room.size(), 3000), MSG_DONTWAIT);
    if (n <= 0 && queue.empty()) return out;
    if (n > 0) reader.commit(static_cast<std::size_t>(n));
    EXPECT_EQ(queue.flush(), OutQueue::Io::ok);
    while (true) {
      auto frame = reader.next();
      if (!frame) return out + "!" + frame.error().text();
      if (!*frame) break;
      const auto& [header, payload] = **frame;
      out += std::to_string(static_cast<int>(header.channel)) + ":" +
             (payload.empty() ? std::string() : std::string(1, static_cast<char>(payload[0]))) +
             std::to_string(payload.size()) + " ";
      for (std::uint8_t byte : payload) EXPECT_EQ(byte, payload[0]);
    }
  }
}

TEST(OutQueue, WritesStraightThroughWhenNothingWaits) {
  Line line = line_with_little_room();
  Sender sender(line.near.get());
  sender.push(Channel::terminal, "aaa");
  EXPECT_TRUE(sender.queue.empty());
  EXPECT_EQ(read_all(sender.queue, line.far.get()), "8:a3 ");
}

TEST(OutQueue, FramesStayWholeAndControlOvertakes) {
  Line line = line_with_little_room();
  Sender sender(line.near.get());
  for (int i = 0; i < 5; ++i) sender.push(Channel::terminal, std::string(70'000, 't'));
  sender.push(Channel::file, std::string(100'000, 'f'));
  sender.push(Channel::control, std::string(20, 'c'));
  sender.push(Channel::terminal, "");
  EXPECT_GT(sender.queue.bytes(), 400'000u);
  // The frame that had begun, then control, then the rest in order, the file last.
  EXPECT_EQ(read_all(sender.queue, line.far.get()),
            "8:t70000 0:c20 8:t70000 8:t70000 8:t70000 8:t70000 8:0 7:f100000 ");
}

TEST(OutQueue, ClearingKeepsTheFrameThatHasBegunAndControl) {
  Line line = line_with_little_room();
  Sender sender(line.near.get());
  for (int i = 0; i < 3; ++i) sender.push(Channel::terminal, std::string(50'000, 't'));
  sender.push(Channel::display, std::string(50'000, 'd'));
  sender.push(Channel::control, "ccc");
  sender.queue.clear_data();
  sender.push(Channel::terminal, "after");
  sender.queue.clear_data();
  sender.push(Channel::cursor, "k");
  EXPECT_EQ(read_all(sender.queue, line.far.get()), "8:t50000 0:c3 3:k1 ");
}

TEST(OutQueue, HasALimitPerChannelButTakesAnyFirstFrame) {
  Line line = line_with_little_room();
  Sender sender(line.near.get());
  EXPECT_TRUE(sender.queue.fits(Channel::terminal, frames::kPayloadBytesMax));
  sender.push(Channel::terminal, std::string(900'000, 't'));
  EXPECT_FALSE(sender.queue.fits(Channel::terminal, 200'000));
  EXPECT_TRUE(sender.queue.fits(Channel::display, 200'000));
}

TEST(OutQueue, ReportsABrokenStream) {
  Line line = line_with_little_room();
  Sender sender(line.near.get());
  line.far.reset();
  frames::FrameHeader header;
  header.seq = 1;
  EXPECT_EQ(sender.queue.push(header, {}), OutQueue::Io::broken);
}

TEST(ByteQueue, GathersConsumesAndTruncates) {
  ByteQueue queue;
  Bytes all;
  for (int round = 0; round < 50; ++round) {
    const Bytes part(static_cast<std::size_t>(round) * 1777 % 9000,
                     static_cast<std::uint8_t>(round));
    queue.append(part);
    all.insert(all.end(), part.begin(), part.end());
  }
  Bytes seen;
  while (queue.size() > 0) {
    iovec parts[3];
    const std::size_t count = queue.gather(parts, 3, 100'000);
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto* from = static_cast<const std::uint8_t*>(parts[i].iov_base);
      seen.insert(seen.end(), from, from + parts[i].iov_len);
      bytes += parts[i].iov_len;
    }
    queue.consume(bytes);
  }
  EXPECT_EQ(seen, all);
  queue.append(all);
  queue.consume(10);
  queue.truncate(5);
  EXPECT_EQ(queue.size(), 5u);
  queue.append(Bytes(200'000, 7));
  EXPECT_EQ(queue.size(), 200'005u);
  queue.consume(200'005);
  EXPECT_EQ(queue.size(), 0u);
}

}  // namespace
}  // namespace rap::worker
