// Loading leaves a library behind, so each load of a test happens in a child.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "base/file.hpp"
#include "host/loader/plugin_loader.hpp"
#include "host/loader/plugin_manifest.hpp"
#include "host/loader/sealed_memfd.hpp"

namespace rap::loader {

inline std::string zoo(const std::string& name) {
  return std::string(RAP_ZOO_DIR) + "/" + name + ".so";
}
inline std::string example(const std::string& name) {
  return std::string(RAP_PLUGIN_DIR) + "/" + name + ".so";
}

// What `body` returns in a child; "signal 11" and the like when it died.
inline std::string in_child(const std::function<std::string()>& body) {
  int ends[2];
  if (::pipe(ends) != 0) return "pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    const std::string out = body();
    if (::write(ends[1], out.data(), out.size()) < 0) ::_exit(1);
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string out;
  char buffer[4096];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    out.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status)) : out;
}

// "loaded <id>" or the error.
inline std::string load_result(const std::string& path) {
  return in_child([&]() -> std::string {
    auto sealed = seal_file(path);
    if (!sealed) return sealed.error().text();
    auto plugin = load_plugin(std::move(sealed->fd));
    if (!plugin) return plugin.error().text();
    return "loaded " + plugin->adapters[0].id;
  });
}

}  // namespace rap::loader
