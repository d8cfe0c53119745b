// A hash table from 64-bit keys to small values: values in one array in order of arrival, places in
// another. Looking up touches two cache lines and allocates nothing. Nothing is erased by itself;
// keep_if() rebuilds.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace rap::routing {

// Spreads the bits of a key (the finalizer of SplitMix64).
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

template <typename Value>
class FlatMap {
 public:
  struct Entry {
    std::uint64_t key;
    Value value;
  };

  const Value* find(std::uint64_t key) const {
    if (places_.empty()) return nullptr;
    const std::uint64_t hash = mix64(key);
    for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Place& place = places_[at];
      if (place.index == kEmpty) return nullptr;
      // Most questions are for what is not there: the tag answers them without the entry.
      if (place.tag == tag(hash) && entries_[place.index].key == key) {
        return &entries_[place.index].value;
      }
    }
  }
  Value* find(std::uint64_t key) {
    return const_cast<Value*>(static_cast<const FlatMap*>(this)->find(key));
  }

  // The value of `key`, made anew when there is none. Valid until the next insertion.
  Value& at(std::uint64_t key) {
    if (Value* value = find(key)) return *value;
    if (places_.size() < 2 * (entries_.size() + 1)) grow();
    entries_.push_back({key, Value{}});
    place(static_cast<std::uint32_t>(entries_.size() - 1));
    return entries_.back().value;
  }

  template <typename Keep>
  void keep_if(Keep keep) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (keep(entries_[i].key, entries_[i].value)) entries_[kept++] = entries_[i];
    }
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(kept), entries_.end());
    places_.assign(places_.size(), Place{});
    for (std::uint32_t i = 0; i < entries_.size(); ++i) place(i);
  }

  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }

 private:
  static constexpr std::uint32_t kEmpty = 0xffffffff;
  struct Place {
    std::uint32_t index = kEmpty;
    std::uint32_t tag = 0;
  };

  void grow() {
    places_.assign(places_.empty() ? 16 : places_.size() * 2, Place{});
    mask_ = places_.size() - 1;
    for (std::uint32_t i = 0; i < entries_.size(); ++i) place(i);
  }
  void place(std::uint32_t index) {
    const std::uint64_t hash = mix64(entries_[index].key);
    std::size_t at = hash & mask_;
    while (places_[at].index != kEmpty) at = (at + 1) & mask_;
    places_[at] = {index, tag(hash)};
  }
  static std::uint32_t tag(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

  std::vector<Entry> entries_;
  std::vector<Place> places_;
  std::size_t mask_ = 0;
};

}  // namespace rap::routing
