// How a shape of http/shapes.hpp is written down. Inside controlplane/http only.
#pragma once

#include <string_view>
#include <vector>

#include "controlplane/http/fields.hpp"

namespace rap::cp {

// Types: string, integer, number, boolean, time, object (anything inside), any, the name of a
// shape, "a|b|c" (one of these words), "[type]" (array), and "type?" (or null).
struct Member {
  std::string_view name;
  std::string_view type;
  Need need = Need::required;
};

struct Shape {
  std::string_view name;
  std::vector<Member> members;
  std::string_view base = {};  // has the members of this shape, too
};

// Those of the mesh.
std::vector<Shape> mesh_shapes();

}  // namespace rap::cp
