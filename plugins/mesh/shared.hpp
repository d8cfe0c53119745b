// What the adapters of one process have in common: decision 11, "one process, several adapters".
#pragma once

#include <functional>
#include <memory>

#include "plugins/mesh/mesh.hpp"

namespace rap::mesh {

// Used on the host's loop thread. Kept by the adapters that were started: the first makes it and
// its thread, with the last both are gone. The node itself is the core adapter's.
class Shared {
 public:
  // The one of this process. There is no other way for adapters of a library to find each other:
  // the host makes each of them by itself.
  static std::shared_ptr<Shared> get();

  Shared() = default;
  ~Shared();

  // Of the core adapter. Relay and entry are told.
  void make_mesh(MeshSetup setup, Upward& up);
  // Ends it and waits for that; nothing calls `up` any more.
  void end_mesh();
  bool has_mesh() const { return made_; }

  // Runs `work` on the mesh's thread, in order; not at all when there is no mesh.
  void on_mesh(std::function<void(Mesh&)> work);
  IoThread& thread() { return thread_; }
  Board& board() { return board_; }

  // Called when a mesh was made: whoever has a role gives it what it needs. Empty: the role ends.
  std::function<void()> entry, relay;

 private:
  IoThread thread_;
  Board board_;
  bool made_ = false;
  std::unique_ptr<Mesh> mesh_;  // touched on the thread only
};

}  // namespace rap::mesh
