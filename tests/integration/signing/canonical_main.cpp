// One JSON text a line on standard input; on standard output the hex of its canonical form, or
// "refused". The other half of canonical_differential.py.
#include <iostream>
#include <string>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "signing/verify/canonical_json.hpp"

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    auto value = rap::parse_json(line);
    auto text = value ? rap::tuf::canonical_json(*value)
                      : rap::Result<std::string>(rap::fail(std::move(value.error())));
    std::cout << (text ? rap::to_hex(rap::as_bytes(*text)) : "refused") << "\n";
  }
  return 0;
}
