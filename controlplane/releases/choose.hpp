// Which release serves a role. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rap::cp {

struct ReleaseFacts {
  std::string id;
  std::string product;
  std::string version;
  std::int64_t release_seq = 0;
  std::int64_t security_epoch = 0;
  std::vector<std::string> roles;  // of its adapters
};

struct ChannelFacts {
  std::string product;
  std::string channel;
  std::string version;
  std::int64_t min_epoch = 0;
};

// What an assignment's policy may pin; empty: no wish.
struct ReleaseWish {
  std::string product;
  std::string version;
  std::string channel = "current";
};

// The release to run, or nullptr. Of products that serve the role: the one wished for, else the
// first by name. Of its releases: the version wished for; else what the channel names, when the
// product has such a channel; else the highest release_seq. Never one below the channel's
// min_epoch.
const ReleaseFacts* choose_release(std::string_view role, const ReleaseWish& wish,
                                   const std::vector<ReleaseFacts>& listed,
                                   const std::vector<ChannelFacts>& channels);

// Why choose_release() gave nothing, naming product and version as far as they are known: what the
// node says of the role. An owner may pin what is not published yet.
std::string why_no_release(std::string_view role, const ReleaseWish& wish,
                           const std::vector<ReleaseFacts>& listed,
                           const std::vector<ChannelFacts>& channels);

// The release that a node which runs `running` may stay on while `chosen` cannot be had, or
// nullptr: another one of the same product that serves the role, with an epoch that is not lower.
const ReleaseFacts* fallback_release(std::string_view role, const ReleaseFacts& chosen,
                                     std::string_view running,
                                     const std::vector<ReleaseFacts>& listed);

}  // namespace rap::cp
