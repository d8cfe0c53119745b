// One SSH connection with one terminal on it, over a descriptor that the host connected.
#pragma once

#include <libssh/libssh.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <rap/rap.hpp>

#include "auth.hpp"
#include "host_keys.hpp"
#include "options.hpp"
#include "screen.hpp"

namespace rap::ssh {

// Who hears from a connection. No call may destroy the connection.
class ConnectionUser {
 public:
  virtual void on_open() = 0;
  // Instead of on_open(); nothing follows.
  virtual void on_failed(rap_result code, const std::string& why) = 0;
  // Bytes that may come now; 0 stops reading until Connection::resume().
  virtual std::size_t output_room() = 0;
  virtual void on_output(std::string_view bytes) = 0;
  // No more output for the moment: time to send it on.
  virtual void on_output_pause() = 0;
  // The remote program ended (RAP_OK, with its exit status where it has one) or the connection is
  // lost (RAP_E_GONE, RAP_E_TIMEOUT). Nothing follows.
  virtual void on_closed(rap_result code, const std::string& why,
                         std::optional<int> exit_status) = 0;

 protected:
  ~ConnectionUser() = default;
};

struct ConnectionWant {
  std::string target;      // for rap.host.stream
  std::string secret_ref;  // for rap.host.secret
  Options options;
  ScreenSize size;
};

// Loop thread only. Never waits: libssh is asked, answers "again", and the host's loop calls when
// the descriptor has something.
class Connection {
 public:
  // Throws RAP_E_CONFIG for host keys that are none, RAP_E_UNSUPPORTED for a table not granted.
  Connection(Host host, ConnectionUser& user, ConnectionWant want);
  // Tells the target goodbye where there is somebody to tell.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Asks the host for the stream. Throws when it refuses at once.
  void start();
  // Takes all of `bytes`, or nothing when kInputMax would be exceeded (false). Before the terminal
  // is there they are kept for it.
  bool write(std::string_view bytes);
  void resize(ScreenSize size);
  // There is room for output again.
  void resume();

  // rap::task and its kin report here what escaped from a callback.
  void callback_failed(rap_result code, const char* text) { end(code, text); }

  // Bytes of terminal output so far.
  std::uint64_t received() const { return received_; }

 private:
  enum class Phase {
    stream,
    handshake,
    secret,
    login,
    channel,
    terminal,
    locale,
    shell,
    running,
    ended
  };
  // A completion that may come after this object is gone.
  struct Call {
    Connection* owner;
  };

  void on_stream(rap_result result, int fd);
  void on_secret(rap_result result, rap_bytes value);
  void on_io(int fd, std::uint32_t events);
  void on_continue();
  void on_deadline();
  void on_keepalive();

  void begin(int fd);
  void set_option(ssh_options_e option, const void* value);
  template <typename Body>
  void guarded(Body&& body);
  void advance();
  bool step();
  bool done(int result, const char* what);
  void check_host_key();
  void request_secret();
  void began_running();
  void pump();
  void flush_input();
  bool check_end();
  void end(rap_result code, const std::string& why, std::optional<int> exit_status = {});
  void update_watch();
  void release();
  using Timer = std::optional<std::uint64_t>;
  void cancel(Timer& timer);
  void set(Timer& timer, std::uint64_t first_ms, std::uint64_t every_ms, rap_task_fn task);
  std::string last_error() const;

  static void stream_came(void* user, rap_result result, int fd);
  static void secret_came(void* user, rap_result result, rap_bytes value);
  const Host host_;
  const rap_host_loop_1& loop_;
  ConnectionUser& user_;
  ConnectionWant want_;
  HostKeys host_keys_;
  ssh_session session_ = nullptr;
  ssh_channel channel_ = nullptr;
  std::unique_ptr<Auth> auth_;
  Phase phase_ = Phase::stream;
  int fd_ = -1;
  bool fd_taken_ = false;  // libssh closes it
  std::uint32_t watched_ = 0;
  std::string input_;
  std::size_t input_sent_ = 0;
  ScreenSize sent_size_;
  std::unique_ptr<char[]> buffer_;
  std::uint64_t received_ = 0;
  std::uint64_t heard_at_keepalive_ = 0;
  int silent_keepalives_ = 0;
  Timer continue_timer_;
  Timer deadline_timer_;
  Timer keepalive_timer_;
  std::uint64_t ticket_ = 0;
  Call* stream_call_ = nullptr;
  Call* secret_call_ = nullptr;
  ssh_counter_struct socket_bytes_{};
};

// Once, before the sandbox closes: everything libssh and OpenSSL load or read lazily.
void warm_up_libraries();

}  // namespace rap::ssh
