// What the adapters tell of the mesh when the host asks: written on the mesh's thread, read on the
// host's.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

namespace rap::mesh {

struct Picture {
  // For people: no addresses, nobody's name (E3). Empty: nothing is wrong.
  std::string trouble;
  std::string health;  // of the set of peers: "steady" and the like
  bool ready = false;  // certificate and directory are there
  bool alone = false;  // others are in the directory, and none is linked
  bool entry = false;  // people may connect
  std::size_t peers = 0, links = 0, people = 0;
  std::size_t sessions = 0;  // streams that end here
  std::size_t entered = 0, relayed = 0;
  std::uint64_t opened = 0, resumed = 0, refused = 0;
  std::uint64_t carried = 0, ended = 0;  // bytes: that passed, of streams that ended here
  // Who was told that no more comes; figures are of the time after.
  bool core_drains = false, entry_drains = false, relay_drains = false;
};

class Board {
 public:
  Picture read() const {
    const std::lock_guard lock(mutex_);
    return picture_;
  }
  void write(Picture picture) {
    const std::lock_guard lock(mutex_);
    picture_ = std::move(picture);
  }

 private:
  mutable std::mutex mutex_;
  Picture picture_;
};

}  // namespace rap::mesh
