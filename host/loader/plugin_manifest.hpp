// The release manifest of a plugin (docs/contracts/snapshots.md), and its comparison with the file
// and with what the loaded library says. Every difference is a refusal: the manifest is what was
// signed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.hpp"
#include "base/result.hpp"
#include "host/loader/elf_check.hpp"
#include "host/loader/plugin_facts.hpp"

namespace rap::loader {

struct ManifestVariant {
  std::string os, arch, libc;
  std::string target;  // path of the artifact in the repository
  std::uint64_t length = 0;
  Sha256Digest sha256{};
};

struct PluginManifest {
  std::string product, version;
  std::int64_t release_seq = 0;
  std::int64_t security_epoch = 0;
  std::string built_from;
  std::vector<ManifestVariant> variants;
  std::uint32_t abi_major = 0;
  std::vector<AdapterFacts> adapters;
  std::vector<std::string> dt_needed;
};

inline constexpr std::size_t kManifestBytesMax = 256u << 10;

// Fails with `malformed` (not JSON), `too_large`, or `invalid` (a member is missing, has another
// type or a value that is not allowed). Members it does not know are ignored.
Result<PluginManifest> parse_plugin_manifest(std::string_view json);
// The same document for the same manifest, byte for byte: members in the order of the contract.
std::string to_json(const PluginManifest& manifest);

// The variant for the machine this was built for, or `unsupported`.
Result<ManifestVariant> variant_for_this_machine(const PluginManifest& manifest);
std::string this_arch();  // "x86_64" or "aarch64"

// Each fails with `mismatch` and says what differs. Lists are compared as sets; dt_needed of the
// manifest is the exact set of what the file needs.
Status match_file(const PluginManifest& manifest, std::uint64_t length, const Sha256Digest& sha256);
Status match_elf(const PluginManifest& manifest, const ElfFacts& facts);
Status match_adapters(const PluginManifest& manifest, const std::vector<AdapterFacts>& loaded);

// Everything that can be said about the bytes before they are loaded: size and digest, P4, majors,
// dt_needed. The agent's whole check.
Result<ElfFacts> verify_plugin_file(const PluginManifest& manifest, ByteView file,
                                    const Sha256Digest& sha256);

}  // namespace rap::loader
