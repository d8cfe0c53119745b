#pragma once

#include "fabric/h2/connection.hpp"
#include "fabric/routing/types.hpp"

namespace rap::fabric {

struct ChannelLimits {
  // TCP, TLS and the directory together: twice the worst round trip of a satellite link, three
  // times over. A slow loris holds a place so long.
  net::milliseconds handshake{10'000};
  // At once. A relay that restarts is dialled by its 256 leaves and 20 peers, some twice.
  std::size_t handshakes_max = 512;
  // Of one peer: two classes, two flows, and as many again while certificates change.
  std::size_t links_per_peer = 8;
  // Open on one link.
  std::uint32_t streams_max = 512;
  // New streams of a peer: a person opens a few, a node that comes back resumes all it had.
  double streams_per_s = 100;
  double streams_burst = 512;
  // A round trip so often; no answer for so long ends the link. Streams notice a dead path by
  // themselves within 4 s and go elsewhere.
  net::milliseconds ping_every{5'000};
  net::milliseconds ping_timeout{3'000};
  // Room for the streams of one link that nobody reads; over three quarters the one that has been
  // stuck longest is reset, so that the others go on.
  std::int32_t interactive_window = 8 * 1024 * 1024;
  std::int32_t bulk_window = 16 * 1024 * 1024;
  std::int32_t interactive_stream_window = 256 * 1024;
  std::int32_t bulk_stream_window = 1024 * 1024;  // 80 Mbit/s at 100 ms
  net::milliseconds stuck_after{10'000};
  // A link that said goodbye lives so long for its streams; those resume elsewhere.
  net::milliseconds drain_max{600'000};
};

// Of one link.
H2Limits h2_limits(const ChannelLimits& limits, routing::ChannelClass channel_class);

}  // namespace rap::fabric
