// Health in words.
#pragma once

#include <rap/plugin.h>

#include <algorithm>
#include <string>

namespace rap::mesh {

// `trouble`, if there is any, or that all is well.
inline void tell(rap_health& out, const std::string& trouble, const std::string& well) {
  out.level = trouble.empty() ? RAP_HEALTH_OK : RAP_HEALTH_DEGRADED;
  const std::string& text = trouble.empty() ? well : trouble;
  const std::size_t length = std::min(text.size(), sizeof out.note - 1);
  std::copy_n(text.begin(), length, out.note);
  out.note[length] = '\0';
}

// What a drain waits for. Until a figure of the time after it began is there, something may be
// open.
inline std::uint32_t open_streams(std::size_t seen, bool draining, bool figure_is_new) {
  if (draining && !figure_is_new) seen = std::max<std::size_t>(1, seen);
  return static_cast<std::uint32_t>(seen);
}

}  // namespace rap::mesh
