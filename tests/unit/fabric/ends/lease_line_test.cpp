#include "fabric/ends/lease_line.hpp"

#include <gtest/gtest.h>

#include "base/net/net_error.hpp"
#include "tests/support/memory_stream.hpp"
#include "tests/support/run_task.hpp"

namespace rap::fabric {
namespace {

std::string without_end(std::string line) {
  EXPECT_TRUE(line.ends_with('\n'));
  line.pop_back();
  EXPECT_EQ(line.find('\n'), std::string::npos);
  return line;
}

TEST(LeaseLine, IsReadAsItIsWritten) {
  EXPECT_EQ(*parse_lease_line(without_end(lease_line("a.b.c"))), "a.b.c");
  EXPECT_TRUE(parse_answer_line(without_end(answer_line({}))));
  const Status refused = fail(Errc::expired, "too\nlate");
  const Status read = parse_answer_line(without_end(answer_line(refused)));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::expired);
  EXPECT_EQ(read.error().detail, "too?late");
}

TEST(LeaseLine, RefusesWhatIsHostile) {
  for (const std::string text :
       {"", "{}", "[]", "null", "{\"lease\":1}", "{\"lease\":\"a\",\"lease\":\"b\"}",
        "{\"lease\":\"a\",\"more\":1}", "{\"lease\":\"a\"} x", "a.b.c", "{\"lease\":{\"a\":{}}}"}) {
    EXPECT_FALSE(parse_lease_line(text)) << text;
  }
  EXPECT_FALSE(parse_lease_line("{\"lease\":\"" + std::string(5000, 'a') + "\"}"));
  for (const std::string text : {"", "{}", "{\"ok\":1}", "{\"ok\":false}", "{\"ok\":\"true\"}",
                                 "{\"ok\":false,\"code\":1,\"detail\":\"\"}"}) {
    const Status read = parse_answer_line(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Errc::malformed) << text;
  }
}

TEST(LeaseLine, IsReadToItsEndAndNoFurther) {
  boost::asio::io_context io;
  auto pair = test::make_memory_pair(io.get_executor());
  const auto write = [](net::ByteStream& stream, std::string text) -> net::Task<void> {
    co_await stream.write_all(as_bytes(text));
  };
  test::run_task(io, write(*pair.a, "one\ntwo\n" + std::string(100, 'x')));
  EXPECT_EQ(test::run_task(io, read_line(*pair.b, 3)), "one");
  EXPECT_EQ(test::run_task(io, read_line(*pair.b, 10)), "two");
  try {
    test::run_task(io, read_line(*pair.b, 10));
    FAIL();
  } catch (const net::NetError& error) {
    EXPECT_EQ(error.code(), Errc::too_large);
  }
}

}  // namespace
}  // namespace rap::fabric
