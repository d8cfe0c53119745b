// Streams of bytes that outlive their transports: docs/contracts/resume.md. The dialler's side; the
// acceptor's is registry.hpp.
#pragma once

#include <functional>
#include <memory>

#include "base/net/byte_stream.hpp"
#include "base/net/net_error.hpp"
#include "fabric/resume/clock.hpp"
#include "fabric/resume/limits.hpp"

namespace rap::resume {

struct ResumeInfo {
  bool attached = false;           // a transport is in use
  std::uint64_t attachments = 0;   // since the opening, that included
  std::uint64_t resent_bytes = 0;  // sent again after a transport died
  std::size_t unacknowledged = 0;  // bytes the other end has not taken
  std::size_t unread = 0;          // bytes our user has not taken
  std::size_t memory = 0;          // of all buffers
};

// As any ByteStream; when a transport dies its user notices a pause. write_all() returns when the
// bytes are kept for sending. Calls fail with `timeout` when no transport came for too long,
// `unavailable` when the other end closed, `malformed` when it broke the protocol, `not_found` when
// it no longer has the stream. Destroyed after shutdown(), what was written is still delivered.
class ResumableStream : public net::ByteStream {
 public:
  virtual ResumeInfo info() const = 0;
};
using ResumableStreamPtr = std::unique_ptr<ResumableStream>;

// Opens the next transport to the same other end, over whatever path is best now, encrypted and
// with that end's identity checked. NetError: it did not work now, ask again. Null: it never will.
// Is cancelled when it takes too long, and must end then.
using OpenTransport = std::function<net::Task<net::ByteStreamPtr>()>;

// Opens a stream. Throws what the first `open` throws, `unavailable` (it gave up, or the transport
// died), `timeout`, `exhausted` (the other end has no room), `malformed`. `clock` must outlive the
// stream and its tasks, which go on for a while after the stream (see `resume_window`).
net::Task<ResumableStreamPtr> open_resumable(OpenTransport open, ResumeLimits limits,
                                             const ResumeClock& clock);

}  // namespace rap::resume
