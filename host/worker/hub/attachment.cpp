#include "host/worker/hub/attachment.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/clock.hpp"

namespace rap::worker {
namespace {

using namespace std::chrono_literals;

// The first frame; a person's client sends it at once (docs/contracts/frames.md).
constexpr auto kHelloLimit = 5s;
// How soon input that the adapter would not take is offered again: below what a person notices.
constexpr auto kInputRetry = 10ms;
// A client that takes nothing for this long is not waiting for the end.
constexpr auto kFinishLimit = 2s;
// Answers that a client leaves unread: over this nothing is read from it either, or its pings would
// fill the session's memory. Some thousand answers; an honest client has one or two.
constexpr std::size_t kUnreadAnswersMax = std::size_t{64} << 10;
// Input typed before the client hung up is still offered for so long; then it is gone as others
// are.
constexpr auto kHungUpLimit = 2s;
// Reads of one readiness, so that one client's paste does not hold up the others.
constexpr int kReadsMax = 4;

}  // namespace

Attachment::Attachment(Loop& loop, AttachmentOwner& owner, AttachRequest request,
                       std::uint64_t number)
    : loop_(loop),
      owner_(owner),
      request_(std::move(request)),
      number_(number),
      since_(to_rfc3339(RealClock().now())),
      queue_(request_.stream.get()) {}

Attachment::~Attachment() {
  for (std::uint64_t id :
       {hello_timer_, retry_timer_, throttle_timer_, finish_timer_, kick_timer_}) {
    if (id != 0) loop_.cancel(id);
  }
  if (request_.stream) loop_.unwatch(request_.stream.get());
}

Status Attachment::start() {
  const int fd = request_.stream.get();
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
    return fail(Errc::invalid, "the stream is not a stream socket");
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  hello_timer_ = loop_.timer(kHelloLimit, 0ms, [this] {
    hello_timer_ = 0;
    protocol_error("no hello within 5 s");
  });
  watched_ = kRead;
  return loop_.watch(fd, watched_, [this](std::uint32_t events) { on_ready(events); });
}

void Attachment::on_ready(std::uint32_t events) {
  if ((events & kWrite) != 0) flush();
  if (phase_ != Phase::gone && (events & (kRead | kError)) != 0) read_frames();
}

void Attachment::read_frames() {
  for (int i = 0; i < kReadsMax; ++i) {
    if (phase_ == Phase::gone || held_ || throttle_timer_ != 0 || answers_unread()) return;
    if (phase_ == Phase::ending) {
      // Only to notice that the client is gone.
      std::uint8_t ignored[4096];
      const ssize_t n = recv(request_.stream.get(), ignored, sizeof ignored, MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return end("");
      if (n < 0) return;
      continue;
    }
    const auto room = reader_.prepare();
    const ssize_t n = recv(request_.stream.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return end("");
    reader_.commit(static_cast<std::size_t>(n));
    process_frames();
    if (static_cast<std::size_t>(n) < room.size()) return;
  }
}

void Attachment::process_frames() {
  while (phase_ != Phase::gone && phase_ != Phase::ending && !held_ && throttle_timer_ == 0 &&
         !answers_unread()) {
    auto frame = reader_.next();
    if (!frame) return protocol_error(frame.error().detail);
    if (!*frame) return;
    const auto wait = budget_.spend((*frame)->payload.size(), Loop::Clock::now());
    if (wait.count() > 0) throttle(wait);
    if (process(**frame)) continue;
    held_ = **frame;
    rewatch();
    retry_timer_ = loop_.timer(kInputRetry, kInputRetry, [this] { retry_held(); });
  }
}

void Attachment::retry_held() {
  if (!owner_.on_data(*this, *held_)) {
    // The stream is not watched now, so nothing else would notice.
    pollfd stream{request_.stream.get(), POLLRDHUP, 0};
    const bool hung_up = poll(&stream, 1, 0) > 0;
    if (!hung_up) return;
    const auto now = Loop::Clock::now();
    if (!hung_up_at_) hung_up_at_ = now;
    if (now - *hung_up_at_ >= kHungUpLimit) end("");
    return;
  }
  loop_.cancel(retry_timer_);
  retry_timer_ = 0;
  held_.reset();
  process_frames();
  rewatch();
}

bool Attachment::answers_unread() const {
  return phase_ != Phase::ending && queue_.bytes(frames::Channel::control) > kUnreadAnswersMax;
}

// Whoever floods waits: the stream's own flow control carries it to the client.
void Attachment::throttle(std::chrono::milliseconds wait) {
  owner_.on_throttled(*this);
  throttle_timer_ = loop_.timer(wait, 0ms, [this] {
    throttle_timer_ = 0;
    process_frames();
    rewatch();
  });
  rewatch();
}

bool Attachment::process(const frames::FrameView& frame) {
  if (frame.header.channel == frames::Channel::control) {
    process_control(frame);
    return true;
  }
  if (phase_ == Phase::greeting) {
    protocol_error("data before hello");
    return true;
  }
  return owner_.on_data(*this, frame);
}

void Attachment::process_control(const frames::FrameView& frame) {
  if (frame.header.encoding != frames::kEncodingJson) {
    return protocol_error("control frame that is not JSON");
  }
  auto message = frames::parse_client_message(as_text(frame.payload));
  if (!message) return protocol_error(message.error().detail);
  const auto* hello = std::get_if<frames::Hello>(&*message);
  if ((hello != nullptr) != (phase_ == Phase::greeting)) {
    return protocol_error(hello != nullptr ? "a second hello" : "hello comes first");
  }
  if (hello == nullptr) return owner_.on_message(*this, *message);
  loop_.cancel(std::exchange(hello_timer_, 0));
  hello_ = *hello;
  owner_.on_hello(*this, hello_);
}

void Attachment::send(const frames::HubMessage& message) {
  if (phase_ == Phase::gone) return;
  const std::string json = frames::to_json(message);
  frames::FrameHeader header;
  header.length = static_cast<std::uint32_t>(json.size());
  header.seq = ++control_seq_;
  header.encoding = frames::kEncodingJson;
  after_write(queue_.push(header, as_bytes(json)));
}

void Attachment::send_data(const frames::FrameHeader& header, ByteView payload) {
  if (phase_ == Phase::gone) return;
  after_write(queue_.push(header, payload));
}

void Attachment::flush() {
  const bool was_full = answers_unread();
  after_write(queue_.flush());
  if (phase_ == Phase::gone) return;
  if (phase_ == Phase::ending) return continue_ending();
  if (queue_.bytes() <= kQueueBytesLow && (!told_room_ || queue_.empty())) {
    told_room_ = true;
    owner_.on_room(*this);
  }
  if (!was_full || answers_unread()) return;
  process_frames();
  rewatch();
}

void Attachment::after_write(OutQueue::Io result) {
  if (result == OutQueue::Io::broken) {
    // Not from inside: whoever sends may be in the middle of a loop over attachments.
    queue_.clear_data();
    kick([this] { end(""); });
    return;
  }
  if (queue_.bytes() > kQueueBytesLow) told_room_ = false;
  rewatch();
}

void Attachment::continue_ending() {
  if (!queue_.empty()) return;
  if (last_) {
    const auto last = std::move(*last_);
    last_.reset();
    send(last);
    if (!queue_.empty()) return;
  }
  end("");
}

void Attachment::kick(Loop::Task task) {
  if (kick_timer_ != 0) loop_.cancel(kick_timer_);
  kick_timer_ = loop_.timer(0ms, 0ms, [this, task = std::move(task)] {
    kick_timer_ = 0;
    task();
  });
}

void Attachment::rewatch() {
  if (phase_ == Phase::gone) return;
  const std::uint32_t wanted = (held_ || throttle_timer_ != 0 || answers_unread() ? 0 : kRead) |
                               (queue_.empty() ? 0 : kWrite);
  if (wanted == watched_) return;
  watched_ = wanted;
  if (wanted == 0) {
    // Not watched for nothing: a stream that hung up would be reported without end.
    loop_.unwatch(request_.stream.get());
    return;
  }
  (void)loop_
      .watch(request_.stream.get(), wanted, [this](std::uint32_t events) { on_ready(events); })
      .has_value();
}

void Attachment::protocol_error(const std::string& why) {
  queue_.clear_data();
  owner_.on_gone(*this, why);
  finish(frames::ErrorMessage{"protocol", why});
}

void Attachment::finish(std::optional<frames::HubMessage> last) {
  if (phase_ == Phase::gone || phase_ == Phase::ending) return;
  phase_ = Phase::ending;
  last_ = std::move(last);
  held_.reset();
  if (retry_timer_ != 0) loop_.cancel(std::exchange(retry_timer_, 0));
  if (throttle_timer_ != 0) loop_.cancel(std::exchange(throttle_timer_, 0));
  if (hello_timer_ != 0) loop_.cancel(std::exchange(hello_timer_, 0));
  if (finish_timer_ != 0) loop_.cancel(finish_timer_);
  finish_left_ = queue_.bytes();
  finish_timer_ = loop_.timer(kFinishLimit, kFinishLimit, [this] {
    if (queue_.bytes() < finish_left_) {
      finish_left_ = queue_.bytes();
      return;
    }
    end("");
  });
  kick([this] { continue_ending(); });
}

void Attachment::end(const std::string& why) {
  if (phase_ == Phase::gone) return;
  const bool told = phase_ == Phase::ending;
  phase_ = Phase::gone;
  for (std::uint64_t* id :
       {&hello_timer_, &retry_timer_, &throttle_timer_, &finish_timer_, &kick_timer_}) {
    if (*id != 0) loop_.cancel(std::exchange(*id, 0));
  }
  held_.reset();
  loop_.unwatch(request_.stream.get());
  request_.stream.reset();
  if (!told) owner_.on_gone(*this, why);
  owner_.on_ended(*this);
}

}  // namespace rap::worker
