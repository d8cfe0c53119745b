// Cuts a byte stream into frames.
#pragma once

#include <optional>

#include "contracts/frames/frame.hpp"

namespace rap::frames {

// Valid until the next call of prepare() or feed().
struct FrameView {
  FrameHeader header;
  ByteView payload;
};

// Incremental and bounded: holds at most one frame of the largest size plus one read. Usage:
//   auto room = reader.prepare();  n = read(fd, room);  reader.commit(n);
//   while (auto frame = reader.next(); frame && *frame) ...
// or feed(bytes) when the bytes are elsewhere already. After an error the stream is lost: every
// further next() fails the same way.
class FrameReader {
 public:
  // `direction`: of the frames that are read. Also checks sequence numbers: they rise by one per
  // channel; a gap is allowed only in a direction and channel with droppable frames (to_client).
  explicit FrameReader(Direction direction);

  // Room for at least 16 KiB, at most what is left of the frame in progress plus 64 KiB.
  std::span<std::uint8_t> prepare();
  void commit(std::size_t bytes);
  // Takes all of `bytes`; call next() until it is empty before feeding again.
  void feed(ByteView bytes);

  // nullopt: more bytes are needed. Fails as decode_header(), and with `malformed` for a sequence
  // number that does not rise.
  Result<std::optional<FrameView>> next();

  // Bytes that have arrived and are not yet a frame; not 0 at end of stream means a cut frame.
  std::size_t pending() const { return end_ - begin_; }

 private:
  void make_room(std::size_t bytes);
  Status check_seq(const FrameHeader& header);

  Direction direction_;
  Bytes buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::array<std::uint64_t, kChannelCount> last_seq_{};
  std::optional<Error> failed_;
};

}  // namespace rap::frames
