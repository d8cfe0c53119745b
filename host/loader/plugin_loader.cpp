#include "host/loader/plugin_loader.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <fmt/format.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "host/loader/sealed_memfd.hpp"

namespace rap::loader {
namespace {

constexpr std::uint32_t kStructMax = 4096;  // no table of the ABI comes near a page

tl::unexpected<Error> refuse(const std::string& what) {
  return fail(Errc::invalid, what);
}

// The memory of one loaded library. A descriptor may point anywhere; only what lies in here is
// read, so a wild pointer is an answer and not a crash.
class LibraryData {
 public:
  static Result<LibraryData> containing(const void* address) {
    Dl_info info{};
    link_map* map = nullptr;
    if (!::dladdr1(address, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) || !map) {
      return refuse("rap_plugin_v1 is in no library");
    }
    LibraryData data;
    data.map_ = map;
    ::dl_iterate_phdr([](dl_phdr_info* library, std::size_t,
                         void* self) { return static_cast<LibraryData*>(self)->take(*library); },
                      &data);
    if (data.segments_.empty()) return refuse("the library has no segments");
    return data;
  }

  const link_map* map() const { return map_; }

  template <typename T>
  Result<T> copy(const void* from, std::string_view what) const {
    const auto room = readable(from);
    // NOLINTBEGIN(bugprone-sizeof-expression): a pointer is meant where T is one
    if (!room || *room < sizeof(T)) return outside(what);
    T value;
    std::memcpy(&value, from, sizeof value);
    // NOLINTEND(bugprone-sizeof-expression)
    return value;
  }

  Result<std::string> text(const char* from, std::size_t longest, std::string_view what) const {
    const auto room = readable(from);
    if (!room) return outside(what);
    const std::size_t limit = std::min<std::uint64_t>(*room, longest + 1);
    const void* end = std::memchr(from, 0, limit);
    if (!end) return refuse(fmt::format("{} does not end within {} bytes", what, longest));
    return std::string(from, static_cast<const char*>(end));
  }

  // A list that ends with NULL.
  Result<std::vector<std::string>> list(const char* const* from, std::string_view what) const {
    std::vector<std::string> out;
    for (std::size_t i = 0; i <= kAdapterListMax; ++i) {
      auto item = copy<const char*>(from + i, what);
      if (!item) return fail(item.error());
      if (!*item) return out;
      auto name = text(*item, kAdapterTextMax, what);
      if (!name) return fail(name.error());
      out.push_back(std::move(*name));
    }
    return refuse(fmt::format("{} has more than {} names", what, kAdapterListMax));
  }

  bool is_code(std::uintptr_t address) const {
    return std::ranges::any_of(segments_, [&](const Segment& s) {
      return (s.flags & PF_X) && address >= s.start && address < s.end;
    });
  }

 private:
  struct Segment {
    std::uintptr_t start, end;
    std::uint32_t flags;
  };

  int take(const dl_phdr_info& library) {
    if (library.dlpi_addr != map_->l_addr) return 0;
    for (int i = 0; i < library.dlpi_phnum; ++i) {
      const auto& header = library.dlpi_phdr[i];
      if (header.p_type != PT_LOAD) continue;
      const std::uintptr_t start = library.dlpi_addr + header.p_vaddr;
      segments_.push_back({start, start + header.p_memsz, header.p_flags});
    }
    return 1;
  }

  // How many bytes can be read from there on.
  std::optional<std::uint64_t> readable(const void* from) const {
    const auto address = reinterpret_cast<std::uintptr_t>(from);
    for (const Segment& s : segments_) {
      if ((s.flags & PF_R) && address >= s.start && address < s.end) return s.end - address;
    }
    return std::nullopt;
  }

  static tl::unexpected<Error> outside(std::string_view what) {
    return refuse(fmt::format("{} points outside the library's own data (M2)", what));
  }

  const link_map* map_ = nullptr;
  std::vector<Segment> segments_;
};

Result<AdapterFacts> read_descriptor(const LibraryData& data, const rap_adapter_desc* from) {
  auto size = data.copy<std::uint32_t>(from, "a descriptor");
  if (!size) return fail(size.error());
  if (*size < sizeof(rap_adapter_desc) || *size > kStructMax) {
    return refuse(fmt::format("descriptor size {}, at least {}", *size, sizeof(rap_adapter_desc)));
  }
  auto desc = data.copy<rap_adapter_desc>(from, "a descriptor");
  if (!desc) return fail(desc.error());

  AdapterFacts facts;
  facts.share = desc->share;
  facts.fork_safe = (desc->flags & RAP_ADAPTER_FORK_SAFE) != 0;
  if (desc->reserved != 0) return refuse("descriptor: reserved is not zero (M5)");

  Status status;
  const auto text = [&](std::string& out, const char* value, std::size_t longest,
                        const char* what) {
    if (!status) return;
    auto read = data.text(value, longest, what);
    if (read) {
      out = std::move(*read);
    } else {
      status = fail(read.error());
    }
  };
  const auto list = [&](std::vector<std::string>& out, const char* const* value, const char* what) {
    if (!status) return;
    auto read = data.list(value, what);
    if (read) {
      out = std::move(*read);
    } else {
      status = fail(read.error());
    }
  };
  text(facts.id, desc->id, kAdapterTextMax, "id");
  text(facts.name, desc->name, kAdapterTextMax, "name");
  text(facts.vendor, desc->vendor, kAdapterTextMax, "vendor");
  text(facts.version, desc->version, kAdapterTextMax, "version");
  text(facts.profile, desc->profile, kAdapterTextMax, "profile");
  text(facts.config_schema, desc->config_schema, kConfigSchemaMax, "config_schema");
  list(facts.roles, desc->roles, "roles");
  list(facts.needs, desc->needs, "needs");
  list(facts.wants, desc->wants, "wants");
  list(facts.provides, desc->provides, "provides");
  if (!status) return fail(status.error());
  if (auto ok = check_adapter_facts(facts); !ok) return fail(ok.error());
  return facts;
}

Result<rap_plugin> read_plugin(const LibraryData& data, const void* symbol) {
  auto magic = data.copy<std::uint32_t>(symbol, "rap_plugin_v1");
  if (!magic) return fail(magic.error());
  if (*magic != RAP_MAGIC) return refuse(fmt::format("magic {:#x}, not {:#x}", *magic, RAP_MAGIC));
  auto plugin = data.copy<rap_plugin>(symbol, "rap_plugin_v1");
  if (!plugin) return fail(plugin.error());
  if (plugin->abi_major != RAP_ABI_MAJOR) {
    return fail(Errc::unsupported,
                fmt::format("ABI major {}, this host speaks {}", plugin->abi_major, RAP_ABI_MAJOR));
  }
  if (plugin->size < sizeof(rap_plugin) || plugin->size > kStructMax) {
    return refuse(fmt::format("plugin size {}, at least {}", plugin->size, sizeof(rap_plugin)));
  }
  if (plugin->adapter_count == 0 || plugin->adapter_count > kAdaptersMax) {
    return refuse(
        fmt::format("{} adapters, 1 to {} are allowed", plugin->adapter_count, kAdaptersMax));
  }
  if (plugin->warm_up && !data.is_code(reinterpret_cast<std::uintptr_t>(plugin->warm_up))) {
    return refuse("warm_up is not code of the library");
  }
  if (!data.is_code(reinterpret_cast<std::uintptr_t>(plugin->create))) {
    return refuse("create is not code of the library");
  }
  return plugin;
}

Result<std::vector<AdapterFacts>> read_all(const LibraryData& data, const void* symbol) {
  auto plugin = read_plugin(data, symbol);
  if (!plugin) return fail(plugin.error());
  std::vector<AdapterFacts> out;
  for (std::uint32_t i = 0; i < plugin->adapter_count; ++i) {
    auto desc = data.copy<const rap_adapter_desc*>(plugin->adapters + i, "adapters");
    if (!desc) return fail(desc.error());
    auto facts = read_descriptor(data, *desc);
    if (!facts) return fail(facts.error());
    for (const AdapterFacts& other : out) {
      if (other.id == facts->id) return refuse("two adapters with the id " + facts->id);
    }
    out.push_back(std::move(*facts));
  }
  return out;
}

// Without the name under which we opened it: nobody knows a descriptor of ours.
std::string dl_failure(const std::string& path) {
  const char* said = ::dlerror();
  std::string text = said ? said : "unknown";
  if (text.starts_with(path + ": ")) text.erase(0, path.size() + 2);
  return text;
}

}  // namespace

Result<std::vector<AdapterFacts>> read_descriptors(const void* symbol) {
  auto data = LibraryData::containing(symbol);
  if (!data) return fail(data.error());
  return read_all(*data, symbol);
}

Result<LoadedPlugin> load_plugin(Fd sealed) {
  if (auto ok = check_seals(sealed.get()); !ok) return fail(ok.error());
  LoadedPlugin out;
  // Not /proc/self: a debugger that reads the name would look at its own descriptor.
  out.path = fmt::format("/proc/{}/fd/{}", ::getpid(), sealed.get());
  if (::dlopen(out.path.c_str(), RTLD_NOLOAD | RTLD_LAZY)) {
    return fail(Errc::mismatch, "this file is loaded already");
  }
  ::dlerror();
  void* library = ::dlopen(out.path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) return refuse(dl_failure(out.path));
  sealed.release();

  const void* symbol = ::dlsym(library, RAP_PLUGIN_SYMBOL);
  if (!symbol) return refuse("exports no " RAP_PLUGIN_SYMBOL);
  link_map* map = nullptr;
  if (::dlinfo(library, RTLD_DI_LINKMAP, &map) != 0) return refuse(dl_failure(out.path));
  auto data = LibraryData::containing(symbol);
  if (!data) return fail(data.error());
  // dlsym also looks into the libraries the plugin needs.
  if (data->map() != map) return refuse(RAP_PLUGIN_SYMBOL " belongs to another library");

  auto adapters = read_all(*data, symbol);
  if (!adapters) return fail(adapters.error());
  out.plugin = static_cast<const rap_plugin*>(symbol);
  out.adapters = std::move(*adapters);
  out.abi_minor = out.plugin->abi_minor;
  return out;
}

}  // namespace rap::loader
