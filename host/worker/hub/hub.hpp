// The session hub: who is attached, who controls, what each of them gets.
//
//   opening ──opened──► detached ◄──last controller leaves── active
//      │                    └────────controller attaches────────┘
//      └─────────── close / remote end / failure ───────────► closing ──► closed | failed
//
// Rules it keeps, whatever clients and plugin do:
//  - the remote session is made once and never again: detach and takeover are calls into it;
//  - one person controls; input of everybody else is dropped and counted;
//  - a slow controller stops the plugin (RAP_E_BUSY, then `writable`); a slow viewer never does:
//  its
//    queue is thrown away and it gets a fresh picture when it has caught up;
//  - what the plugin emits while it is told of an attachment goes to that attachment alone, so the
//    picture one person needs does not repaint the screens of the others;
//  - with nobody attached, output is swallowed.
#pragma once

#include <list>
#include <mutex>

#include "host/worker/hub/attachment.hpp"
#include "rap/ext/session.h"

namespace rap::worker {

enum class SessionState { opening, active, detached, closing, closed, failed };
std::string_view name(SessionState state);

// The plugin's session, as the hub calls it. All on the loop.
class RemoteSession {
 public:
  virtual ~RemoteSession() = default;
  virtual rap_result attach(const rap_attach& who) = 0;
  virtual rap_result detach(std::uint64_t number) = 0;
  virtual rap_result takeover(std::uint64_t old_number, const rap_attach& who) = 0;
  virtual rap_result resize(std::uint32_t cols, std::uint32_t rows) = 0;
  virtual rap_result input(std::uint64_t number, const rap_frame* frames, std::uint32_t count) = 0;
  virtual void writable() = 0;
};

// What the agent is told of; who that is it knows itself.
struct PersonEvent {
  std::string kind;  // attached, detached, taken_over, view_joined, view_left
  std::string attach_id;
  std::string previous_attach_id;  // of taken_over
};
class HubListener {
 public:
  virtual ~HubListener() = default;
  virtual void on_state(SessionState state, const std::string& detail,
                        std::optional<std::int64_t> exit_status) = 0;
  virtual void on_person(const PersonEvent& event) = 0;
  // Everybody has gone after the end of the session: the process may exit.
  virtual void on_drained() = 0;
};

// People who look at one session at the same time; more is a broadcast and wants another design.
inline constexpr std::size_t kAttachmentsMax = 16;

// A frame that a thread of the plugin emitted, on its way to the loop.
struct StagedFrame {
  rap_frame frame;  // `data` is set when it is delivered
  Bytes payload;
};

struct HubCounters {
  std::uint64_t refused_input = 0;  // of viewers and former controllers
  std::uint64_t dropped_frames = 0;
  std::uint64_t resyncs = 0;
  std::uint64_t protocol_errors = 0;
  std::uint64_t throttled = 0;  // times that a client which sent too much had to wait
};

class Hub final : private AttachmentOwner {
 public:
  // All outlive it. `remote` is called only between opened(RAP_OK) and the end of the session.
  Hub(Loop& loop, RemoteSession& remote, HubListener& listener, std::string session_id,
      std::uint32_t cols, std::uint32_t rows);
  ~Hub() override;

  // Takes the stream. `exhausted` over 16, `conflict` when the session has ended.
  Status add(AttachRequest request);

  // ---- for the plugin's calls (rap.host.session/1); any thread ----
  rap_result emit(const rap_frame* frames, std::uint32_t count, rap_emit* out);

  // ---- loop only ----
  // This person may not be here any more: their attachments are told `detail` and end; the session
  // goes on. Returns how many there were.
  std::size_t drop_person(const std::string& user_id, const std::string& detail);
  // The remote session is there, or will never be.
  void opened(rap_result result, const std::string& detail);
  // It is over, by itself. `exit_status` from the adapter's exit message, if it sent one.
  void remote_closed(rap_result result, const std::string& detail);
  // Somebody ended it. The caller closes the plugin's session afterwards.
  void close(const std::string& reason, const std::string& by);

  SessionState state() const { return state_; }
  const std::string& detail() const { return detail_; }
  bool over() const { return state_ == SessionState::closed || state_ == SessionState::failed; }
  std::optional<std::int64_t> exit_status() const { return exit_status_; }
  std::uint32_t cols() const { return cols_; }
  std::uint32_t rows() const { return rows_; }
  const HubCounters& counters() const { return counters_; }
  // Greeted attachments.
  std::vector<const Attachment*> attachments() const;

 private:
  void on_hello(Attachment& from, const frames::Hello& hello) override;
  void on_message(Attachment& from, const frames::ClientMessage& message) override;
  bool on_data(Attachment& from, const frames::FrameView& frame) override;
  void on_throttled(Attachment&) override { ++counters_.throttled; }
  void on_room(Attachment& from) override;
  void on_gone(Attachment& from, const std::string& why) override;
  void on_ended(Attachment& from) override;

  // hub_people.cpp
  void admit(Attachment& fresh);
  void admit_controller(Attachment& fresh);
  void admit_viewer(Attachment& fresh);
  rap_result show(Attachment& fresh, Attachment* instead_of);
  void leave(Attachment& who, bool tell);
  void welcome(Attachment& fresh);
  void refuse(Attachment& fresh, rap_result why);
  void left(Attachment& who, bool controlled);
  void resync(Attachment& viewer);
  void repaint(Attachment& who);
  void set_state(SessionState state, const std::string& detail);
  void end_session(SessionState state, const std::string& reason, const std::string& detail);
  void tell_all(const frames::HubMessage& message, const Attachment* except);
  void tell_person(const char* kind, const Attachment& who, const Attachment* previous = nullptr);
  void set_size(std::uint32_t cols, std::uint32_t rows);
  void sweep();
  void sweep_soon();

  // hub_emit.cpp
  rap_result emit_here(const rap_frame* frames, std::uint32_t count, rap_emit& out);
  rap_result emit_one(const rap_frame& frame, rap_emit& out);
  rap_result stage(const rap_frame* frames, std::uint32_t count, rap_emit& out);
  void drain_staged();
  void on_adapter_message(const rap_frame& frame);
  void deliver(const rap_frame& frame, Attachment& to, std::uint64_t seq);
  void fall_behind(Attachment& viewer);
  void unblock();

  struct Member {
    explicit Member(std::unique_ptr<Attachment> a) : attachment(std::move(a)) {}
    std::unique_ptr<Attachment> attachment;
    bool shown = false;   // the adapter knows it
    bool behind = false;  // a viewer whose queue was thrown away
    std::uint64_t behind_timer = 0;
    std::optional<Loop::Clock::time_point> repainted;  // because it asked
  };
  Member* member_of(const Attachment& attachment);

  Loop& loop_;
  RemoteSession& remote_;
  HubListener& listener_;
  std::string session_id_;
  std::uint32_t cols_, rows_;
  SessionState state_ = SessionState::opening;
  std::string detail_;
  std::optional<std::int64_t> exit_status_;
  std::list<Member> members_;
  Attachment* controller_ = nullptr;
  Attachment* capture_ = nullptr;  // all output goes there while it is shown to the adapter
  std::size_t captured_bytes_ = 0;
  bool sweeping_ = false;
  bool drained_told_ = false;
  std::uint64_t next_number_ = 1;
  std::array<std::uint64_t, frames::kChannelCount> seq_{};
  std::uint64_t frames_accepted_ = 0;
  bool plugin_blocked_ = false;
  HubCounters counters_;

  std::mutex staged_mutex_;
  std::vector<StagedFrame> staged_;  // guarded by staged_mutex_, also the next two
  std::size_t staged_bytes_ = 0;
  bool staged_blocked_ = false;
  std::shared_ptr<Hub*> self_;  // for posted tasks, which may run after the hub is gone
};

}  // namespace rap::worker
