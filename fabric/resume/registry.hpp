// The acceptor's side of resumable streams: joins each transport to the stream it belongs to.
#pragma once

#include <array>

#include "fabric/resume/stream.hpp"

namespace rap::resume {

// Who is at the other end of a transport: docs/contracts/resume.md says what to put here.
using PeerId = std::array<std::uint8_t, 32>;

struct RegistryLimits {
  std::size_t streams_max = 512;
  std::size_t streams_of_peer_max = 128;
};

struct RegistryCounts {
  std::size_t streams = 0;  // that could still be resumed
  std::uint64_t opened = 0;
  std::uint64_t resumed = 0;
  std::uint64_t refused = 0;
};

// One executor. Streams outlive it: what it destroys is only the way back to them.
class ResumeRegistry {
 public:
  // `clock` must outlive the streams and their tasks.
  ResumeRegistry(net::asio::any_io_executor executor, ResumeLimits limits, RegistryLimits counts,
                 const ResumeClock& clock);
  ~ResumeRegistry();
  ResumeRegistry(const ResumeRegistry&) = delete;
  ResumeRegistry& operator=(const ResumeRegistry&) = delete;

  // Reads the first frame of `transport` (at most `hello_timeout`). A new stream is returned; null
  // when the transport went to the stream that it resumes. What is refused is told so and closed;
  // fails with `timeout`, `unavailable`, `malformed`, `unsupported`, `exhausted` (no room),
  // `not_found` (no such stream, another peer's, a wrong proof), `rollback` (an old epoch).
  net::Task<Result<ResumableStreamPtr>> accept(net::ByteStreamPtr transport, PeerId peer);

  // Ends all streams of a peer that may no longer have any, or all.
  void close_peer(const PeerId& peer);
  void close_all();

  RegistryCounts counts() const;

  struct State;

 private:
  std::shared_ptr<State> state_;  // the streams hold it weakly
};

}  // namespace rap::resume
