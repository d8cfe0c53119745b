// The box a plugin runs in. docs/sandbox.md explains each layer and what happens without it.
//
// The order is fixed: enter() -> load the plugin's file descriptor, nothing else -> stage_one() ->
// map the plugin, warm_up -> stage_two() -> create, sessions. Each step only ever takes away.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"

namespace rap::sandbox {

enum class LayerState {
  active,
  absent,  // this kernel or its administrator does not offer it
  failed,  // offered, and setting it up went wrong
};
std::string_view name(LayerState state);

struct Layer {
  std::string name;  // one of the names in docs/sandbox.md
  LayerState state = LayerState::absent;
  std::string detail;
};

// What really holds, layer by layer. Setting a layer again replaces its line.
class Report {
 public:
  void set(std::string_view layer, LayerState state, std::string detail = {});
  const std::vector<Layer>& layers() const { return layers_; }
  // absent for a name that was never set.
  LayerState state(std::string_view layer) const;

 private:
  std::vector<Layer> layers_;
};

// Which network is inside. A plugin's profile asks for it; only the agent gives it.
enum class Network {
  none,    // "net.none": no address, no interface that is up
  client,  // "net.client": the host's; TCP connections and questions to resolvers go out, nobody
           // binds or listens
};

// What stays usable when the rest is closed.
struct Kept {
  int state_directory = -1;  // a directory descriptor, or -1
  Network network = Network::none;
};

struct Options {
  // Kept besides 0, 1, 2; every other descriptor is closed.
  std::vector<int> keep_fds;
  // A directory of the host that stays usable inside, or -1. Closed by enter().
  int state_directory = -1;
  Network network = Network::none;
  // A debug policy keeps the process traceable and its core file. Never the default.
  bool debuggable = false;
};

struct Entered {
  Report report;
  // The uid of whoever started this process, as peer credentials show it from inside: 65534 in a
  // user namespace, where every outside uid looks like that.
  uid_t starter_uid = 0;
  // The state directory as it is inside: a mount of its own, from which nothing leads up. Empty
  // without Options::state_directory, and where there is no mount namespace: a descriptor of the
  // host's tree would be a way out.
  Fd state_directory;
  Network network = Network::none;

  Kept kept() const { return {state_directory.get(), network}; }
};

inline constexpr uid_t kNobody = 65534;

// Stage 0. Returns in a new process: pid 1 of its own pid namespace where there is one, in an empty
// root with the library directories and /proc, without network, capabilities or environment. The
// calling process never returns from it: it stays outside as the anchor, holds no descriptors and
// no privilege, passes SIGTERM and SIGINT on, exits with the inner process's status, and its death
// kills the inner process. So the pid that the starter knows stands for the whole box.
//
// The process must have one thread. Fails (in the inner process, which should exit) only when
// no_new_privs cannot be set; every other layer degrades and is reported.
Result<Entered> enter(const Options& options);

// Stage 1, before code of the plugin is mapped: Landlock down to reading libraries, and the first
// seccomp filter. fork() is still allowed. Fails when the filter cannot be installed: seccomp is
// not optional. `kept` as for StageTwo: what stage one takes no later stage gives back.
Status stage_one(Report& report, const Kept& kept = {});

// Stage 2, prepared where it costs little and applied where it counts (in a forked child), because
// compiling a filter takes longer than a fork.
class StageTwo {
 public:
  static Result<StageTwo> prepare(const Kept& kept = {});

  // No new executable mapping, no memfd, no fork, no socket, connect or bind, signals to this
  // process only, no file at all but below the state directory. Needs no memory allocation and no
  // file, so it works in a forked child. Fails when the filter cannot be installed. With
  // Network::client: sockets of TCP and UDP, and connect; and resolver_paths() can be read.
  Status apply(Report& report) const;

 private:
  struct Instruction {  // a struct sock_filter
    std::uint16_t code;
    std::uint8_t jt, jf;
    std::uint32_t k;
  };
  std::vector<Instruction> filter_;
  Kept kept_;
};

}  // namespace rap::sandbox
