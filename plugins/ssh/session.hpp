// A remote shell as the host sees it: a connection, its screen, and the output on its way to
// people.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>

#include <rap/rap.hpp>

#include "connection.hpp"
#include "output_boundary.hpp"
#include "screen.hpp"

namespace rap::ssh {

// What all sessions of an adapter count together.
struct Counters {
  std::uint32_t sessions = 0;
};

class SshSession final : public rap::Session, private ConnectionUser {
 public:
  // Begins to connect. Throws RAP_E_CONFIG for options that cannot work. `counters` belongs to the
  // adapter, which outlives its sessions.
  SshSession(Host host, Sink sink, const rap_session_want& want, Counters& counters);
  ~SshSession() override;

  bool opening() const override { return true; }
  void attach(const rap_attach& who) override;
  void detach(std::uint64_t attach_id) override;
  void resize(std::uint32_t cols, std::uint32_t rows, std::uint32_t dpi) override;
  void input(std::uint64_t attach_id, std::span<const rap_frame> frames) override;
  void writable() override;

 private:
  void on_open() override;
  void on_failed(rap_result code, const std::string& why) override;
  std::size_t output_room() override;
  void on_output(std::string_view bytes) override;
  void on_output_pause() override;
  void on_closed(rap_result code, const std::string& why, std::optional<int> exit_status) override;

  struct End {
    rap_result code;
    std::string why;
    std::optional<int> exit_status;
  };

  std::size_t held_from() const { return marks_.empty() ? sent_ : marks_.back(); }
  bool emit_output(const char* data, std::size_t size, unsigned flags);
  void send_picture();
  void send();
  void report_end();

  Host host_;
  Counters& counters_;
  Screen screen_;
  OutputBoundary boundary_;
  // Output not yet emitted begins at sent_. It may be cut at marks_ only; what is behind the last
  // one waits for the end of an escape sequence or character.
  std::string output_;
  std::size_t sent_ = 0;
  std::deque<std::size_t> marks_;
  // A picture of the screen that is not yet emitted whole; goes before output_.
  std::string picture_;
  std::size_t picture_sent_ = 0;
  bool blocked_ = false;  // until writable()
  std::set<std::uint64_t> controllers_;
  std::optional<End> end_;
  Connection connection_;  // last: it calls into the members above
};

}  // namespace rap::ssh
