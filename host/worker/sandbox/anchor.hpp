// The process that stays outside the box, and the way into the namespaces.
#pragma once

#include <string>

#include "base/file.hpp"
#include "base/result.hpp"

namespace rap::sandbox {

// Which namespaces one attempt asks for.
struct Plan {
  bool user = false;
  bool root = false;   // mount and pid: they go together, /proc must be that of the pid namespace
  bool empty = false;  // network (unless it stays), IPC, UTS
  bool host_network = false;
};

// The inner process's line to the anchor during setup.
class Gate {
 public:
  explicit Gate(Fd line) : line_(std::move(line)) {}
  int fd() const { return line_.get(); }
  // The setup of namespaces worked: waits until the anchor is the parent, and binds this process's
  // life to it. Ends the process when the anchor is gone.
  void ready();
  // It did not: the anchor gets the reason, and this process ends.
  [[noreturn]] void failed(const std::string& why);

 private:
  Fd line_;
};

// Forks, through an intermediate process that enters the namespaces and is gone afterwards.
// In the inner process: returns its gate. In the calling process: returns only when the plan cannot
// be carried out, with the reason; else it stays, as the anchor, and exits as the inner process
// does.
Result<Gate> start_inner(const Plan& plan);

}  // namespace rap::sandbox
