// What the plugin emits, and who gets it.
#include <time.h>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "host/worker/hub/hub.hpp"

namespace rap::worker {
namespace {

// One picture of the largest terminal or a desktop in tiles; more in one attach() is a mistake.
constexpr std::size_t kCaptureBytesMax = std::size_t{16} << 20;
// Between two turns of the loop a thread of the plugin does not get further ahead than one queue.
constexpr std::size_t kStagedBytesMax = kQueueBytesMax;
// For rap_emit.queue_free, which counts frames: a frame of this size is assumed.
constexpr std::size_t kTypicalFrame = std::size_t{16} << 10;

bool valid(const rap_frame& frame) {
  const auto channel = static_cast<frames::Channel>(frame.channel);
  const std::size_t limit =
      channel == frames::Channel::control ? frames::kControlBytesMax : frames::kPayloadBytesMax;
  return frames::may_flow(channel, frames::Direction::to_client) && frame.len <= limit &&
         (frame.data != nullptr || frame.len == 0);
}

ByteView payload_of(const rap_frame& frame) {
  return {static_cast<const std::uint8_t*>(frame.data), frame.len};
}

std::uint64_t monotonic_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace

rap_result Hub::emit(const rap_frame* frames, std::uint32_t count, rap_emit* out) {
  rap_emit counts{};
  rap_result result = RAP_OK;
  for (std::uint32_t i = 0; i < count && result == RAP_OK; ++i) {
    if (!valid(frames[i])) result = RAP_E_INVALID;
  }
  if (result == RAP_OK) {
    result = loop_.on_loop() ? emit_here(frames, count, counts) : stage(frames, count, counts);
  }
  if (out != nullptr && out->size >= sizeof(std::uint32_t)) {
    rap_take(out, out->size, &counts, sizeof counts);
  }
  return result;
}

rap_result Hub::emit_here(const rap_frame* frames, std::uint32_t count, rap_emit& out) {
  out.first_seq = frames_accepted_ + 1;
  rap_result result = RAP_OK;
  for (std::uint32_t i = 0; i < count && result == RAP_OK; ++i) result = emit_one(frames[i], out);
  const std::size_t waiting = controller_ != nullptr ? controller_->queued() : 0;
  out.queue_free = waiting >= kQueueBytesMax
                       ? 0
                       : static_cast<std::uint32_t>((kQueueBytesMax - waiting) / kTypicalFrame);
  return result;
}

rap_result Hub::emit_one(const rap_frame& frame, rap_emit& out) {
  const auto channel = static_cast<frames::Channel>(frame.channel);
  if (channel == frames::Channel::control) {
    on_adapter_message(frame);
    ++out.accepted;
    return RAP_OK;
  }
  const bool droppable = (frame.flags & RAP_FRAME_DROPPABLE) != 0;
  if (capture_ == nullptr && controller_ != nullptr && controller_->ready() &&
      !controller_->fits(channel, frame.len)) {
    if (!droppable) {
      plugin_blocked_ = true;
      return RAP_E_BUSY;
    }
    ++counters_.dropped_frames;
    ++out.dropped;
    return RAP_OK;
  }
  std::uint64_t seq = 0;
  const auto number = [&] {
    if (seq == 0) seq = ++seq_[static_cast<std::size_t>(channel)];
    return seq;
  };
  if (capture_ != nullptr) {
    captured_bytes_ += frame.len;
    if (captured_bytes_ > kCaptureBytesMax) return RAP_E_RESOURCE;
    deliver(frame, *capture_, number());
  } else {
    for (Member& member : members_) {
      Attachment& to = *member.attachment;
      if (!to.ready() || member.behind) continue;
      if (&to != controller_ && !to.fits(channel, frame.len)) {
        ++counters_.dropped_frames;
        if (!droppable) fall_behind(to);
        continue;
      }
      deliver(frame, to, number());
    }
  }
  if (seq == 0) {
    ++out.dropped;  // nobody looks, and that is no error
    return RAP_OK;
  }
  ++out.accepted;
  ++frames_accepted_;
  return RAP_OK;
}

void Hub::deliver(const rap_frame& frame, Attachment& to, std::uint64_t seq) {
  frames::FrameHeader header;
  header.length = static_cast<std::uint32_t>(frame.len);
  header.channel = static_cast<frames::Channel>(frame.channel);
  header.flags = frame.flags & (RAP_FRAME_DROPPABLE | RAP_FRAME_KEY | RAP_FRAME_END);
  header.seq = seq;
  header.time_us = frame.time_us != 0 ? frame.time_us : monotonic_us();
  header.encoding = frame.encoding;
  header.arg0 = frame.arg[0];
  header.arg1 = frame.arg[1];
  to.send_data(header, payload_of(frame));
}

// Control frames of an adapter are for the hub; clients get the hub's own words.
void Hub::on_adapter_message(const rap_frame& frame) {
  JsonLimits limits{.bytes_max = frames::kControlBytesMax, .depth_max = 4};
  auto value = parse_json(as_text(payload_of(frame)), limits);
  if (!value || !value->is_object()) {
    log::warn("control frame of the plugin is not understood");
    return;
  }
  const auto& object = value->as_object();
  if (json_string_or_none(object, "type").value_or("") != "exit") return;
  exit_status_ = json_int_or_none(object, "exit_status");
}

rap_result Hub::stage(const rap_frame* frames, std::uint32_t count, rap_emit& out) {
  const std::lock_guard lock(staged_mutex_);
  const bool first = staged_.empty();
  rap_result result = RAP_OK;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (staged_bytes_ > 0 && staged_bytes_ + frames[i].len > kStagedBytesMax) {
      if ((frames[i].flags & RAP_FRAME_DROPPABLE) != 0) {
        ++out.dropped;
        continue;
      }
      staged_blocked_ = true;
      result = RAP_E_BUSY;
      break;
    }
    const ByteView payload = payload_of(frames[i]);
    staged_.push_back({frames[i], Bytes(payload.begin(), payload.end())});
    staged_bytes_ += payload.size();
    ++out.accepted;
  }
  if (first && !staged_.empty()) {
    loop_.post([self = self_] {
      if (*self != nullptr) (*self)->drain_staged();
    });
  }
  return result;
}

void Hub::drain_staged() {
  std::vector<StagedFrame> staged;
  {
    const std::lock_guard lock(staged_mutex_);
    if (staged_.empty()) return;
    staged.swap(staged_);
    staged_bytes_ = 0;
  }
  std::size_t done = 0;
  rap_emit ignored{};
  while (done < staged.size()) {
    staged[done].frame.data = staged[done].payload.data();
    if (emit_one(staged[done].frame, ignored) == RAP_E_BUSY) break;
    ++done;
  }
  const std::lock_guard lock(staged_mutex_);
  if (done < staged.size()) {
    // The controller is behind: the rest waits in front of what came meanwhile.
    for (std::size_t i = done; i < staged.size(); ++i) staged_bytes_ += staged[i].payload.size();
    staged_.insert(staged_.begin(), std::make_move_iterator(staged.begin() + done),
                   std::make_move_iterator(staged.end()));
    return;
  }
  if (std::exchange(staged_blocked_, false)) plugin_blocked_ = true;
  if (plugin_blocked_) unblock();
}

// The controller has room, or there is none: the plugin may go on. Posted, because a host function
// never calls back before it returns (T2).
void Hub::unblock() {
  loop_.post([self = self_] {
    if (*self == nullptr) return;
    Hub& hub = **self;
    hub.drain_staged();
    if (!hub.plugin_blocked_ || hub.over()) return;
    const Attachment* controller = hub.controller_;
    if (controller != nullptr && controller->queued() > kQueueBytesLow) return;
    hub.plugin_blocked_ = false;
    hub.remote_.writable();
  });
}

}  // namespace rap::worker
