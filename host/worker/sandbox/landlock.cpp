#include "host/worker/sandbox/landlock.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.hpp"

namespace rap::sandbox {
namespace {

// Newer than the header we build with; values from the kernel's documentation.
constexpr std::uint64_t kFsTruncate = 1ull << 14;    // ABI 3
constexpr std::uint64_t kFsIoctlDev = 1ull << 15;    // ABI 5
constexpr std::uint64_t kNetBindTcp = 1ull << 0;     // ABI 4
constexpr std::uint64_t kNetConnectTcp = 1ull << 1;  // ABI 4
constexpr std::uint64_t kScopeAbstract = 1ull << 0;  // ABI 6
constexpr std::uint64_t kScopeSignal = 1ull << 1;    // ABI 6
constexpr std::uint64_t kFsRightsAbi1 = (1ull << 13) - 1;

constexpr std::uint64_t kReadRights =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kFileRights = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
// Below the state directory: files and directories, and nothing that is not a file.
constexpr std::uint64_t kStateRights =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REFER | kFsTruncate;

struct RulesetAttr {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;
  std::uint64_t scoped;
};

// The kernel refuses a struct with unknown bits set, and takes a shorter one.
std::size_t attr_size(int abi) {
  if (abi >= 6) return sizeof(RulesetAttr);
  return abi >= 4 ? 16 : 8;
}

RulesetAttr attr_for(int abi) {
  RulesetAttr attr{kFsRightsAbi1, 0, 0};
  if (abi >= 2) attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3) attr.handled_access_fs |= kFsTruncate;
  if (abi >= 4) attr.handled_access_net = kNetBindTcp | kNetConnectTcp;
  if (abi >= 5) attr.handled_access_fs |= kFsIoctlDev;
  if (abi >= 6) attr.scoped = kScopeAbstract | kScopeSignal;
  return attr;
}

bool add_rule(int ruleset, int where, std::uint64_t rights) {
  landlock_path_beneath_attr rule{rights, where};
  return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

Error error_of(const char* what) {
  return {Errc::internal, std::string(what) + ": " + errno_text(errno)};
}

Status allow_reading(int ruleset, const std::string& path) {
  const Fd where(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!where) return {};
  struct stat info {};
  if (fstat(where.get(), &info) != 0) return fail(error_of(path.c_str()));
  // Directory rights on a file are an error, not ignored.
  const std::uint64_t rights = S_ISDIR(info.st_mode) ? kReadRights : kFileRights;
  if (!add_rule(ruleset, where.get(), rights)) return fail(error_of(path.c_str()));
  return {};
}

}  // namespace

int landlock_abi() {
  const long abi =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

Result<int> landlock_restrict(const LandlockRules& rules) {
  const int abi = landlock_abi();
  if (abi == 0) return fail(Errc::unsupported, "the kernel has no Landlock");
  RulesetAttr attr = attr_for(abi);
  if (rules.tcp == LandlockTcp::connect) attr.handled_access_net &= kNetBindTcp;
  if (rules.tcp == LandlockTcp::allowed) attr.handled_access_net = 0;
  const Fd ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &attr, attr_size(abi), 0)));
  if (!ruleset) return fail(error_of("landlock_create_ruleset"));
  for (const std::string& path : rules.readable) {
    if (auto allowed = allow_reading(ruleset.get(), path); !allowed) return fail(allowed.error());
  }
  if (rules.writable_directory >= 0 &&
      !add_rule(ruleset.get(), rules.writable_directory, kStateRights & attr.handled_access_fs)) {
    return fail(error_of("state directory"));
  }
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return fail(error_of("landlock_restrict_self"));
  }
  return abi;
}

}  // namespace rap::sandbox
