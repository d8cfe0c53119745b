#include "contracts/frames/reader.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace rap::frames {
namespace {

// One read: several frames of interactive traffic, and within the L2 cache for bulk.
constexpr std::size_t kReadBytes = std::size_t{64} << 10;
// Below this a read is not worth its system call, so the buffer is moved together first.
constexpr std::size_t kReadBytesMin = std::size_t{16} << 10;

}  // namespace

FrameReader::FrameReader(Direction direction) : direction_(direction), buffer_(kReadBytes) {}

void FrameReader::make_room(std::size_t bytes) {
  if (buffer_.size() - end_ >= bytes) return;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < bytes) buffer_.resize(end_ + bytes);
}

std::span<std::uint8_t> FrameReader::prepare() {
  if (begin_ == end_) begin_ = end_ = 0;
  std::size_t wanted = kReadBytesMin;
  if (end_ - begin_ >= kHeaderBytes) {
    // next() has checked this length already.
    std::uint32_t length = 0;
    for (int i = 3; i >= 0; --i) length = length << 8 | buffer_[begin_ + i];
    const std::size_t whole = kHeaderBytes + std::min<std::size_t>(length, kPayloadBytesMax);
    if (whole > end_ - begin_) wanted = std::max(wanted, whole - (end_ - begin_));
  }
  make_room(wanted);
  return std::span(buffer_).subspan(end_);
}

void FrameReader::commit(std::size_t bytes) {
  assert(end_ + bytes <= buffer_.size());
  end_ += bytes;
}

void FrameReader::feed(ByteView bytes) {
  if (begin_ == end_) begin_ = end_ = 0;
  make_room(bytes.size());
  if (!bytes.empty()) std::memcpy(buffer_.data() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

Result<std::optional<FrameView>> FrameReader::next() {
  if (failed_) return fail(*failed_);
  if (end_ - begin_ < kHeaderBytes) return std::nullopt;
  const std::uint8_t* at = buffer_.data() + begin_;
  auto header =
      decode_header(std::span<const std::uint8_t, kHeaderBytes>(at, kHeaderBytes), direction_);
  if (!header) {
    failed_ = header.error();
    return fail(*failed_);
  }
  if (end_ - begin_ < kHeaderBytes + header->length) return std::nullopt;
  if (auto in_order = check_seq(*header); !in_order) {
    failed_ = in_order.error();
    return fail(*failed_);
  }
  begin_ += kHeaderBytes + header->length;
  return FrameView{*header, ByteView(at + kHeaderBytes, header->length)};
}

Status FrameReader::check_seq(const FrameHeader& header) {
  auto& last = last_seq_[static_cast<std::size_t>(header.channel)];
  const bool gaps = direction_ == Direction::to_client && header.channel != Channel::control;
  if (header.seq != last + 1 && !(gaps && header.seq > last)) {
    return fail(Errc::malformed, "sequence number " + std::to_string(header.seq) + " after " +
                                     std::to_string(last) + " on channel " +
                                     std::to_string(static_cast<int>(header.channel)));
  }
  last = header.seq;
  return {};
}

}  // namespace rap::frames
