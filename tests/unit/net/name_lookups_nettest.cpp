#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>

#include "base/net/name_lookups.hpp"
#include "base/net/task_group.hpp"
#include "base/net/tcp.hpp"
#include "base/net/timer.hpp"
#include "tests/support/run_task.hpp"

namespace rap::net {
namespace {

using Addresses = std::vector<std::string>;

// "stuck" waits until it is let go; every other name is an address at once.
struct Names {
  std::counting_semaphore<64> go{0};
  std::atomic<int> asked{0};
  NameLookups::Function function() {
    return [this](const std::string& host) -> Result<Addresses> {
      ++asked;
      if (host == "stuck") go.acquire();
      if (host == "none") return fail(Errc::unavailable, "resolve none");
      return Addresses{"192.0.2.1"};
    };
  }
};

Task<void> look(NameLookups& lookups, std::string host, std::string share, Addresses& out) {
  out = co_await lookups.find(std::move(host), std::move(share));
}

class NameLookupsTest : public ::testing::Test {
 protected:
  Names names;
  boost::asio::io_context io;
  NameLookups lookups{io.get_executor(), names.function()};

  ~NameLookupsTest() override {
    names.go.release(32);
    while (lookups.running() > 0) std::this_thread::yield();
  }
  Errc failure(std::string host, std::string share, milliseconds limit) {
    Addresses out;
    try {
      test::run_task(io,
                     with_deadline(look(lookups, std::move(host), std::move(share), out), limit));
    } catch (const NetError& error) {
      return error.code();
    }
    return Errc::internal;
  }
};

TEST_F(NameLookupsTest, ANameThatIsStuckDelaysNobodyElse) {
  EXPECT_EQ(failure("stuck", "org_a", milliseconds(30)), Errc::timeout);
  EXPECT_EQ(lookups.running(), 1u) << "it goes on without anybody";
  Addresses found;
  test::run_task(io, with_deadline(look(lookups, "well", "org_b", found), milliseconds(5000)));
  EXPECT_EQ(found, Addresses{"192.0.2.1"});
  EXPECT_EQ(failure("none", "org_b", milliseconds(5000)), Errc::unavailable);
}

TEST_F(NameLookupsTest, EachShareHasOneAtATime) {
  EXPECT_EQ(failure("stuck", "org_a", milliseconds(30)), Errc::timeout);
  EXPECT_EQ(failure("well", "org_a", milliseconds(50)), Errc::timeout);
  EXPECT_EQ(names.asked, 1);
  names.go.release();
  Addresses found;
  test::run_task(io, with_deadline(look(lookups, "well", "org_a", found), milliseconds(5000)));
  EXPECT_EQ(found.size(), 1u);
}

TEST_F(NameLookupsTest, ThreadsAreBounded) {
  for (int i = 0; i < 40; ++i) {
    (void)failure("stuck", "org_" + std::to_string(i), milliseconds(5));
  }
  EXPECT_EQ(lookups.running(), kLookupsMax);
}

TEST(NameLookups, AThreadMayOutliveItsLoop) {
  auto names = std::make_shared<Names>();
  auto ended = std::make_shared<std::atomic<bool>>(false);
  {
    boost::asio::io_context io;
    NameLookups::Function slow = [names, ended](const std::string&) -> Result<Addresses> {
      names->go.acquire();
      *ended = true;
      return Addresses{};
    };
    NameLookups lookups(io.get_executor(), std::move(slow));
    Addresses out;
    EXPECT_THROW(test::run_task(io, with_deadline(look(lookups, "x", "a", out), milliseconds(20))),
                 NetError);
  }
  names->go.release();
  while (!*ended) std::this_thread::yield();
}

TEST(NameLookups, TheSystemKnowsThisHost) {
  const auto found = NameLookups::system_lookup("localhost");
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_FALSE(found->empty());
  EXPECT_FALSE(NameLookups::system_lookup("no-such-name.invalid"));
}

}  // namespace
}  // namespace rap::net
