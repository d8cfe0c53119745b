#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <set>

#include "host/loader/elf_check.hpp"

namespace rap::loader {
namespace {

#if defined(__x86_64__)
constexpr std::uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
#else
#error "rap plugins exist for x86_64 and aarch64"
#endif

constexpr std::uint64_t kPage = 4096;

tl::unexpected<Error> malformed(std::string what) {
  return fail(Errc::malformed, "ELF: " + std::move(what));
}

// Tags that make the dynamic loader look elsewhere, load more, or let others see this library.
constexpr std::array<std::pair<std::int64_t, std::string_view>, 10> kForbiddenTags{{
    {DT_RPATH, "DT_RPATH"},
    {DT_RUNPATH, "DT_RUNPATH"},
    {DT_AUDIT, "DT_AUDIT"},
    {DT_DEPAUDIT, "DT_DEPAUDIT"},
    {DT_FILTER, "DT_FILTER"},
    {DT_AUXILIARY, "DT_AUXILIARY"},
    {DT_CONFIG, "DT_CONFIG"},
    {DT_DEBUG, "DT_DEBUG"},
    {DT_SYMINFO, "DT_SYMINFO"},
    {DT_MOVETAB, "DT_MOVETAB"},
}};
constexpr std::array<std::pair<std::uint64_t, std::string_view>, 5> kForbiddenFlags1{{
    {DF_1_INTERPOSE, "DF_1_INTERPOSE"},
    {DF_1_GLOBAL, "DF_1_GLOBAL"},
    {DF_1_LOADFLTR, "DF_1_LOADFLTR"},
    {DF_1_PIE, "DF_1_PIE"},
    {DF_1_NOOPEN, "DF_1_NOOPEN"},
}};

class Reader {
 public:
  explicit Reader(ByteView file) : file_(file) {}

  Result<ElfFacts> read() {
    if (auto ok = read_header(); !ok) return fail(ok.error());
    if (auto ok = read_segments(); !ok) return fail(ok.error());
    if (auto ok = read_dynamic(); !ok) return fail(ok.error());
    if (auto ok = read_strings(); !ok) return fail(ok.error());
    if (auto ok = read_symbols(); !ok) return fail(ok.error());
    if (auto ok = read_versions(); !ok) return fail(ok.error());
    return std::move(facts_);
  }

 private:
  struct Load {
    std::uint64_t address, offset, size;  // `size` bytes are in the file
  };

  // A copy of the T at `offset`, or nothing. Copies, because nothing in the file need be aligned.
  template <typename T>
  std::optional<T> at(std::uint64_t offset) const {
    if (offset > file_.size() || file_.size() - offset < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, file_.data() + offset, sizeof value);
    return value;
  }

  // The file's bytes behind `size` bytes at a virtual address; they must lie in one segment.
  std::optional<ByteView> bytes_at(std::uint64_t address, std::uint64_t size) const {
    for (const Load& load : loads_) {
      if (address < load.address || address - load.address > load.size) continue;
      const std::uint64_t inside = address - load.address;
      if (load.size - inside < size) continue;
      return file_.subspan(load.offset + inside, size);
    }
    return std::nullopt;
  }
  template <typename T>
  std::optional<T> at_address(std::uint64_t address) const {
    if (const auto bytes = bytes_at(address, sizeof(T))) {
      T value;
      std::memcpy(&value, bytes->data(), sizeof value);
      return value;
    }
    return std::nullopt;
  }

  Status read_header() {
    const auto header = at<Elf64_Ehdr>(0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
      return fail(Errc::malformed, "this is no ELF library: the file does not begin as one");
    }
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_ident[EI_VERSION] != EV_CURRENT || header->e_version != EV_CURRENT) {
      return malformed("not a little-endian 64-bit file");
    }
    const auto abi = header->e_ident[EI_OSABI];
    if (abi != ELFOSABI_NONE && abi != ELFOSABI_LINUX) return malformed("for another system");
    if (header->e_phentsize != sizeof(Elf64_Phdr)) return malformed("program header size");
    if (header->e_phnum == 0 || header->e_phnum > kElfSegmentsMax) {
      return malformed(fmt::format("{} program headers", header->e_phnum));
    }
    facts_.shared_object = header->e_type == ET_DYN;
    facts_.this_machine = header->e_machine == kMachine;
    header_ = *header;
    return {};
  }

  Status read_segments() {
    std::uint64_t end = 0;
    for (std::uint64_t i = 0; i < header_.e_phnum; ++i) {
      if (header_.e_phoff > file_.size()) return malformed("program headers outside the file");
      const auto segment = at<Elf64_Phdr>(header_.e_phoff + i * sizeof(Elf64_Phdr));
      if (!segment) return malformed("program headers outside the file");
      if (auto ok = read_segment(*segment, end); !ok) return ok;
    }
    if (loads_.empty()) return malformed("nothing to load");
    if (!dynamic_) return malformed("no dynamic section");
    return {};
  }

  Status read_segment(const Elf64_Phdr& segment, std::uint64_t& end) {
    switch (segment.p_type) {
      case PT_LOAD:
        return add_load(segment, end);
      case PT_DYNAMIC:
        if (dynamic_) return malformed("two dynamic sections");
        dynamic_ = segment;
        break;
      case PT_INTERP:
        facts_.interpreter = true;
        break;
      case PT_GNU_STACK:
        if (facts_.stack_header) return malformed("two stack headers");
        facts_.stack_header = true;
        facts_.stack_executable = (segment.p_flags & PF_X) != 0;
        break;
      case PT_GNU_RELRO:
        facts_.relro = true;
        break;
      case PT_NOTE:
        return read_notes(segment);
      default:
        break;
    }
    return {};
  }

  Status add_load(const Elf64_Phdr& segment, std::uint64_t& end) {
    if (segment.p_filesz > segment.p_memsz || segment.p_offset > file_.size() ||
        file_.size() - segment.p_offset < segment.p_filesz) {
      return malformed("a segment outside the file");
    }
    if (segment.p_vaddr > UINT64_MAX / 2 || segment.p_memsz > UINT64_MAX / 4 ||
        segment.p_vaddr % kPage != segment.p_offset % kPage) {
      return malformed("a segment at an impossible address");
    }
    // Later segments are mapped over earlier ones, so pages that overlap have two meanings.
    if (!loads_.empty() && segment.p_vaddr / kPage * kPage < end) {
      return malformed("overlapping segments");
    }
    end = (segment.p_vaddr + segment.p_memsz + kPage - 1) / kPage * kPage;
    if ((segment.p_flags & PF_W) && (segment.p_flags & PF_X)) facts_.writable_code = true;
    loads_.push_back({segment.p_vaddr, segment.p_offset, segment.p_filesz});
    return {};
  }

  // Only the build id is of interest; notes that make no sense are skipped, nothing depends on
  // them.
  Status read_notes(const Elf64_Phdr& segment) {
    if (segment.p_offset > file_.size() || file_.size() - segment.p_offset < segment.p_filesz) {
      return malformed("notes outside the file");
    }
    const std::uint64_t end = segment.p_offset + segment.p_filesz;
    const std::uint64_t align = segment.p_align == 8 ? 8 : 4;
    std::uint64_t place = segment.p_offset;
    while (end - place >= sizeof(Elf64_Nhdr)) {
      const auto note = at<Elf64_Nhdr>(place);
      if (!note) break;
      const std::uint64_t name = place + sizeof(Elf64_Nhdr);
      const std::uint64_t data = name + round_up(note->n_namesz, align);
      const std::uint64_t next = data + round_up(note->n_descsz, align);
      if (data + note->n_descsz > end || next <= place) break;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && note->n_descsz <= 64 &&
          std::memcmp(file_.data() + name, "GNU", 4) == 0) {
        facts_.build_id = to_hex(file_.subspan(data, note->n_descsz));
      }
      if (next > end) break;
      place = next;
    }
    return {};
  }
  static std::uint64_t round_up(std::uint64_t value, std::uint64_t align) {
    return (value + align - 1) / align * align;
  }

  Status read_dynamic() {
    std::set<std::int64_t> seen;
    for (std::size_t i = 0;; ++i) {
      if (i == kElfDynamicMax) return fail(Errc::too_large, "ELF: dynamic section");
      const auto entry = at_address<Elf64_Dyn>(dynamic_->p_vaddr + i * sizeof(Elf64_Dyn));
      if (!entry) return malformed("the dynamic section does not end inside its segment");
      if (entry->d_tag == DT_NULL) return {};
      if (entry->d_tag == DT_NEEDED) {
        if (needed_.size() == kElfNeededMax) return fail(Errc::too_large, "ELF: DT_NEEDED");
        needed_.push_back(entry->d_un.d_val);
        continue;
      }
      if (!seen.insert(entry->d_tag).second) return malformed("a dynamic tag twice");
      take_tag(entry->d_tag, entry->d_un.d_val);
    }
  }

  void take_tag(std::int64_t tag, std::uint64_t value) {
    for (const auto& [forbidden, name] : kForbiddenTags) {
      if (tag == forbidden) facts_.forbidden.emplace_back(name);
    }
    switch (tag) {
      case DT_STRTAB:
        strings_at_ = value;
        break;
      case DT_STRSZ:
        strings_size_ = value;
        break;
      case DT_SYMTAB:
        symbols_at_ = value;
        break;
      case DT_SYMENT:
        symbol_size_ = value;
        break;
      case DT_HASH:
        hash_at_ = value;
        break;
      case DT_GNU_HASH:
        gnu_hash_at_ = value;
        break;
      case DT_VERNEED:
        versions_at_ = value;
        break;
      case DT_VERNEEDNUM:
        versions_count_ = value;
        break;
      case DT_SONAME:
        soname_at_ = value;
        break;
      case DT_TEXTREL:
        facts_.text_relocations = true;
        break;
      case DT_PREINIT_ARRAY:
        facts_.preinit = true;
        break;
      case DT_INIT_ARRAYSZ:
        facts_.constructors = value / sizeof(Elf64_Addr);
        break;
      case DT_BIND_NOW:
        facts_.bind_now = true;
        break;
      case DT_FLAGS:
        if (value & DF_TEXTREL) facts_.text_relocations = true;
        if (value & DF_BIND_NOW) facts_.bind_now = true;
        break;
      case DT_FLAGS_1:
        if (value & DF_1_NOW) facts_.bind_now = true;
        for (const auto& [forbidden, name] : kForbiddenFlags1) {
          if (value & forbidden) facts_.forbidden.emplace_back(name);
        }
        break;
      default:
        break;
    }
  }

  Status read_strings() {
    if (!strings_at_ || !strings_size_) return malformed("no string table");
    const auto table = bytes_at(*strings_at_, *strings_size_);
    if (!table) return malformed("the string table is not in the file");
    strings_ = *table;
    for (const std::uint64_t offset : needed_) {
      auto name = string_at(offset);
      if (!name) return fail(name.error());
      facts_.needed.push_back(std::move(*name));
    }
    if (soname_at_) {
      auto name = string_at(*soname_at_);
      if (!name) return fail(name.error());
      facts_.soname = std::move(*name);
    }
    return {};
  }

  Result<std::string> string_at(std::uint64_t offset) const {
    if (offset >= strings_.size()) return malformed("a name outside the string table");
    const ByteView rest = strings_.subspan(offset, std::min(strings_.size() - offset, kElfNameMax));
    const auto end = std::find(rest.begin(), rest.end(), std::uint8_t{0});
    if (end == rest.end()) return malformed("a name without an end");
    return std::string(as_text(rest.first(static_cast<std::size_t>(end - rest.begin()))));
  }

  // No table says how many symbols there are; the two hash tables imply it. The loader finds a
  // symbol only through one of them, so the larger count covers whatever it can find.
  Status read_symbols() {
    if (!symbols_at_ || symbol_size_ != sizeof(Elf64_Sym)) return malformed("no symbol table");
    if (!hash_at_ && !gnu_hash_at_) return malformed("no hash table");
    std::uint64_t count = 0;
    if (hash_at_) {
      const auto chains = at_address<std::uint32_t>(*hash_at_ + 4);
      if (!chains) return malformed("hash table");
      count = *chains;
    }
    if (gnu_hash_at_) {
      auto counted = count_gnu_hash(*gnu_hash_at_);
      if (!counted) return fail(counted.error());
      count = std::max(count, *counted);
    }
    if (count > kElfSymbolsMax) return fail(Errc::too_large, "ELF: symbols");
    const auto table = bytes_at(*symbols_at_, count * sizeof(Elf64_Sym));
    if (!table) return malformed("the symbol table is not in the file");
    for (std::uint64_t i = 1; i < count; ++i) {
      Elf64_Sym symbol;
      std::memcpy(&symbol, table->data() + i * sizeof symbol, sizeof symbol);
      if (auto ok = take_symbol(symbol); !ok) return ok;
    }
    return {};
  }

  Status take_symbol(const Elf64_Sym& symbol) {
    const unsigned binding = ELF64_ST_BIND(symbol.st_info);
    if (symbol.st_shndx == SHN_UNDEF || binding == STB_LOCAL) return {};
    auto name = string_at(symbol.st_name);
    if (!name) return fail(name.error());
    const bool object = ELF64_ST_TYPE(symbol.st_info) == STT_OBJECT;
    facts_.exported.push_back(
        {std::move(*name), symbol.st_size, object, binding == STB_GNU_UNIQUE});
    return {};
  }

  Result<std::uint64_t> count_gnu_hash(std::uint64_t address) const {
    const auto buckets = at_address<std::uint32_t>(address);
    const auto first = at_address<std::uint32_t>(address + 4);
    const auto bloom = at_address<std::uint32_t>(address + 8);
    if (!buckets || !first || !bloom || *buckets > kElfSymbolsMax || *first > kElfSymbolsMax ||
        *bloom > kElfSymbolsMax) {
      return malformed("hash table");
    }
    const std::uint64_t bucket_at = address + 16 + std::uint64_t{*bloom} * 8;
    const std::uint64_t chain_at = bucket_at + std::uint64_t{*buckets} * 4;
    std::uint64_t last = *first;
    bool any = false;
    for (std::uint64_t i = 0; i < *buckets; ++i) {
      const auto symbol = at_address<std::uint32_t>(bucket_at + i * 4);
      if (!symbol) return malformed("hash table");
      if (*symbol == 0) continue;
      if (*symbol < *first) return malformed("hash table");
      last = std::max<std::uint64_t>(last, *symbol);
      any = true;
    }
    if (!any) return std::uint64_t{*first};
    // Chains follow each other, so the end of the one that starts last is the end of all.
    for (; last < kElfSymbolsMax; ++last) {
      const auto chain = at_address<std::uint32_t>(chain_at + (last - *first) * 4);
      if (!chain) return malformed("hash table");
      if (*chain & 1) return last + 1;
    }
    return fail(Errc::too_large, "ELF: symbols");
  }

  Status read_versions() {
    if (!versions_at_) return {};
    std::uint64_t place = *versions_at_;
    for (std::uint64_t i = 0; i < versions_count_; ++i) {
      const auto need = at_address<Elf64_Verneed>(place);
      if (!need || need->vn_version != VER_NEED_CURRENT) return malformed("version needs");
      auto library = string_at(need->vn_file);
      if (!library) return fail(library.error());
      std::uint64_t inner = place + need->vn_aux;
      for (unsigned j = 0; j < need->vn_cnt; ++j) {
        const auto aux = at_address<Elf64_Vernaux>(inner);
        if (!aux) return malformed("version needs");
        auto version = string_at(aux->vna_name);
        if (!version) return fail(version.error());
        if (facts_.versions.size() == kElfVersionsMax) {
          return fail(Errc::too_large, "ELF: version needs");
        }
        facts_.versions.push_back({*library, std::move(*version)});
        if (aux->vna_next == 0) break;
        inner += aux->vna_next;
      }
      if (need->vn_next == 0) break;
      place += need->vn_next;
    }
    return {};
  }

  ByteView file_;
  ElfFacts facts_;
  Elf64_Ehdr header_{};
  std::vector<Load> loads_;
  std::optional<Elf64_Phdr> dynamic_;
  std::vector<std::uint64_t> needed_;
  ByteView strings_;
  std::optional<std::uint64_t> strings_at_, strings_size_, symbols_at_, hash_at_, gnu_hash_at_,
      versions_at_, soname_at_;
  std::uint64_t symbol_size_ = 0, versions_count_ = 0;
};

}  // namespace

Result<ElfFacts> read_elf(ByteView file) {
  return Reader(file).read();
}

}  // namespace rap::loader
