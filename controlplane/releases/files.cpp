#include "controlplane/releases/files.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace rap::cp {

Reply stored_file(const std::filesystem::path& folder, std::string_view path) {
  if (path.empty() || path.size() > 1024 || path.front() == '/' ||
      path.find('\0') != std::string_view::npos) {
    refuse_not_found();
  }
  const Fd base(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!base) refuse_not_found();
  // The kernel keeps the walk below the folder: no "..", no link, no race with a rename.
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const std::string name(path);
  auto file = std::make_shared<Fd>(
      static_cast<int>(::syscall(SYS_openat2, base.get(), name.c_str(), &how, sizeof how)));
  struct stat info {};
  if (!*file || ::fstat(file->get(), &info) != 0 || !S_ISREG(info.st_mode)) refuse_not_found();
  Reply reply;
  reply.content_type = name.ends_with(".json") ? "application/json" : "application/octet-stream";
  reply.file = net::FileBody{std::move(file), 0, static_cast<std::uint64_t>(info.st_size)};
  return reply;
}

}  // namespace rap::cp
