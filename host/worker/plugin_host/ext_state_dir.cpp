// rap.host.state-dir/1: no session has one yet. A grant gives the table, so that a plugin can ask;
// the answer is that there is no directory.
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

rap_result fd(const rap_host*, int*, std::uint64_t*) {
  return RAP_E_UNSUPPORTED;
}

}  // namespace

const rap_host_state_dir_1 kStateDirTable = {fd};

}  // namespace rap::worker
