#include "plugins/mesh/shared.hpp"

namespace rap::mesh {
namespace {

// In a function: tasks of `thread` may not be coroutines that capture.
net::Task<void> end_of(std::unique_ptr<Mesh>& mesh) {
  if (mesh == nullptr) co_return;
  co_await mesh->end();
  mesh.reset();
}

}  // namespace

std::shared_ptr<Shared> Shared::get() {
  static std::weak_ptr<Shared> known;
  auto out = known.lock();
  if (out == nullptr) {
    out = std::make_shared<Shared>();
    known = out;
  }
  return out;
}

Shared::~Shared() {
  end_mesh();
}

void Shared::make_mesh(MeshSetup setup, Upward& up) {
  made_ = true;
  auto given = std::make_shared<MeshSetup>(std::move(setup));
  thread_.post([this, given, &up] {
    mesh_ = std::make_unique<Mesh>(thread_, std::move(*given), up, board_);
  });
  if (relay) relay();
  if (entry) entry();
}

void Shared::end_mesh() {
  if (!std::exchange(made_, false)) return;
  thread_.run(end_of(mesh_));
  board_.write({});
}

void Shared::on_mesh(std::function<void(Mesh&)> work) {
  if (!made_) return;
  thread_.post([this, work = std::move(work)] {
    if (mesh_ != nullptr) work(*mesh_);
  });
}

}  // namespace rap::mesh
