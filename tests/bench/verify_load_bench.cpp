// From a plugin file on disk to a usable plugin, ours against the plain way, in one process each:
//   ours: seal a copy, hash it, check the signature over the digest and the ELF rules, load it
//   peer: read the file, SHA-256, dlopen, dlsym
// verify_load_bench PLUGIN.so SIZE...: the plugin padded to each size, rounds interleaved, medians.
#include <dlfcn.h>
#include <openssl/evp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/crypto.hpp"
#include "base/file.hpp"
#include "host/loader/elf_check.hpp"
#include "host/loader/plugin_loader.hpp"
#include "host/loader/sealed_memfd.hpp"
#include "signing/verify/keys.hpp"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 31;

struct Signed {
  rap::Bytes public_key;
  rap::Bytes signature;  // over the digest
};

Signed sign(const rap::Sha256Digest& digest) {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  Signed out{rap::Bytes(32), rap::Bytes(64)};
  std::size_t size = 32;
  EVP_PKEY_get_raw_public_key(key, out.public_key.data(), &size);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  size = 64;
  if (EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key) != 1 ||
      EVP_DigestSign(context, out.signature.data(), &size, digest.data(), digest.size()) != 1) {
    std::abort();
  }
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  return out;
}

bool load_ours(const std::string& path, const rap::Sha256Digest& want, const Signed& proof) {
  auto sealed = rap::loader::seal_file(path);
  if (!sealed || sealed->sha256 != want) return false;
  if (!rap::tuf::ed25519_verify(proof.public_key, sealed->sha256, proof.signature)) return false;
  auto mapping = rap::loader::SealedMapping::map(sealed->fd.get());
  if (!mapping || !rap::loader::check_plugin_elf(mapping->bytes())) return false;
  return rap::loader::load_plugin(std::move(sealed->fd)).has_value();
}

bool load_plain(const std::string& path, const rap::Sha256Digest& want) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> bytes(std::filesystem::file_size(path));
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  const rap::ByteView view(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (rap::sha256(view) != want) return false;
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  return library != nullptr && dlsym(library, "rap_plugin_v1") != nullptr;
}

// The time of `work` in a forked child, which no earlier load has warmed up.
template <class Work>
double milliseconds(Work work) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t child = fork();
  if (child == 0) {
    const auto start = Clock::now();
    const bool ok = work();
    const std::chrono::duration<double, std::milli> took = Clock::now() - start;
    const double value = ok ? took.count() : -1;
    _exit(write(ends[1], &value, sizeof value) == sizeof value ? 0 : 1);
  }
  close(ends[1]);
  double value = -1;
  const bool got = read(ends[0], &value, sizeof value) == sizeof value;
  close(ends[0]);
  waitpid(child, nullptr, 0);
  if (!got || value < 0) {
    std::fprintf(stderr, "loading failed\n");
    std::exit(1);
  }
  return value;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  for (int i = 2; i < argc; ++i) {
    const auto size = std::strtoull(argv[i], nullptr, 10);
    char name[] = "/tmp/rap-bench-XXXXXX";
    const int fd = mkstemp(name);
    close(fd);
    std::filesystem::copy_file(argv[1], name, std::filesystem::copy_options::overwrite_existing);
    {
      // Bytes after the last segment: read and hashed, not mapped; the same for both sides.
      std::ofstream pad(name, std::ios::binary | std::ios::app);
      std::string block(1 << 16, '\x5a');
      while (std::filesystem::file_size(name) < size) {
        const auto left = size - std::filesystem::file_size(name);
        pad.write(block.data(),
                  static_cast<std::streamsize>(std::min<std::size_t>(block.size(), left)));
        pad.flush();
      }
    }
    const auto bytes = rap::loader::seal_file(name);
    if (!bytes) return 1;
    const rap::Sha256Digest digest = bytes->sha256;
    const Signed proof = sign(digest);
    std::vector<double> ours, plain;
    for (int round = 0; round < kRounds; ++round) {
      ours.push_back(milliseconds([&] { return load_ours(name, digest, proof); }));
      plain.push_back(milliseconds([&] { return load_plain(name, digest); }));
    }
    std::printf("{\"size\": %llu, \"ours_ms\": %.4f, \"peer_ms\": %.4f}\n", size, median(ours),
                median(plain));
    std::filesystem::remove(name);
  }
  return 0;
}
