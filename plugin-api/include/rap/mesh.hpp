// rap/mesh.hpp - rap/ext/mesh.h for C++20, as rap/rap.hpp is for the rest: derive from MeshAdapter.
// Not part of the ABI.
#pragma once

#include "ext/mesh.h"
#include "rap.hpp"

#pragma GCC visibility push(hidden)

namespace rap {

RAP_TABLE_ID(rap_host_identity_1, RAP_HOST_IDENTITY)
RAP_TABLE_ID(rap_host_mesh_1, RAP_HOST_MESH)

// The host's end of one dial or open. Copies are cheap; exactly one of done() and failed() is
// called on one of them, on the loop thread, before the adapter's stop returns.
class MeshAnswer {
 public:
  MeshAnswer(rap_mesh_fd_fn run, void* user) : run_(run), user_(user) {}
  // `fd` is the host's from here on.
  void done(int fd) const { run_(user_, RAP_OK, fd, rap_str{}); }
  void failed(rap_result why, std::string_view detail) const {
    run_(user_, why, -1, borrow(detail));
  }

 private:
  rap_mesh_fd_fn run_;
  void* user_;
};

// One that lists RAP_ADAPTER_MESH in `provides`.
class MeshAdapter : public Adapter {
 public:
  using Adapter::Adapter;
  // Both answer later, never inside; throwing says that there will be no answer. What `want` refers
  // to is borrowed.
  virtual void dial(const rap_mesh_dial& want, MeshAnswer) = 0;
  virtual void open_mesh(const rap_mesh_open& want, MeshAnswer) = 0;
  const void* extension(std::string_view id) override;
};

namespace detail {

template <typename Want, void (MeshAdapter::*Method)(const Want&, MeshAnswer)>
rap_result ask_mesh(rap_adapter* a, const Want* want, rap_mesh_fd_fn run, void* user) {
  return in_adapter(a, [&](Adapter& self) -> rap_result {
    (static_cast<MeshAdapter&>(self).*Method)(taken(want), MeshAnswer(run, user));
    return RAP_PENDING;
  });
}
inline constexpr rap_adapter_mesh_1 kMeshTable{ask_mesh<rap_mesh_dial, &MeshAdapter::dial>,
                                               ask_mesh<rap_mesh_open, &MeshAdapter::open_mesh>};

}  // namespace detail

inline const void* MeshAdapter::extension(std::string_view id) {
  return id == RAP_ADAPTER_MESH ? &detail::kMeshTable : nullptr;
}

// Callbacks, as rap::task and the like.
template <typename T, void (T::*Method)(const rap_identity&)>
void identity(void* user, const rap_identity* given) {
  in_callback<T>(user, [&](T& self) { (self.*Method)(detail::taken(given)); });
}
template <typename T, void (T::*Method)(rap_result, std::string_view code, std::string_view detail)>
void mesh_taken(void* user, rap_result result, rap_str code, rap_str detail) {
  in_callback<T>(user, [&](T& self) { (self.*Method)(result, view(code), view(detail)); });
}
template <typename T, void (T::*Method)(std::string_view session, std::string_view organization)>
void mesh_drop(void* user, const rap_mesh_drop* given) {
  const rap_mesh_drop what = detail::taken(given);
  in_callback<T>(user,
                 [&](T& self) { (self.*Method)(view(what.session_id), view(what.organization)); });
}

}  // namespace rap

#pragma GCC visibility pop
