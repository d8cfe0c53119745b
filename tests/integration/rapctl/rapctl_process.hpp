// `rapctl` on a pseudo terminal, and the person in front of it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/integration/rapctl/mesh_plane.hpp"

namespace rap::test {

class RapctlProcess {
 public:
  // Begins `rapctl words..`; `plane` runs while somebody waits for it. Its standard output is
  // `file`, unless that is empty.
  RapctlProcess(MeshPlane& plane, const std::vector<std::string>& words,
                const std::string& file = {});
  ~RapctlProcess();  // ends it, if need be

  void type(const std::string& text);
  // Waits until `text` is on the screen after what was seen() before; false: it ended without, or
  // half a minute passed.
  bool sees(const std::string& text);
  // Waits for the end; its exit status, or minus the signal. -1000: it did not end.
  int ended();
  const std::string& output() const { return output_; }

 private:
  bool read_some();  // false: nobody writes any more

  MeshPlane& plane_;
  pid_t child_ = -1;
  int person_ = -1;
  std::string output_;
  std::size_t seen_ = 0;
};

}  // namespace rap::test
