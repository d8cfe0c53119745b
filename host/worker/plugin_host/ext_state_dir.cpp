// rap.host.state-dir/1: the directory that the agent gave this process. Granted only where there is
// one; session processes have none.
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

rap_result fd(const rap_host* host, int* out, std::uint64_t* quota_bytes) {
  const int directory = PluginHost::of(host).options().state_directory;
  if (directory < 0) return RAP_E_UNSUPPORTED;
  if (out == nullptr) return RAP_E_INVALID;
  *out = directory;
  if (quota_bytes != nullptr) *quota_bytes = 0;  // rap/ext/host.h: the disk's
  return RAP_OK;
}

}  // namespace

const rap_host_state_dir_1 kStateDirTable = {fd};

}  // namespace rap::worker
