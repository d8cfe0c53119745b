#include "host/loader/sealed_memfd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.hpp"

namespace rap::loader {
namespace {

TEST(SealedMemfd, HashesWhatItCopied) {
  const auto sealed = seal_file(example("echo"));
  ASSERT_TRUE(sealed) << sealed.error().text();
  const auto plain = read_file(example("echo"), 1 << 20);
  ASSERT_TRUE(plain);
  EXPECT_EQ(sealed->size, plain->size());
  EXPECT_EQ(sealed->sha256, sha256(*plain));
  const auto mapping = SealedMapping::map(sealed->fd.get());
  ASSERT_TRUE(mapping);
  EXPECT_TRUE(std::equal(plain->begin(), plain->end(), mapping->bytes().begin()));
}

TEST(SealedMemfd, CannotBeChangedAfterwards) {
  const auto sealed = seal_bytes(as_bytes("0123456789"), "test");
  ASSERT_TRUE(sealed);
  const int fd = sealed->fd.get();
  EXPECT_EQ(::pwrite(fd, "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(fd, 5), -1);
  EXPECT_EQ(::ftruncate(fd, 50), -1);
  EXPECT_EQ(::fcntl(fd, F_ADD_SEALS, 0), -1);
  EXPECT_EQ(::mmap(nullptr, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  // Opened again through /proc it is still the same file with the same seals.
  const Fd again(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR));
  EXPECT_TRUE(!again || ::pwrite(again.get(), "x", 1, 0) == -1);
  EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
}

TEST(SealedMemfd, CannotBeExecutedWhereTheKernelKnowsHow) {
  const auto sealed = seal_file("/bin/true");
  ASSERT_TRUE(sealed);
  struct stat info {};
  ASSERT_EQ(::fstat(sealed->fd.get(), &info), 0);
  const int seals = ::fcntl(sealed->fd.get(), F_GET_SEALS);
  if (!(seals & 0x20 /* F_SEAL_EXEC */)) GTEST_SKIP() << "kernel before 6.3";
  EXPECT_EQ(info.st_mode & 0111, 0u);
}

TEST(SealedMemfd, AdoptsOnlySealedFiles) {
  auto sealed = seal_bytes(as_bytes("plugin"), "test");
  ASSERT_TRUE(sealed);
  const auto adopted = adopt_sealed(Fd(::dup(sealed->fd.get())));
  ASSERT_TRUE(adopted);
  EXPECT_EQ(adopted->sha256, sha256("plugin"));

  const int all = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  for (const int missing : {F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_SEAL}) {
    const Fd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(::write(fd.get(), "plugin", 6), 6);
    ASSERT_EQ(::fcntl(fd.get(), F_ADD_SEALS, all & ~missing), 0);
    EXPECT_EQ(check_seals(fd.get()).error().code, Errc::mismatch) << missing;
    EXPECT_FALSE(SealedMapping::map(fd.get()));
  }
  const Fd plain(::open("/bin/true", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(check_seals(plain.get()).error().code, Errc::mismatch);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd read_end(ends[0]), write_end(ends[1]);
  EXPECT_EQ(check_seals(read_end.get()).error().code, Errc::mismatch);
  EXPECT_FALSE(adopt_sealed(Fd()));
}

TEST(SealedMemfd, RefusesWhatIsNotAFileOfThatSize) {
  EXPECT_EQ(seal_file("/nonexistent/plugin.so").error().code, Errc::not_found);
  EXPECT_EQ(seal_file("/dev/null").error().code, Errc::invalid);
  EXPECT_EQ(seal_file("/tmp").error().code, Errc::invalid);
  EXPECT_EQ(seal_file("/proc/self/maps").error().code, Errc::invalid);  // says it is empty
  EXPECT_EQ(seal_file(example("echo"), 100).error().code, Errc::too_large);
  EXPECT_EQ(seal_bytes({}, "test").error().code, Errc::invalid);
}

TEST(SealedMemfd, TakesAFileWhoseOffsetMoved) {
  const Fd source(::open(example("echo").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::lseek(source.get(), 100, SEEK_SET), 100);
  const auto sealed = seal_file(source.get(), std::string(500, 'n'));
  ASSERT_TRUE(sealed) << sealed.error().text();
  EXPECT_EQ(sealed->sha256, seal_file(example("echo"))->sha256);
  EXPECT_EQ(::lseek(source.get(), 0, SEEK_CUR), 100);
}

}  // namespace
}  // namespace rap::loader
