// `rapctl session` over the mesh: the program itself, on a terminal.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/rapctl/rapctl_process.hpp"
#include "tests/support/run_task.hpp"

namespace rap::test {
namespace {

class MeshSessionTest : public ::testing::Test {
 protected:
  MeshPlane plane;

  std::size_t streams() { return plane.world.node(3).service_end().counts().streams; }
  std::vector<std::string> open() { return {"session", "open", "--resource", "web-1"}; }
};

TEST_F(MeshSessionTest, OpensOverEntryAndRelayAndEndsWithTheStatusOfTheShell) {
  RapctlProcess rapctl(plane, open());
  ASSERT_TRUE(rapctl.sees("[screen]")) << rapctl.output();
  rapctl.type("hello");
  EXPECT_TRUE(rapctl.sees("hello"));
  EXPECT_EQ(plane.world.node(2).server().counts().relayed, 1u);
  rapctl.type("\rexit 7\r");
  EXPECT_EQ(rapctl.ended(), 7) << rapctl.output();
  EXPECT_TRUE(plane.until([&] { return streams() == 0; })) << "it said goodbye";
  EXPECT_EQ(plane.renewed, 0);
}

TEST_F(MeshSessionTest, LeavingIsToldToTheService) {
  for (const std::string way : {"\r~d", "\r~."}) {
    RapctlProcess rapctl(plane, {"session", "attach", plane.session});
    ASSERT_TRUE(rapctl.sees("[screen]")) << rapctl.output();
    EXPECT_EQ(streams(), 1u);
    rapctl.type(way);
    EXPECT_EQ(rapctl.ended(), 0) << rapctl.output();
    EXPECT_TRUE(plane.until([&] { return streams() == 0; })) << way;
  }
  EXPECT_EQ(plane.view_or_control, "control");
  EXPECT_EQ(plane.attached, 2);
}

TEST_F(MeshSessionTest, WatchesOnly) {
  RapctlProcess rapctl(plane, {"session", "attach", plane.session, "--view"});
  ASSERT_TRUE(rapctl.sees("[screen]")) << rapctl.output();
  EXPECT_EQ(plane.view_or_control, "view");
  rapctl.type("abc\003");
  EXPECT_EQ(rapctl.ended(), 0) << rapctl.output();
  EXPECT_EQ(plane.typed, "");
}

TEST_F(MeshSessionTest, AsksForAnotherCarryLeaseWhenItsOwnIsOver) {
  plane.carry_until = std::chrono::seconds(-1);
  plane.first_carry_works = false;
  RapctlProcess rapctl(plane, open());
  ASSERT_TRUE(rapctl.sees("[screen]")) << rapctl.output();
  EXPECT_EQ(plane.renewed, 1);
}

TEST_F(MeshSessionTest, TheShellGoesOnWhenTheRelayDies) {
  RapctlProcess rapctl(plane, open());
  ASSERT_TRUE(rapctl.sees("[screen]")) << rapctl.output();
  plane.world.node(2).kill();
  rapctl.type("typed meanwhile");
  plane.run(net::milliseconds(50));  // its port is free
  plane.world.node(2).start();
  EXPECT_TRUE(rapctl.sees("typed meanwhile")) << rapctl.output();
  rapctl.type("\rexit 0\r");
  EXPECT_EQ(rapctl.ended(), 0) << rapctl.output();
  EXPECT_EQ(plane.hellos, 1) << "nobody attached again";
}

TEST_F(MeshSessionTest, ALongPauseIsShownAndTheScreenComesBack) {
  RapctlProcess rapctl(plane, open());
  ASSERT_TRUE(rapctl.sees("[screen]")) << rapctl.output();
  plane.world.node(2).kill();
  rapctl.type("typed meanwhile");
  ASSERT_TRUE(rapctl.sees("rapctl: connection lost, reconnecting")) << rapctl.output();
  plane.world.node(2).start();
  EXPECT_TRUE(rapctl.sees("rapctl: connected again after ")) << rapctl.output();
  EXPECT_TRUE(rapctl.sees("[again]")) << rapctl.output();
  EXPECT_EQ(plane.repaints, 1);
  EXPECT_EQ(plane.typed, "typed meanwhile");
  rapctl.type("\rexit 0\r");
  EXPECT_EQ(rapctl.ended(), 0) << rapctl.output();
}

TEST_F(MeshSessionTest, WithoutATerminalAPauseIsALineOnStandardError) {
  // Standard output is a file: what is on the terminal is standard error.
  RapctlProcess rapctl(plane, open(), "/dev/null");
  ASSERT_TRUE(plane.until([&] { return plane.hellos == 1; })) << rapctl.output();
  plane.world.node(2).kill();
  rapctl.type("typed meanwhile");
  ASSERT_TRUE(rapctl.sees("rapctl: connection lost, reconnecting")) << rapctl.output();
  plane.world.node(2).start();
  EXPECT_TRUE(rapctl.sees("rapctl: connected again after ")) << rapctl.output();
  rapctl.type("\rexit 0\r");
  EXPECT_EQ(rapctl.ended(), 0) << rapctl.output();
  EXPECT_EQ(plane.repaints, 0);
  EXPECT_EQ(rapctl.output().find("\0337"), std::string::npos) << "no escapes";
}

TEST_F(MeshSessionTest, SaysWhatTheServiceSaid) {
  plane.refuses = Error{Errc::conflict, "the session has ended"};
  plane.fate = R"({"state":"failed","detail":"sshd is away"})";
  RapctlProcess failed(plane, open());
  EXPECT_EQ(failed.ended(), 253);
  EXPECT_NE(failed.output().find("failed: sshd is away"), std::string::npos) << failed.output();

  plane.refuses = Error{Errc::forbidden, "another organization"};
  RapctlProcess forbidden(plane, open());
  EXPECT_EQ(forbidden.ended(), 4);
  EXPECT_NE(forbidden.output().find("another organization"), std::string::npos)
      << forbidden.output();
}

TEST_F(MeshSessionTest, AReaderThatIsGoneIsToldAndTheSessionGoesOn) {
  const std::string pipe = plane.config_dir + "/output";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  // While the session paints, and while it says nothing more.
  for (const bool paints : {true, false}) {
    const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ASSERT_GE(reader, 0);
    plane.fate = R"({"state":"detached"})";
    RapctlProcess rapctl(plane, open(), pipe);
    char block[64];
    bool painted = false;
    ASSERT_TRUE(
        plane.until([&] { return painted = painted || ::read(reader, block, sizeof block) > 0; }));
    ::close(reader);
    if (paints) rapctl.type("echo");
    EXPECT_EQ(rapctl.ended(), 251) << rapctl.output();
    EXPECT_NE(rapctl.output().find("standard output takes no more"), std::string::npos);
    EXPECT_NE(rapctl.output().find("come back with: rapctl session attach " + plane.session),
              std::string::npos)
        << rapctl.output();
  }
}

TEST_F(MeshSessionTest, SaysThatNoEntryCanBeReached) {
  plane.entries = {"127.0.0.1:1"};  // nobody's
  RapctlProcess rapctl(plane, open());
  EXPECT_EQ(rapctl.ended(), 7);
  EXPECT_NE(rapctl.output().find("entry " + plane.entries[0]), std::string::npos)
      << rapctl.output();
}

}  // namespace
}  // namespace rap::test
