// Who comes, who goes, who controls.
#include "base/clock.hpp"
#include "base/log.hpp"
#include "host/worker/hub/hub.hpp"

namespace rap::worker {
namespace {

using namespace std::chrono_literals;

// A viewer that could not take anything for this long is not watching.
constexpr auto kBehindLimit = 30s;
// A picture costs the plugin more than the question costs its asker; who drew over the screen asks
// once for each pause of its stream.
constexpr auto kRepaintPause = 1s;

std::string now_text() {
  return to_rfc3339(RealClock().now());
}

rap_attach attach_of(const Attachment& who) {
  static constexpr std::uint32_t kNoEncodings[] = {0};
  rap_attach out{};
  out.size = sizeof out;
  out.mode = who.request().mode == AttachMode::control ? RAP_ATTACH_CONTROL : RAP_ATTACH_VIEW;
  out.attach_id = who.number();
  out.width = who.hello().cols;
  out.height = who.hello().rows;
  out.encodings = kNoEncodings;
  return out;
}

std::string error_name(rap_result result) {
  return result == RAP_E_BUSY || result == RAP_E_RESOURCE ? "exhausted" : "unavailable";
}

}  // namespace

void Hub::welcome(Attachment& fresh) {
  frames::Welcome message;
  message.session_id = session_id_;
  message.attach_id = fresh.request().attach_id;
  message.mode = name(fresh.request().mode);
  message.state = name(state_);
  if (controller_ != nullptr) message.controller = controller_->request().user_name;
  message.cols = cols_;
  message.rows = rows_;
  message.repaints = true;
  fresh.send(message);
}

void Hub::admit(Attachment& fresh) {
  if (fresh.request().mode == AttachMode::control) return admit_controller(fresh);
  admit_viewer(fresh);
}

void Hub::admit_viewer(Attachment& fresh) {
  welcome(fresh);
  if (const rap_result shown = show(fresh, nullptr); shown < 0) return refuse(fresh, shown);
  tell_person("view_joined", fresh);
}

void Hub::admit_controller(Attachment& fresh) {
  Attachment* old = controller_;
  // The picture is painted once, in the size it will have.
  set_size(fresh.hello().cols, fresh.hello().rows);
  controller_ = &fresh;  // what welcome says
  welcome(fresh);
  if (const rap_result shown = show(fresh, old); shown < 0) {
    controller_ = old;
    return refuse(fresh, shown);
  }
  const std::string at = now_text();
  if (old != nullptr) {
    member_of(*old)->shown = false;
    old->clear_data();
    old->finish(frames::TakenOver{fresh.request().user_name, at, fresh.request().from});
  }
  tell_all(frames::ControllerChanged{fresh.request().user_name, at}, &fresh);
  // First that the session is active: nobody is in it before it is open.
  set_state(SessionState::active, "");
  tell_person(old != nullptr ? "taken_over" : "attached", fresh, old);
  unblock();  // the one who did not read may be the one who left
}

// Makes the adapter paint for `fresh`, which becomes ready. What it emits meanwhile is for `fresh`.
rap_result Hub::show(Attachment& fresh, Attachment* instead_of) {
  drain_staged();  // older than the picture
  rap_attach who = attach_of(fresh);
  if (&fresh == controller_) {  // whose terminal may have grown since its hello
    who.width = cols_;
    who.height = rows_;
  }
  fresh.set_phase(Attachment::Phase::ready);
  capture_ = &fresh;
  captured_bytes_ = 0;
  const rap_result result =
      instead_of != nullptr ? remote_.takeover(instead_of->number(), who) : remote_.attach(who);
  capture_ = nullptr;
  Member* member = member_of(fresh);
  if (member != nullptr) member->shown = result >= 0;
  return result;
}

void Hub::refuse(Attachment& fresh, rap_result why) {
  fresh.finish(frames::ErrorMessage{error_name(why), "the adapter did not take the attachment"});
}

// `who` is no longer part of the session; its stream may still say goodbye.
void Hub::leave(Attachment& who, bool tell) {
  Member* member = member_of(who);
  if (member == nullptr) return;
  const bool shown = std::exchange(member->shown, false);
  const bool controlled = controller_ == &who;
  if (controlled) controller_ = nullptr;
  if (!shown || over()) return;
  (void)remote_.detach(who.number());
  if (tell) left(who, controlled);
}

void Hub::left(Attachment& who, bool controlled) {
  tell_person(controlled ? "detached" : "view_left", who);
  if (!controlled) return;
  tell_all(frames::ControllerChanged{std::nullopt, now_text()}, &who);
  set_state(SessionState::detached, "");
  unblock();
}

std::size_t Hub::drop_person(const std::string& user_id, const std::string& detail) {
  std::size_t dropped = 0;
  for (Member& member : members_) {
    Attachment& who = *member.attachment;
    const auto phase = who.phase();
    const bool going = phase == Attachment::Phase::ending || phase == Attachment::Phase::gone;
    if (going || who.request().user_id != user_id) continue;
    ++dropped;
    who.clear_data();
    leave(who, true);
    who.finish(frames::ErrorMessage{"forbidden", detail});
  }
  return dropped;
}

void Hub::set_size(std::uint32_t cols, std::uint32_t rows) {
  if (cols == cols_ && rows == rows_) return;
  cols_ = cols;
  rows_ = rows;
  (void)remote_.resize(cols, rows);
}

void Hub::tell_all(const frames::HubMessage& message, const Attachment* except) {
  for (Member& member : members_) {
    const auto phase = member.attachment->phase();
    const bool there = phase == Attachment::Phase::ready || phase == Attachment::Phase::waiting;
    if (there && member.attachment.get() != except) member.attachment->send(message);
  }
}

void Hub::tell_person(const char* kind, const Attachment& who, const Attachment* previous) {
  PersonEvent event;
  event.kind = kind;
  event.attach_id = who.request().attach_id;
  if (previous != nullptr) event.previous_attach_id = previous->request().attach_id;
  listener_.on_person(event);
}

void Hub::on_room(Attachment& from) {
  if (&from == controller_) return unblock();
  Member* member = member_of(from);
  if (member == nullptr || !member->behind || from.queued() > 0) return;
  // Not from inside the write that made the room.
  loop_.post([self = self_, number = from.number()] {
    if (*self == nullptr) return;
    for (Member& known : (*self)->members_) {
      if (known.attachment->number() == number && known.behind) {
        return (*self)->resync(*known.attachment);
      }
    }
  });
}

void Hub::fall_behind(Attachment& viewer) {
  Member& member = *member_of(viewer);
  member.behind = true;
  ++counters_.resyncs;
  viewer.clear_data();
  member.behind_timer = loop_.timer(kBehindLimit, 0ms, [this, &member] {
    member.behind_timer = 0;
    log::warn("viewer did not keep up", {{"attach_id", member.attachment->request().attach_id}});
    leave(*member.attachment, true);
    member.attachment->finish(frames::ErrorMessage{"timeout", "the stream was too slow to watch"});
  });
}

// The viewer has caught up: the picture it missed is painted anew, for it alone.
void Hub::resync(Attachment& viewer) {
  Member& member = *member_of(viewer);
  member.behind = false;
  if (member.behind_timer != 0) loop_.cancel(std::exchange(member.behind_timer, 0));
  if (!viewer.ready() || !member.shown) return;
  (void)remote_.detach(viewer.number());
  viewer.renumber(next_number_++);
  if (const rap_result shown = show(viewer, nullptr); shown < 0) refuse(viewer, shown);
}

// As resync(), for anybody who asked: their stream, and who controls, stay as they are.
void Hub::repaint(Attachment& who) {
  Member& member = *member_of(who);
  const auto now = Loop::Clock::now();
  const bool soon = member.repainted && now - *member.repainted < kRepaintPause;
  // Who is behind gets its picture when it has caught up.
  if (soon || member.behind || !member.shown || !who.ready() || over()) return;
  member.repainted = now;
  (void)remote_.detach(who.number());
  who.renumber(next_number_++);
  const rap_result shown = show(who, nullptr);
  if (shown >= 0) return;
  const bool controlled = controller_ == &who;
  if (controlled) controller_ = nullptr;
  left(who, controlled);
  refuse(who, shown);
}

}  // namespace rap::worker
