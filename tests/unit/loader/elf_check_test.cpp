#include "host/loader/elf_check.hpp"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "support.hpp"

namespace rap::loader {
namespace {

Bytes file_of(const std::string& path) {
  auto bytes = read_file(path, 1 << 24);
  EXPECT_TRUE(bytes) << path;
  return bytes ? *bytes : Bytes();
}

bool has_finding(const std::string& name, std::string_view text) {
  const auto facts = read_elf(file_of(zoo(name)));
  if (!facts) return false;
  const auto findings = plugin_elf_findings(*facts);
  return findings.size() == 1 && findings[0].rule == "P4" &&
         findings[0].text.find(text) != std::string::npos;
}

// The program header or dynamic entry of a good plugin, for a test to spoil.
struct Edited {
  Bytes bytes = file_of(zoo("good"));

  template <typename T>
  T get(std::size_t at) const {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  }
  template <typename T>
  void put(std::size_t at, const T& value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
  Elf64_Ehdr header() const { return get<Elf64_Ehdr>(0); }
  std::size_t segment_at(std::uint32_t type, int nth = 0) const {
    for (std::size_t i = 0; i < header().e_phnum; ++i) {
      const std::size_t at = header().e_phoff + i * sizeof(Elf64_Phdr);
      if (get<Elf64_Phdr>(at).p_type == type && nth-- == 0) return at;
    }
    ADD_FAILURE() << "no segment " << type;
    return 0;
  }
  std::size_t dynamic_at(std::int64_t tag) const {
    const auto segment = get<Elf64_Phdr>(segment_at(PT_DYNAMIC));
    for (std::size_t at = segment.p_offset;; at += sizeof(Elf64_Dyn)) {
      if (get<Elf64_Dyn>(at).d_tag == tag) return at;
      if (get<Elf64_Dyn>(at).d_tag == DT_NULL) break;
    }
    ADD_FAILURE() << "no tag " << tag;
    return 0;
  }
  void set_dynamic(std::int64_t tag, std::int64_t new_tag, std::uint64_t value) {
    Elf64_Dyn entry{};
    entry.d_tag = new_tag;
    entry.d_un.d_val = value;
    put(dynamic_at(tag), entry);
  }
};

TEST(ElfCheck, ReadsAGoodPlugin) {
  for (const std::string& path : {example("echo"), example("echo-c"), zoo("good")}) {
    const auto facts = check_plugin_elf(file_of(path));
    ASSERT_TRUE(facts) << path << ": " << facts.error().text();
    ASSERT_EQ(facts->exported.size(), 1u);
    EXPECT_EQ(facts->exported[0].name, "rap_plugin_v1");
    EXPECT_EQ(facts->build_id.size(), 40u);
    EXPECT_TRUE(std::ranges::count(facts->needed, "libc.so.6"));
    EXPECT_TRUE(std::ranges::any_of(facts->versions, [](const ElfVersion& v) {
      return v.library == "libc.so.6" && v.version == "GLIBC_2.2.5";
    }));
  }
  // The compiler's own; a sanitizer would add more to the examples.
  EXPECT_LE(read_elf(file_of(zoo("good")))->constructors, 1u);
}

TEST(ElfCheck, NamesTheBrokenRule) {
  EXPECT_TRUE(has_finding("runpath", "DT_RUNPATH"));
  EXPECT_TRUE(has_finding("exec-stack", "executable stack"));
  EXPECT_TRUE(has_finding("lazy-binding", "-z now"));
  EXPECT_TRUE(has_finding("extra-export", "zoo_extra"));
  EXPECT_FALSE(check_plugin_elf(file_of("/bin/true")));
  EXPECT_FALSE(check_plugin_elf(file_of(RAP_LIBC)));
}

struct Hostile {
  const char* name;
  void (*spoil)(Edited&);
};

class HostileElf : public testing::TestWithParam<Hostile> {};

// Every row must be refused, by the reader or by the rules, without a read outside the bytes (the
// sanitizer build says so).
TEST_P(HostileElf, IsRefused) {
  Edited file;
  GetParam().spoil(file);
  EXPECT_FALSE(check_plugin_elf(file.bytes));
}

const Hostile kHostile[] = {
    {"empty", [](Edited& f) { f.bytes.clear(); }},
    {"magic", [](Edited& f) { f.bytes[0] = 0; }},
    {"header_cut", [](Edited& f) { f.bytes.resize(sizeof(Elf64_Ehdr) - 1); }},
    {"32_bit", [](Edited& f) { f.bytes[EI_CLASS] = ELFCLASS32; }},
    {"big_endian", [](Edited& f) { f.bytes[EI_DATA] = ELFDATA2MSB; }},
    {"other_system", [](Edited& f) { f.bytes[EI_OSABI] = ELFOSABI_FREEBSD; }},
    {"executable",
     [](Edited& f) {
       auto h = f.header();
       h.e_type = ET_EXEC;
       f.put(0, h);
     }},
    {"other_machine",
     [](Edited& f) {
       auto h = f.header();
       h.e_machine = EM_RISCV;
       f.put(0, h);
     }},
    {"no_segments",
     [](Edited& f) {
       auto h = f.header();
       h.e_phnum = 0;
       f.put(0, h);
     }},
    {"many_segments",
     [](Edited& f) {
       auto h = f.header();
       h.e_phnum = 0xffff;
       f.put(0, h);
     }},
    {"segment_entry_size",
     [](Edited& f) {
       auto h = f.header();
       h.e_phentsize = 8;
       f.put(0, h);
     }},
    {"segments_at_the_end_of_the_world",
     [](Edited& f) {
       auto h = f.header();
       h.e_phoff = UINT64_MAX - 8;
       f.put(0, h);
     }},
    {"segments_past_the_file",
     [](Edited& f) {
       auto h = f.header();
       h.e_phoff = f.bytes.size() - 10;
       f.put(0, h);
     }},
    {"load_past_the_file",
     [](Edited& f) {
       const auto at = f.segment_at(PT_LOAD);
       auto p = f.get<Elf64_Phdr>(at);
       p.p_filesz = p.p_memsz = f.bytes.size() + 1;
       f.put(at, p);
     }},
    {"load_offset_overflows",
     [](Edited& f) {
       const auto at = f.segment_at(PT_LOAD);
       auto p = f.get<Elf64_Phdr>(at);
       p.p_offset = UINT64_MAX - 4095;
       f.put(at, p);
     }},
    {"load_address_overflows",
     [](Edited& f) {
       const auto at = f.segment_at(PT_LOAD);
       auto p = f.get<Elf64_Phdr>(at);
       p.p_vaddr = UINT64_MAX - 4095;
       f.put(at, p);
     }},
    {"loads_overlap",
     [](Edited& f) {
       const auto at = f.segment_at(PT_LOAD, 1);
       auto p = f.get<Elf64_Phdr>(at);
       p.p_vaddr = p.p_offset % 4096;
       f.put(at, p);
     }},
    {"writable_code",
     [](Edited& f) {
       const auto at = f.segment_at(PT_LOAD);
       auto p = f.get<Elf64_Phdr>(at);
       p.p_flags = PF_R | PF_W | PF_X;
       f.put(at, p);
     }},
    {"no_dynamic",
     [](Edited& f) {
       const auto at = f.segment_at(PT_DYNAMIC);
       auto p = f.get<Elf64_Phdr>(at);
       p.p_type = PT_NULL;
       f.put(at, p);
     }},
    {"two_dynamics",
     [](Edited& f) {
       const auto p = f.get<Elf64_Phdr>(f.segment_at(PT_DYNAMIC));
       f.put(f.segment_at(PT_GNU_RELRO), p);
     }},
    {"dynamic_elsewhere",
     [](Edited& f) {
       const auto at = f.segment_at(PT_DYNAMIC);
       auto p = f.get<Elf64_Phdr>(at);
       p.p_vaddr = 0x7000000;
       f.put(at, p);
     }},
    {"no_stack_header",
     [](Edited& f) {
       const auto at = f.segment_at(PT_GNU_STACK);
       auto p = f.get<Elf64_Phdr>(at);
       p.p_type = PT_NULL;
       f.put(at, p);
     }},
    {"program",
     [](Edited& f) {
       const auto at = f.segment_at(PT_GNU_STACK);
       auto p = f.get<Elf64_Phdr>(at);
       p.p_type = PT_INTERP;
       f.put(at, p);
     }},
    {"rpath", [](Edited& f) { f.set_dynamic(DT_FINI, DT_RPATH, 1); }},
    {"audit", [](Edited& f) { f.set_dynamic(DT_FINI, DT_AUDIT, 1); }},
    {"depaudit", [](Edited& f) { f.set_dynamic(DT_FINI, DT_DEPAUDIT, 1); }},
    {"filter", [](Edited& f) { f.set_dynamic(DT_FINI, DT_FILTER, 1); }},
    {"auxiliary", [](Edited& f) { f.set_dynamic(DT_FINI, DT_AUXILIARY, 1); }},
    {"textrel", [](Edited& f) { f.set_dynamic(DT_FINI, DT_TEXTREL, 0); }},
    {"textrel_flag",
     [](Edited& f) { f.set_dynamic(DT_FLAGS, DT_FLAGS, DF_BIND_NOW | DF_TEXTREL); }},
    {"interpose",
     [](Edited& f) { f.set_dynamic(DT_FLAGS_1, DT_FLAGS_1, DF_1_NOW | DF_1_INTERPOSE); }},
    {"global", [](Edited& f) { f.set_dynamic(DT_FLAGS_1, DT_FLAGS_1, DF_1_NOW | DF_1_GLOBAL); }},
    {"preinit", [](Edited& f) { f.set_dynamic(DT_FINI, DT_PREINIT_ARRAY, 0x1000); }},
    {"tag_twice", [](Edited& f) { f.set_dynamic(DT_FINI, DT_SYMTAB, 0x1000); }},
    {"no_strings", [](Edited& f) { f.set_dynamic(DT_STRTAB, DT_FINI + 0x1000000, 0); }},
    {"strings_elsewhere", [](Edited& f) { f.set_dynamic(DT_STRTAB, DT_STRTAB, 0x9000000); }},
    {"strings_too_long", [](Edited& f) { f.set_dynamic(DT_STRSZ, DT_STRSZ, UINT64_MAX); }},
    {"needed_outside", [](Edited& f) { f.set_dynamic(DT_NEEDED, DT_NEEDED, 1 << 30); }},
    {"symbols_elsewhere", [](Edited& f) { f.set_dynamic(DT_SYMTAB, DT_SYMTAB, UINT64_MAX - 8); }},
    {"symbol_size", [](Edited& f) { f.set_dynamic(DT_SYMENT, DT_SYMENT, 1); }},
    {"hash_elsewhere", [](Edited& f) { f.set_dynamic(DT_GNU_HASH, DT_GNU_HASH, 0x9000000); }},
    {"no_hash", [](Edited& f) { f.set_dynamic(DT_GNU_HASH, DT_FINI + 0x1000000, 0); }},
    {"hash_counts",
     [](Edited& f) {
       const auto hash = f.get<Elf64_Dyn>(f.dynamic_at(DT_GNU_HASH));
       f.put<std::uint32_t>(hash.d_un.d_val, 0xffffffffu);
     }},
    {"hash_first_symbol",
     [](Edited& f) {
       const auto hash = f.get<Elf64_Dyn>(f.dynamic_at(DT_GNU_HASH));
       f.put<std::uint32_t>(hash.d_un.d_val + 4, 0x7fffffffu);
     }},
    {"versions_elsewhere", [](Edited& f) { f.set_dynamic(DT_VERNEED, DT_VERNEED, 0x9000000); }},
    {"soname_outside", [](Edited& f) { f.set_dynamic(DT_FINI, DT_SONAME, UINT64_MAX); }},
    {"exports_nothing",
     [](Edited& f) {
       const auto table = f.get<Elf64_Dyn>(f.dynamic_at(DT_SYMTAB)).d_un.d_val;
       for (int i = 1; i < 64; ++i) {
         auto s = f.get<Elf64_Sym>(table + i * sizeof(Elf64_Sym));
         if (s.st_shndx == SHN_UNDEF) continue;
         s.st_shndx = SHN_UNDEF;
         f.put(table + i * sizeof(Elf64_Sym), s);
         return;
       }
     }},
    {"exports_a_function",
     [](Edited& f) {
       const auto table = f.get<Elf64_Dyn>(f.dynamic_at(DT_SYMTAB)).d_un.d_val;
       for (int i = 1; i < 64; ++i) {
         auto s = f.get<Elf64_Sym>(table + i * sizeof(Elf64_Sym));
         if (s.st_shndx == SHN_UNDEF) continue;
         s.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
         f.put(table + i * sizeof(Elf64_Sym), s);
         return;
       }
     }},
};

INSTANTIATE_TEST_SUITE_P(Table, HostileElf, testing::ValuesIn(kHostile),
                         [](const auto& row) { return "x" + std::string(row.param.name); });

TEST(ElfCheck, EveryCutIsRefusedOrRead) {
  const Bytes whole = file_of(zoo("good"));
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    (void)check_plugin_elf(cut);
  }
}

TEST(ElfCheck, KnowsItsOwnSymbolNames) {
  EXPECT_EQ(plugin_symbol_major("rap_plugin_v1"), 1u);
  EXPECT_EQ(plugin_symbol_major("rap_plugin_v12"), 12u);
  for (const char* name : {"rap_plugin_v", "rap_plugin_v0", "rap_plugin_v01", "rap_plugin_v1x",
                           "rap_plugin_v123", "xrap_plugin_v1", ""}) {
    EXPECT_EQ(plugin_symbol_major(name), 0u) << name;
  }
}

}  // namespace
}  // namespace rap::loader
