#include "controlplane/releases/choose.hpp"

#include <algorithm>

namespace rap::cp {

namespace {

std::vector<const ReleaseFacts*> serving(std::string_view role, const ReleaseWish& wish,
                                         const std::vector<ReleaseFacts>& listed) {
  std::vector<const ReleaseFacts*> out;
  for (const ReleaseFacts& release : listed) {
    if (std::ranges::find(release.roles, role) == release.roles.end()) continue;
    if (!wish.product.empty() && release.product != wish.product) continue;
    out.push_back(&release);
  }
  return out;
}

// Of at least one release.
std::string first_product(const std::vector<const ReleaseFacts*>& releases) {
  return (*std::ranges::min_element(releases, {}, [](const auto* r) { return r->product; }))
      ->product;
}

const ChannelFacts* channel_of(const std::string& product, const ReleaseWish& wish,
                               const std::vector<ChannelFacts>& channels) {
  const ChannelFacts* channel = nullptr;
  for (const ChannelFacts& candidate : channels) {
    if (candidate.product == product && candidate.channel == wish.channel) channel = &candidate;
  }
  return channel;
}

}  // namespace

const ReleaseFacts* choose_release(std::string_view role, const ReleaseWish& wish,
                                   const std::vector<ReleaseFacts>& listed,
                                   const std::vector<ChannelFacts>& channels) {
  const auto serve = serving(role, wish, listed);
  if (serve.empty()) return nullptr;
  const std::string product = first_product(serve);
  const ChannelFacts* channel = channel_of(product, wish, channels);
  const ReleaseFacts* best = nullptr;
  for (const ReleaseFacts* release : serve) {
    if (release->product != product) continue;
    if (channel != nullptr && release->security_epoch < channel->min_epoch) continue;
    if (!wish.version.empty()) {
      if (release->version != wish.version) continue;
    } else if (channel != nullptr && release->version != channel->version) {
      continue;
    }
    if (best == nullptr || release->release_seq > best->release_seq) best = release;
  }
  return best;
}

std::string why_no_release(std::string_view role, const ReleaseWish& wish,
                           const std::vector<ReleaseFacts>& listed,
                           const std::vector<ChannelFacts>& channels) {
  const auto serve = serving(role, wish, listed);
  const std::string asked = (wish.product.empty() ? "a plugin" : wish.product) +
                            (wish.version.empty() ? "" : " " + wish.version);
  if (serve.empty()) {
    return "Version Storage lists no release of " + asked + " for the role " + std::string(role);
  }
  const std::string product = first_product(serve);
  const ChannelFacts* channel = channel_of(product, wish, channels);
  const std::string version = !wish.version.empty() ? wish.version
                              : channel != nullptr  ? channel->version
                                                    : std::string();
  const bool listed_at_all = std::ranges::any_of(
      serve, [&](const auto* r) { return r->product == product && r->version == version; });
  if (!version.empty() && !listed_at_all) {
    return "Version Storage lists no " + product + " " + version +
           (wish.version.empty() ? ", which its channel " + wish.channel + " names" : "");
  }
  return product + (version.empty() ? "" : " " + version) + " is below the security epoch " +
         std::to_string(channel == nullptr ? 0 : channel->min_epoch) + " of its channel " +
         wish.channel;
}

const ReleaseFacts* fallback_release(std::string_view role, const ReleaseFacts& chosen,
                                     std::string_view running,
                                     const std::vector<ReleaseFacts>& listed) {
  for (const ReleaseFacts& release : listed) {
    if (release.product != chosen.product || release.version != running) continue;
    if (release.id == chosen.id || release.security_epoch < chosen.security_epoch) continue;
    if (std::ranges::find(release.roles, role) != release.roles.end()) return &release;
  }
  return nullptr;
}

}  // namespace rap::cp
