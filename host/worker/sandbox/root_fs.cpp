#include "host/worker/sandbox/root_fs.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/file.hpp"

namespace rap::sandbox {
namespace {

// mount_setattr(2), kernel 5.12; the numbers of its ABI, because <sys/mount.h> and <linux/mount.h>
// cannot be included together with this C library.
constexpr std::uint64_t kAttrReadOnly = 0x1, kAttrNoSuid = 0x2, kAttrNoDev = 0x4, kAttrNoExec = 0x8;
constexpr unsigned kCloneTree = 0x1, kFromItself = 0x4;  // open_tree(2), move_mount(2); 5.2
struct MountAttr {
  std::uint64_t set, clear, propagation, userns_fd;
};

// Any directory that exists everywhere will do: it is covered only in this mount namespace.
constexpr const char* kStage = "/tmp";

Error error_of(const std::string& what) {
  return {Errc::internal, what + ": " + errno_text(errno)};
}

Status make_parents(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string part = kStage + path.substr(0, at);
    if (mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) return fail(error_of(part));
  }
  return {};
}

Status harden_mount(const std::string& path) {
  MountAttr attr{kAttrReadOnly | kAttrNoSuid | kAttrNoDev, 0, 0, 0};
  if (syscall(SYS_mount_setattr, AT_FDCWD, path.c_str(), AT_RECURSIVE, &attr, sizeof attr) == 0) {
    return {};
  }
  const unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (mount(nullptr, path.c_str(), nullptr, flags, nullptr) == 0) return {};
  return fail(error_of("read-only " + path));
}

Status bind_read_only(const std::string& path) {
  if (auto parents = make_parents(path); !parents) return parents;
  const std::string target = kStage + path;
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return {};
  if (S_ISDIR(info.st_mode)) {
    if (mkdir(target.c_str(), 0755) != 0 && errno != EEXIST) return fail(error_of(target));
  } else {
    const Fd file(open(target.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0444));
    if (!file) return fail(error_of(target));
  }
  if (mount(path.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return fail(error_of("bind " + path));
  }
  return harden_mount(target);
}

// /lib -> usr/lib on merged systems: the link is copied, what it points to is bound by its own
// name.
Status copy_link(const std::string& path) {
  std::error_code error;
  const auto target = std::filesystem::read_symlink(path, error);
  if (error) return fail(Errc::internal, path + ": " + error.message());
  if (auto parents = make_parents(path); !parents) return parents;
  if (symlink(target.c_str(), (kStage + path).c_str()) != 0 && errno != EEXIST) {
    return fail(error_of("link " + path));
  }
  return {};
}

Status attach_state(const Fd& state) {
  const std::string target = std::string(kStage) + kStatePath;
  if (mkdir(target.c_str(), 0700) != 0) return fail(error_of(target));
  if (syscall(SYS_move_mount, state.get(), "", AT_FDCWD, target.c_str(), kFromItself) != 0) {
    return fail(error_of("state directory"));
  }
  MountAttr attr{kAttrNoSuid | kAttrNoDev | kAttrNoExec, 0, 0, 0};
  if (syscall(SYS_mount_setattr, AT_FDCWD, target.c_str(), 0, &attr, sizeof attr) == 0) return {};
  const unsigned long flags = MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount(nullptr, target.c_str(), nullptr, flags, nullptr) == 0) return {};
  return fail(error_of("state directory"));
}

Status mount_proc() {
  const std::string target = std::string(kStage) + "/proc";
  if (mkdir(target.c_str(), 0555) != 0) return fail(error_of(target));
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount("proc", target.c_str(), "proc", flags, nullptr) != 0) return fail(error_of("proc"));
  return {};
}

Status change_root() {
  if (chdir(kStage) != 0) return fail(error_of("chdir"));
  // Puts the old root under the new one at the same place, from where it is let go.
  if (syscall(SYS_pivot_root, ".", ".") != 0) return fail(error_of("pivot_root"));
  if (umount2(".", MNT_DETACH) != 0) return fail(error_of("old root"));
  if (chdir("/") != 0) return fail(error_of("chdir"));
  return {};
}

}  // namespace

std::vector<std::string> library_paths() {
  return {"/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"};
}

std::vector<std::string> resolver_paths() {
  return {"/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf"};
}

Result<Fd> detach_working_directory() {
  Fd tree(static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, ".", kCloneTree | O_CLOEXEC)));
  if (!tree) return fail(error_of("state directory: open_tree"));
  return tree;
}

Status build_root(const Fd& state, Network network) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return fail(error_of("private mounts"));
  }
  // 64 KiB: a few directories and links.
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount("rap", kStage, "tmpfs", flags, "size=64k,mode=0755") != 0) {
    return fail(error_of("tmpfs"));
  }
  std::vector<std::string> paths = library_paths();
  if (network == Network::client) {
    std::erase(paths, "/etc/ld.so.cache");  // comes with /etc
    const auto more = resolver_paths();
    paths.insert(paths.end(), more.begin(), more.end());
  }
  for (const std::string& path : paths) {
    std::error_code ignored;
    const bool link = std::filesystem::is_symlink(path, ignored);
    if (!link && !std::filesystem::exists(path, ignored)) continue;
    auto done = link ? copy_link(path) : bind_read_only(path);
    if (!done) return done;
  }
  if (auto proc = mount_proc(); !proc) return proc;
  if (state) {
    if (auto attached = attach_state(state); !attached) return attached;
  }
  if (auto root = change_root(); !root) return root;
  if (mount(nullptr, "/", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY | flags, nullptr) != 0) {
    return fail(error_of("read-only root"));
  }
  return {};
}

}  // namespace rap::sandbox
