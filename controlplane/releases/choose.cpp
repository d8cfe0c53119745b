#include "controlplane/releases/choose.hpp"

#include <algorithm>

namespace rap::cp {

const ReleaseFacts* choose_release(std::string_view role, const ReleaseWish& wish,
                                   const std::vector<ReleaseFacts>& listed,
                                   const std::vector<ChannelFacts>& channels) {
  std::vector<const ReleaseFacts*> serving;
  for (const ReleaseFacts& release : listed) {
    if (std::ranges::find(release.roles, role) == release.roles.end()) continue;
    if (!wish.product.empty() && release.product != wish.product) continue;
    serving.push_back(&release);
  }
  if (serving.empty()) return nullptr;
  const std::string product =
      (*std::ranges::min_element(serving, {}, [](const auto* r) { return r->product; }))->product;
  const ChannelFacts* channel = nullptr;
  for (const ChannelFacts& candidate : channels) {
    if (candidate.product == product && candidate.channel == wish.channel) channel = &candidate;
  }
  const ReleaseFacts* best = nullptr;
  for (const ReleaseFacts* release : serving) {
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

}  // namespace rap::cp
