// Figures of the channel: what it costs to carry bytes, beside others in the same place.
//   channel_bench files DIR LEAVES                           certificates, keys
//   channel_bench raw-up|raw-down|end|relay DIR PORT TARGET  what is measured
//   channel_bench bulk|carry|echo|keys|hold DIR key=value..  what measures; prints JSON objects
#include "tests/bench/channel_bench.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "base/log.hpp"

int main(int argc, char** argv) {
  using namespace rap;
  if (argc < 3) return 2;
  log::set_level(log::Level::error);
  const std::string what = argv[1];
  const bench::Files files{argv[2]};
  const auto number = [&](int at) {
    return static_cast<std::uint16_t>(argc > at ? std::atoi(argv[at]) : 0);
  };
  try {
    if (what == "files") {
      bench::make_files(files, number(3));
    } else if (what == "raw-up" || what == "raw-down") {
      const auto direction = what == "raw-up" ? bench::Direction::up : bench::Direction::down;
      bench::run_raw_loop(files, direction, number(3), number(4));
    } else if (what == "end") {
      bench::run_end(files, number(3), number(4));
    } else if (what == "relay") {
      bench::run_relay(files, number(3), number(4));
    } else {
      return bench::run_load(what, files, argc, argv);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "channel_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
