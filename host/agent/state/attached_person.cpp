#include "host/agent/state/attached_person.hpp"

#include <algorithm>

namespace rap::agent {

const AttachedPerson* find_person(const AttachedPeople& people, std::string_view attach_id) {
  for (const AttachedPerson& person : people) {
    if (person.attach_id == attach_id) return &person;
  }
  return nullptr;
}

void add_person(AttachedPeople& people, AttachedPerson fresh) {
  people.push_back(std::move(fresh));
  if (people.size() <= kAttachedPeopleMax) return;
  const auto away = std::find_if(people.begin(), people.end() - 1,
                                 [](const AttachedPerson& person) { return !person.present; });
  people.erase(away == people.end() - 1 ? people.begin() : away);
}

void remove_person(AttachedPeople& people, std::string_view attach_id) {
  std::erase_if(people,
                [&](const AttachedPerson& person) { return person.attach_id == attach_id; });
}

void mark_present(AttachedPeople& people, std::string_view attach_id) {
  for (AttachedPerson& person : people) person.present |= person.attach_id == attach_id;
}

}  // namespace rap::agent
