#include "controlplane/roles/release_roles.hpp"

#include <boost/json.hpp>

#include "controlplane/roles/rules.hpp"

namespace rap::cp {
namespace {

constexpr const char* kManifests = "select manifest from releases where listed";

}  // namespace

std::vector<std::string> release_roles(Tx& tx) {
  std::vector<std::string> out;
  for (const Row& row : tx.query(kManifests)) {
    for (std::string& role : manifest_roles(row.json("manifest").as_object())) {
      out.push_back(std::move(role));
    }
  }
  return out;
}

}  // namespace rap::cp
