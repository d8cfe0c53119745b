// One client on its stream: reads its frames, keeps its handshake and its queue. What the frames
// mean is the hub's business.
#pragma once

#include <optional>
#include <string>

#include "contracts/frames/control.hpp"
#include "contracts/frames/reader.hpp"
#include "host/worker/hub/input_budget.hpp"
#include "host/worker/hub/out_queue.hpp"
#include "host/worker/loop.hpp"

namespace rap::worker {

enum class AttachMode { control, view };
inline std::string_view name(AttachMode mode) {
  return mode == AttachMode::control ? "control" : "view";
}

struct AttachRequest {
  std::string attach_id;
  AttachMode mode = AttachMode::view;
  std::string user_id;
  std::string user_name;
  std::string from;  // address, for people; may be empty
  Fd stream;
};

class Attachment;

// All calls come from the loop, none from inside a call into the attachment.
class AttachmentOwner {
 public:
  virtual ~AttachmentOwner() = default;
  virtual void on_hello(Attachment& from, const frames::Hello& hello) = 0;
  virtual void on_message(Attachment& from, const frames::ClientMessage& message) = 0;
  // False: not now; the same frame is offered again, and nothing is read meanwhile.
  virtual bool on_data(Attachment& from, const frames::FrameView& frame) = 0;
  // It sent more than it may; nothing is read from it for a while.
  virtual void on_throttled(Attachment& from) = 0;
  // The queue fell below the low mark, or ran empty.
  virtual void on_room(Attachment& from) = 0;
  // The stream ended, or the client broke the protocol (then `why` is set). Once, unless finish()
  // was called before.
  virtual void on_gone(Attachment& from, const std::string& why) = 0;
  // Its stream is closed and nothing follows. Destroy it later, not inside.
  virtual void on_ended(Attachment& from) = 0;
};

class Attachment {
 public:
  enum class Phase {
    greeting,  // hello has not come
    waiting,   // greeted; the remote session is not there yet
    ready,
    ending,  // the last message is on its way
    gone,
  };

  // `owner` outlives it.
  Attachment(Loop& loop, AttachmentOwner& owner, AttachRequest request, std::uint64_t number);
  ~Attachment();
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  // Begins reading; hello must come within 5 s.
  Status start();

  std::uint64_t number() const { return number_; }
  // A new number for a new attach of the adapter, after the picture had to be requested again.
  void renumber(std::uint64_t number) { number_ = number; }
  const AttachRequest& request() const { return request_; }
  const std::string& since() const { return since_; }
  Phase phase() const { return phase_; }
  void set_phase(Phase phase) { phase_ = phase; }
  const frames::Hello& hello() const { return hello_; }
  bool ready() const { return phase_ == Phase::ready; }

  void send(const frames::HubMessage& message);
  bool fits(frames::Channel channel, std::size_t payload) const {
    return queue_.fits(channel, payload);
  }
  void send_data(const frames::FrameHeader& header, ByteView payload);
  void clear_data() { queue_.clear_data(); }
  std::size_t queued() const { return queue_.bytes(); }

  // Says one last thing after everything that waits, then closes; at once when nothing moves for
  // 2 s. Nothing is read any more.
  void finish(std::optional<frames::HubMessage> last);

 private:
  void on_ready(std::uint32_t events);
  void read_frames();
  void process_frames();
  bool process(const frames::FrameView& frame);
  void retry_held();
  // Its control messages wait for a client that reads nothing: nothing is read from it either.
  bool answers_unread() const;
  void process_control(const frames::FrameView& frame);
  void flush();
  void after_write(OutQueue::Io result);
  void continue_ending();
  void kick(Loop::Task task);
  void throttle(std::chrono::milliseconds wait);
  void rewatch();
  void protocol_error(const std::string& why);
  void end(const std::string& why);

  Loop& loop_;
  AttachmentOwner& owner_;
  AttachRequest request_;
  std::uint64_t number_;
  std::string since_;
  Phase phase_ = Phase::greeting;
  frames::Hello hello_;
  frames::FrameReader reader_{frames::Direction::to_hub};
  std::optional<frames::FrameView> held_;  // into reader_; offered again by a timer
  InputBudget budget_{Loop::Clock::now()};
  std::optional<Loop::Clock::time_point> hung_up_at_;  // while input of it is held
  OutQueue queue_;
  std::optional<frames::HubMessage> last_;
  std::uint64_t control_seq_ = 0;
  std::uint64_t hello_timer_ = 0;
  std::uint64_t retry_timer_ = 0;
  std::uint64_t throttle_timer_ = 0;  // set: nothing is read
  std::uint64_t finish_timer_ = 0;
  std::uint64_t kick_timer_ = 0;  // something to do, but not from inside a call
  std::size_t finish_left_ = 0;   // queued when the finish timer looked last
  std::uint32_t watched_ = 0;
  bool told_room_ = true;
};

}  // namespace rap::worker
