#include "connection.hpp"

#include <libssh/server.h>  // ssh_send_keepalive
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace rap::ssh {
namespace {

// From the request for a stream to the shell: a slow login (PAM, directory) takes seconds.
constexpr std::uint64_t kOpenMs = 30'000;
// After the end of output the exit status comes at once, or never (a background process holds the
// terminal).
constexpr std::uint64_t kExitStatusMs = 2'000;
// Unanswered signs of life in a row before the connection counts as lost.
constexpr int kSilentKeepalivesMax = 3;
// What people type while the target is busy; a large paste fits. One frame may be larger and is
// taken when nothing else waits: refused it would come again for ever.
constexpr std::size_t kInputMax = 256 * 1024;
// What was sent is forgotten in pieces of this size: each costs a copy of the rest.
constexpr std::size_t kInputSentMax = 64 * 1024;
constexpr std::size_t kReadBytes = 64 * 1024;
// Handled in one go; then others on the loop get their turn (about 10 ms).
constexpr std::size_t kPumpBytesMax = 512 * 1024;
constexpr const char* kTerminal = "xterm-256color";
// AES-GCM first: with AES instructions it costs half of what ChaCha20 does.
constexpr const char* kCiphers =
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,"
    "aes192-ctr,aes128-ctr";

}  // namespace

Connection::Connection(Host host, ConnectionUser& user, ConnectionWant want)
    : host_(host),
      loop_(host.need<rap_host_loop_1>()),
      user_(user),
      want_(std::move(want)),
      host_keys_(want_.options.known_hosts),
      buffer_(std::make_unique<char[]>(kReadBytes)) {}

Connection::~Connection() {
  release();
  if (stream_call_) {
    stream_call_->owner = nullptr;
    host_.need<rap_host_stream_1>().cancel(host_.raw, ticket_);
  }
  if (secret_call_) secret_call_->owner = nullptr;
  auth_.reset();
  if (session_) {
    if (fd_taken_ && ssh_is_connected(session_)) ssh_disconnect(session_);
    ssh_free(session_);
  }
  if (fd_ >= 0 && !fd_taken_) ::close(fd_);
}

void Connection::start() {
  const auto& streams = host_.need<rap_host_stream_1>();
  host_.need<rap_host_secret_1>();
  auto call = std::make_unique<Call>(Call{this});
  rap_stream_want want{};
  want.size = sizeof want;
  want.kind = RAP_STREAM_BYTES;
  want.target = borrow(want_.target);
  want.timeout_ms = kOpenMs;
  check(streams.open(host_.raw, &want, stream_came, call.get(), &ticket_),
        "the host did not take the request for a stream");
  stream_call_ = call.release();
  set(deadline_timer_, kOpenMs, 0, rap::task<Connection, &Connection::on_deadline>);
}

void Connection::stream_came(void* user, rap_result result, int fd) {
  const std::unique_ptr<Call> call(static_cast<Call*>(user));
  if (!call->owner) {
    if (result == RAP_OK) ::close(fd);
    return;
  }
  call->owner->stream_call_ = nullptr;
  rap::in_callback<Connection>(call->owner, [&](Connection& self) { self.on_stream(result, fd); });
}

void Connection::secret_came(void* user, rap_result result, rap_bytes value) {
  const std::unique_ptr<Call> call(static_cast<Call*>(user));
  if (!call->owner) return;
  call->owner->secret_call_ = nullptr;
  rap::in_callback<Connection>(call->owner,
                               [&](Connection& self) { self.on_secret(result, value); });
}

template <typename Body>
void Connection::guarded(Body&& body) {
  try {
    body();
  } catch (const Failure& failure) {
    end(failure.code, failure.what());
  }
}

void Connection::on_stream(rap_result result, int fd) {
  if (result == RAP_OK && phase_ == Phase::ended) {  // the deadline was first
    ::close(fd);
    return;
  }
  if (phase_ == Phase::ended) return;
  if (result != RAP_OK) {
    end(result, result == RAP_E_TIMEOUT  ? "the target did not answer in time"
                : result == RAP_E_DENIED ? "this worker may not reach the target"
                                         : "the target cannot be reached");
    return;
  }
  guarded([&] { begin(fd); });
  if (phase_ != Phase::ended) advance();
}

void Connection::set_option(ssh_options_e option, const void* value) {
  if (ssh_options_set(session_, option, value) != SSH_OK) {
    throw Failure(RAP_E_INTERNAL, "ssh option " + std::to_string(option) + ": " + last_error());
  }
}

void Connection::begin(int fd) {
  fd_ = fd;
  const int on = 1;  // keystrokes leave at once; no effect where the stream is no TCP connection
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  session_ = ssh_new();
  if (!session_) throw std::bad_alloc();
  // Nothing is looked up: no configuration file, no home directory, no known_hosts file. Without a
  // host name libssh does not even try the last one.
  const bool no = false;
  set_option(SSH_OPTIONS_PROCESS_CONFIG, &no);
  set_option(SSH_OPTIONS_SSH_DIR, "/");
  set_option(SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
  set_option(SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
  set_option(SSH_OPTIONS_USER, want_.options.user.c_str());
  set_option(SSH_OPTIONS_HOSTKEYS, host_keys_.algorithms().c_str());
  set_option(SSH_OPTIONS_CIPHERS_C_S, kCiphers);
  set_option(SSH_OPTIONS_CIPHERS_S_C, kCiphers);
  set_option(SSH_OPTIONS_FD, &fd);
  ssh_set_blocking(session_, 0);
  ssh_set_counters(session_, &socket_bytes_, nullptr);
  phase_ = Phase::handshake;
}

void Connection::advance() {
  guarded([&] {
    while (step()) {
    }
    if (phase_ == Phase::running) pump();
  });
  update_watch();
}

// One step of the way to a shell; true when the next one can be tried at once.
bool Connection::step() {
  switch (phase_) {
    case Phase::handshake:
      fd_taken_ = true;
      if (!done(ssh_connect(session_), "no SSH connection")) return false;
      check_host_key();
      phase_ = Phase::secret;
      request_secret();
      return false;
    case Phase::login:
      if (!auth_->step()) return false;
      auth_.reset();
      channel_ = ssh_channel_new(session_);
      if (!channel_) throw std::bad_alloc();
      phase_ = Phase::channel;
      return true;
    case Phase::channel:
      if (!done(ssh_channel_open_session(channel_), "the target opens no session")) return false;
      sent_size_ = want_.size;
      phase_ = Phase::terminal;
      return true;
    case Phase::terminal: {
      const int result =
          ssh_channel_request_pty_size(channel_, kTerminal, sent_size_.cols, sent_size_.rows);
      if (!done(result, "the target gives no terminal")) return false;
      phase_ = Phase::locale;
      return true;
    }
    case Phase::locale:
      // So that programs there speak UTF-8; a target that does not accept it has its own locale.
      if (ssh_channel_request_env(channel_, "LANG", "C.UTF-8") == SSH_AGAIN) return false;
      phase_ = Phase::shell;
      return true;
    case Phase::shell:
      if (!done(ssh_channel_request_shell(channel_), "the target starts no shell")) return false;
      began_running();
      return false;
    case Phase::stream:
    case Phase::secret:
    case Phase::running:
    case Phase::ended:
      return false;
  }
  return false;
}

bool Connection::done(int result, const char* what) {
  if (result == SSH_AGAIN) return false;
  if (result == SSH_OK) return true;
  const bool lost = !ssh_is_connected(session_);
  const rap_result code = !lost                        ? RAP_E_DENIED
                          : phase_ == Phase::handshake ? RAP_E_PROTOCOL
                                                       : RAP_E_GONE;
  throw Failure(code, std::string(what) + ": " + last_error());
}

void Connection::check_host_key() {
  ssh_key presented = nullptr;
  if (ssh_get_server_publickey(session_, &presented) != SSH_OK) {
    throw Failure(RAP_E_PROTOCOL, "the target presented no host key");
  }
  const Key key(presented);
  host_keys_.check(presented);
}

void Connection::request_secret() {
  if (want_.secret_ref.empty()) {
    throw Failure(RAP_E_CONFIG,
                  "the resource has no secret to log in with; an admin of the organization gives "
                  "it one: rapctl resource update RESOURCE --secret NAME");
  }
  auto call = std::make_unique<Call>(Call{this});
  check(host_.need<rap_host_secret_1>().resolve(host_.raw, borrow(want_.secret_ref), secret_came,
                                                call.get()),
        "the host did not take the request for the secret");
  secret_call_ = call.release();
}

void Connection::on_secret(rap_result result, rap_bytes value) {
  if (phase_ != Phase::secret) return;
  if (result != RAP_OK) {
    end(result, "the secret of this resource cannot be had; is secret_ref set?");
    return;
  }
  guarded([&] {
    auth_ = std::make_unique<Auth>(session_, want_.options, value);
    phase_ = Phase::login;
  });
  if (phase_ != Phase::ended) advance();
}

void Connection::began_running() {
  phase_ = Phase::running;
  cancel(deadline_timer_);
  if (want_.options.keepalive_s > 0) {
    const std::uint64_t every_ms = std::uint64_t{want_.options.keepalive_s} * 1000;
    set(keepalive_timer_, every_ms, every_ms, rap::task<Connection, &Connection::on_keepalive>);
  }
  user_.on_open();
  resize(want_.size);  // may have changed on the way
}

bool Connection::write(std::string_view bytes) {
  if (phase_ == Phase::ended) return true;  // nobody is there to read it
  const std::size_t waiting = input_.size() - input_sent_;
  if (waiting > 0 && waiting + bytes.size() > kInputMax) return false;
  input_.append(bytes);
  if (phase_ == Phase::running) {
    guarded([&] { flush_input(); });
    update_watch();
  }
  return true;
}

void Connection::flush_input() {
  while (input_sent_ < input_.size()) {
    const auto left = static_cast<std::uint32_t>(input_.size() - input_sent_);
    const int sent = ssh_channel_write(channel_, input_.data() + input_sent_, left);
    if (sent == SSH_ERROR) {
      if (ssh_channel_is_eof(channel_) || ssh_channel_is_closed(channel_)) return;  // it just ended
      throw Failure(RAP_E_GONE, "the connection to the target is lost: " + last_error());
    }
    if (sent <= 0) return;
    input_sent_ += static_cast<std::size_t>(sent);
    if (input_sent_ > kInputSentMax) input_.erase(0, std::exchange(input_sent_, 0));
  }
  input_.clear();
  input_sent_ = 0;
}

void Connection::resize(ScreenSize size) {
  want_.size = size;
  if (phase_ != Phase::running || size == sent_size_) return;
  sent_size_ = size;
  ssh_channel_change_pty_size(channel_, size.cols, size.rows);
  update_watch();
}

void Connection::resume() {
  if (phase_ == Phase::running) advance();
}

void Connection::pump() {
  flush_input();
  std::size_t taken = 0;
  bool drained = false;
  while (taken < kPumpBytesMax && phase_ == Phase::running) {
    const std::size_t room = std::min(user_.output_room(), kReadBytes);
    if (room == 0) {
      user_.on_output_pause();
      if (user_.output_room() == 0) break;
      continue;
    }
    const int count =
        ssh_channel_read_nonblocking(channel_, buffer_.get(), static_cast<std::uint32_t>(room), 0);
    if (count <= 0) {
      drained = true;
      break;
    }
    taken += static_cast<std::size_t>(count);
    received_ += static_cast<std::uint64_t>(count);
    user_.on_output({buffer_.get(), static_cast<std::size_t>(count)});
  }
  user_.on_output_pause();
  if (phase_ != Phase::running) return;
  if (taken == 0 && !drained && (ssh_get_poll_flags(session_) & SSH_WRITE_PENDING) != 0) {
    // Without room nothing above lets libssh look at its socket, and it wants to hear after each
    // packet that the next may go: unheard, the wish would wake the loop without end, and Ctrl-C
    // could wait in its buffer. Of the second stream, which a terminal leaves empty: of the first
    // one libssh would answer from its buffer. What this reads is bounded by the channel's window.
    ssh_channel_poll(channel_, 1);
  }
  if (drained) {
    check_end();
  } else if (user_.output_room() > 0) {
    // libssh may hold bytes that the descriptor does not announce any more.
    set(continue_timer_, 0, 0, rap::task<Connection, &Connection::on_continue>);
  }
}

// Whether the other end is through; called when all its output was read.
bool Connection::check_end() {
  if (ssh_channel_is_closed(channel_) || !ssh_is_connected(session_)) {
    const int status = ssh_channel_get_exit_status(channel_);
    if (status >= 0) {
      end(RAP_OK, "the remote program ended", status);
    } else if (ssh_is_connected(session_)) {
      end(RAP_OK, "the remote program was ended by a signal");
    } else {
      end(RAP_E_GONE, "the connection to the target is lost: " + last_error());
    }
    return true;
  }
  if (ssh_channel_is_eof(channel_) && !deadline_timer_) {
    set(deadline_timer_, kExitStatusMs, 0, rap::task<Connection, &Connection::on_deadline>);
  }
  return false;
}

void Connection::end(rap_result code, const std::string& why, std::optional<int> exit_status) {
  if (phase_ == Phase::ended) return;
  const bool was_open = phase_ == Phase::running;
  phase_ = Phase::ended;
  release();
  auth_.reset();
  if (was_open) {
    user_.on_closed(code, why, exit_status);
  } else {
    user_.on_failed(code, why);
  }
}

// Nothing of the loop points here afterwards.
void Connection::release() {
  cancel(continue_timer_);
  cancel(deadline_timer_);
  cancel(keepalive_timer_);
  if (watched_ != 0) loop_.unwatch(host_.raw, fd_);
  watched_ = 0;
}

void Connection::update_watch() {
  std::uint32_t want = 0;
  const bool waiting = phase_ == Phase::stream || phase_ == Phase::secret || phase_ == Phase::ended;
  if (!waiting) {
    if (phase_ != Phase::running || user_.output_room() > 0) want |= RAP_IO_READ;
    if (ssh_get_poll_flags(session_) & SSH_WRITE_PENDING) want |= RAP_IO_WRITE;
  }
  if (want == watched_) return;
  if (watched_ != 0) loop_.unwatch(host_.raw, fd_);
  watched_ = 0;
  if (want == 0) return;
  check(loop_.watch(host_.raw, fd_, want, rap::io<Connection, &Connection::on_io>, this),
        "the host does not watch the stream");
  watched_ = want;
}

void Connection::on_io(int, std::uint32_t) {
  advance();
}

void Connection::on_continue() {
  continue_timer_.reset();
  advance();
}

void Connection::on_deadline() {
  deadline_timer_.reset();
  if (phase_ == Phase::running) {
    const int status = ssh_channel_get_exit_status(channel_);
    end(RAP_OK, "the remote program closed its terminal",
        status >= 0 ? std::optional<int>(status) : std::nullopt);
    return;
  }
  const char* doing = phase_ == Phase::stream      ? "to answer"
                      : phase_ == Phase::handshake ? "in the SSH handshake"
                      : phase_ == Phase::secret    ? "for its secret"
                      : phase_ == Phase::login     ? "in the login"
                                                   : "to start a shell";
  end(RAP_E_TIMEOUT, "the target took over 30 s " + std::string(doing));
}

void Connection::on_keepalive() {
  if (user_.output_room() == 0) return;  // we are the ones who do not read
  silent_keepalives_ = socket_bytes_.in_bytes == heard_at_keepalive_ ? silent_keepalives_ + 1 : 0;
  heard_at_keepalive_ = socket_bytes_.in_bytes;
  if (silent_keepalives_ > kSilentKeepalivesMax) {
    end(RAP_E_TIMEOUT, "the target does not answer any more");
    return;
  }
  // The first call collects the answer to the previous question, the second one asks; with nothing
  // to collect the first one asks and the second finds it under way.
  ssh_send_keepalive(session_);
  ssh_send_keepalive(session_);
  advance();
}

void Connection::cancel(Timer& timer) {
  if (timer) loop_.timer_cancel(host_.raw, *timer);
  timer.reset();
}

void Connection::set(Timer& timer, std::uint64_t first_ms, std::uint64_t every_ms,
                     rap_task_fn task) {
  if (timer) return;
  std::uint64_t id = 0;
  check(loop_.timer(host_.raw, first_ms, every_ms, task, this, &id), "the host sets no timer");
  timer = id;
}

std::string Connection::last_error() const {
  std::string text = ssh_get_error(session_);
  return text.empty() ? "no reason given" : text.substr(0, 300);
}

void warm_up_libraries() {
  if (ssh_init() != SSH_OK) throw Failure(RAP_E_INTERNAL, "libssh does not start");
  ssh_set_log_level(SSH_LOG_NOLOG);
  // A session object and one key of each kind touch what OpenSSL fetches on first use: its
  // configuration, providers, curves and the random generator.
  ssh_session session = ssh_new();
  if (!session) throw std::bad_alloc();
  ssh_free(session);
  for (const auto& [type, bits] :
       {std::pair{SSH_KEYTYPE_ED25519, 0}, {SSH_KEYTYPE_ECDSA_P256, 256}}) {
    ssh_key key = nullptr;
    if (ssh_pki_generate(type, bits, &key) != SSH_OK) {
      throw Failure(RAP_E_INTERNAL, "libssh makes no key");
    }
    const Key owner(key);
    fingerprint(key);
  }
}

}  // namespace rap::ssh
