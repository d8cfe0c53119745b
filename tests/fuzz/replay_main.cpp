// Runs a fuzz target without libFuzzer: every seed of a folder, then a fixed number of mutations of
// them. The same inputs on every run, so a failure here is a failure everywhere.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

constexpr int kMutations = 20000;
constexpr std::chrono::seconds kTimeMax{4};  // keeps the whole set of targets inside a test run
constexpr std::size_t kInputMax = 64 * 1024;

std::vector<Input> read_seeds(const std::filesystem::path& folder) {
  std::vector<Input> seeds;
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  if (seeds.empty()) seeds.push_back({'{', '}'});
  return seeds;
}

Input mutate(const std::vector<Input>& seeds, std::mt19937& random) {
  Input input = seeds[random() % seeds.size()];
  const unsigned steps = 1 + random() % 4;
  for (unsigned i = 0; i < steps; ++i) {
    const std::size_t at = input.empty() ? 0 : random() % input.size();
    switch (random() % 6) {
      case 0:
        if (!input.empty()) input[at] ^= static_cast<std::uint8_t>(1u << (random() % 8));
        break;
      case 1:
        if (!input.empty()) input[at] = static_cast<std::uint8_t>(random());
        break;
      case 2:
        input.resize(at);
        break;
      case 3:
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), 1 + random() % 16,
                     static_cast<std::uint8_t>(random()));
        break;
      case 4: {
        const Input& other = seeds[random() % seeds.size()];
        const std::size_t from = other.empty() ? 0 : random() % other.size();
        input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
        break;
      }
      default:
        if (!input.empty()) {
          const std::size_t n = std::min<std::size_t>(input.size() - at, 1 + random() % 8);
          input.erase(input.begin() + static_cast<std::ptrdiff_t>(at),
                      input.begin() + static_cast<std::ptrdiff_t>(at + n));
        }
    }
    if (input.size() > kInputMax) input.resize(kInputMax);
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Input> seeds = read_seeds(argc > 1 ? argv[1] : "");
  for (const Input& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  LLVMFuzzerTestOneInput(nullptr, 0);
  std::mt19937 random(1);
  const auto end = std::chrono::steady_clock::now() + kTimeMax;
  int done = 0;
  for (; done < kMutations && std::chrono::steady_clock::now() < end; ++done) {
    const Input input = mutate(seeds, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu seeds, %d mutations\n", seeds.size(), done);
  return 0;
}
