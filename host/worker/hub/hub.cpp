#include "host/worker/hub/hub.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace rap::worker {
namespace {

// The `reason` of the closed message, by how the remote end said goodbye.
const char* reason_of(rap_result result) {
  if (result == RAP_OK) return "exit";
  return result == RAP_E_CANCELED ? "terminated" : "remote_lost";
}

}  // namespace

std::string_view name(SessionState state) {
  constexpr std::string_view names[] = {"opening", "active", "detached",
                                        "closing", "closed", "failed"};
  return names[static_cast<std::size_t>(state)];
}

Hub::Hub(Loop& loop, RemoteSession& remote, HubListener& listener, std::string session_id,
         std::uint32_t cols, std::uint32_t rows)
    : loop_(loop),
      remote_(remote),
      listener_(listener),
      session_id_(std::move(session_id)),
      cols_(cols),
      rows_(rows),
      self_(std::make_shared<Hub*>(this)) {}

Hub::~Hub() {
  *self_ = nullptr;
  for (Member& member : members_) {
    if (member.behind_timer != 0) loop_.cancel(member.behind_timer);
  }
}

Status Hub::add(AttachRequest request) {
  if (over() || state_ == SessionState::closing) {
    // A session that could not even be opened is over before its person comes: here they learn why.
    return fail(Errc::conflict, "the session has ended" + (detail_.empty() ? "" : ": " + detail_));
  }
  if (members_.size() >= kAttachmentsMax) {
    return fail(Errc::exhausted, "16 attachments are the most");
  }
  AttachmentOwner& owner = *this;
  auto fresh = std::make_unique<Attachment>(loop_, owner, std::move(request), next_number_++);
  if (auto started = fresh->start(); !started) return started;
  members_.emplace_back(std::move(fresh));
  return {};
}

Hub::Member* Hub::member_of(const Attachment& attachment) {
  for (Member& member : members_) {
    if (member.attachment.get() == &attachment) return &member;
  }
  return nullptr;
}

std::vector<const Attachment*> Hub::attachments() const {
  std::vector<const Attachment*> out;
  for (const Member& member : members_) {
    const auto phase = member.attachment->phase();
    if (phase == Attachment::Phase::waiting || phase == Attachment::Phase::ready) {
      out.push_back(member.attachment.get());
    }
  }
  return out;
}

void Hub::on_hello(Attachment& from, const frames::Hello&) {
  from.set_phase(Attachment::Phase::waiting);
  if (state_ == SessionState::opening) {
    welcome(from);  // the person sees that it takes a while
    return;
  }
  admit(from);
}

void Hub::on_message(Attachment& from, const frames::ClientMessage& message) {
  if (const auto* ping = std::get_if<frames::Ping>(&message)) {
    return from.send(frames::Pong{ping->id});
  }
  if (std::holds_alternative<frames::Detach>(message)) {
    leave(from, true);
    return from.finish(std::nullopt);
  }
  if (std::holds_alternative<frames::Repaint>(message)) return repaint(from);
  const auto* resize = std::get_if<frames::Resize>(&message);
  if (resize == nullptr || &from != controller_) return;
  set_size(resize->cols, resize->rows);
}

bool Hub::on_data(Attachment& from, const frames::FrameView& frame) {
  // What is typed ahead waits until there is somebody to take it.
  const bool early = from.phase() == Attachment::Phase::waiting;
  if (early && from.request().mode == AttachMode::control) return false;
  // S4: refused here, so that the adapter never sees input of somebody who lost control.
  if (&from != controller_ || !from.ready()) {
    ++counters_.refused_input;
    return true;
  }
  rap_frame out{};
  out.channel = static_cast<std::uint16_t>(frame.header.channel);
  out.flags = frame.header.flags;
  out.encoding = frame.header.encoding;
  out.time_us = frame.header.time_us;
  out.data = frame.payload.data();
  out.len = frame.payload.size();
  out.arg[0] = frame.header.arg0;
  out.arg[1] = frame.header.arg1;
  return remote_.input(from.number(), &out, 1) != RAP_E_BUSY;
}

void Hub::on_gone(Attachment& from, const std::string& why) {
  if (!why.empty()) {
    ++counters_.protocol_errors;
    log::warn("attachment ended by the protocol",
              {{"attach_id", from.request().attach_id}, {"detail", why}});
  }
  leave(from, true);
}

void Hub::on_ended(Attachment&) {
  sweep_soon();
}

void Hub::sweep_soon() {
  if (sweeping_) return;
  sweeping_ = true;
  loop_.post([self = self_] {
    if (*self != nullptr) (*self)->sweep();
  });
}

void Hub::sweep() {
  sweeping_ = false;
  for (auto at = members_.begin(); at != members_.end();) {
    const bool gone = at->attachment->phase() == Attachment::Phase::gone;
    if (gone && at->behind_timer != 0) loop_.cancel(at->behind_timer);
    at = gone ? members_.erase(at) : std::next(at);
  }
  if (over() && members_.empty() && !std::exchange(drained_told_, true)) listener_.on_drained();
}

void Hub::opened(rap_result result, const std::string& detail) {
  if (state_ != SessionState::opening) return;
  if (result != RAP_OK) return end_session(SessionState::failed, "failed", detail);
  set_state(SessionState::detached, "");
  for (Member& member : members_) {
    Attachment& waiting = *member.attachment;
    if (waiting.phase() == Attachment::Phase::waiting) admit(waiting);
  }
}

void Hub::remote_closed(rap_result result, const std::string& detail) {
  if (over()) return;
  const bool ended = result == RAP_OK || result == RAP_E_CANCELED;
  end_session(ended ? SessionState::closed : SessionState::failed, reason_of(result), detail);
}

void Hub::close(const std::string& reason, const std::string& by) {
  if (over()) return;
  const std::string detail = by.empty() ? reason : reason + " by " + by;
  set_state(SessionState::closing, detail);
  end_session(SessionState::closed, "terminated", detail);
}

void Hub::end_session(SessionState state, const std::string& reason, const std::string& detail) {
  drain_staged();
  controller_ = nullptr;
  for (Member& member : members_) {
    member.shown = false;
    member.attachment->finish(frames::Closed{reason, exit_status_, detail});
  }
  state_ = state;
  detail_ = detail;
  listener_.on_state(state, detail, exit_status_);
  // With nobody there the end is now.
  if (members_.empty()) sweep_soon();
}

void Hub::set_state(SessionState state, const std::string& detail) {
  if (state_ == state) return;
  state_ = state;
  detail_ = detail;
  listener_.on_state(state, detail, exit_status_);
  tell_all(frames::StateChanged{std::string(name(state)), detail}, nullptr);
}

}  // namespace rap::worker
