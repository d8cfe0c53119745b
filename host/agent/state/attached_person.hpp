// Who was let into a session, by the agent's own word: from a verified lease, before the worker
// hears of it. What a worker says about people counts only as far as it names one of these.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rap::agent {

struct AttachedPerson {
  std::string attach_id, user_id, user_name;
  std::string mode;      // "control" or "view"
  bool present = false;  // the worker has said so

  bool operator==(const AttachedPerson&) const = default;
};

using AttachedPeople = std::vector<AttachedPerson>;

// A session has at most 16 at a time. Those who left before they were seen are never told of.
inline constexpr std::size_t kAttachedPeopleMax = 64;

// Null when nobody has this id.
const AttachedPerson* find_person(const AttachedPeople& people, std::string_view attach_id);
// Over the limit the oldest who is not present goes, or else the oldest.
void add_person(AttachedPeople& people, AttachedPerson fresh);
void remove_person(AttachedPeople& people, std::string_view attach_id);
void mark_present(AttachedPeople& people, std::string_view attach_id);

}  // namespace rap::agent
