// An agent that was killed between starting a process and noting its pid leaves one nobody finds.
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "tests/integration/worker/worker_harness.hpp"

namespace rap::test {
namespace {

TEST(Worker, AProcessNobodyWantsLeaves) {
  TestWorker unseen(zoo("good"));  // gets no hello
  TestWorker worker(zoo("good"));
  ASSERT_TRUE(worker.hello());
  LoadOptions options;
  options.adapter = "zoo.good";
  ASSERT_TRUE(worker.load(options));
  auto open = worker.fork_session();
  ASSERT_TRUE(open);
  ASSERT_TRUE(worker.open(*open));
  auto unopened = worker.fork_session();
  ASSERT_TRUE(unopened);
  auto exited = TestWorker::event(worker.agent(), "exited");
  ASSERT_TRUE(exited);
  EXPECT_EQ(*json_string(*exited, "session"), unopened->id);
  EXPECT_EQ(unseen.wait_exit(), 1 << 8);  // as waitpid tells it
  EXPECT_EQ(worker.wait_exit(10), -1);
  EXPECT_TRUE(worker.join(*open, "control", "Ada"));
}

}  // namespace
}  // namespace rap::test
