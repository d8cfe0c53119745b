// What happens to a stream when its paths die, hang, lie or come too late.
#include "tests/unit/fabric/resume/rig.hpp"

namespace rap::resume {
namespace {

class ResumePaths : public ResumeRig {};

TEST_F(ResumePaths, CarriesBothWaysAndEndsInOrder) {
  start();
  auto a = open();
  auto& b = *accepted[0];
  write(*a, "question");
  EXPECT_EQ(read_text(b, 8), "question");
  write(b, "answer");
  EXPECT_EQ(read_text(*a, 6), "answer");
  test::run_task(io, a->shutdown());
  EXPECT_TRUE(ends(b));
  write(b, "more");
  EXPECT_EQ(read_text(*a, 4), "more");
  test::run_task(io, b.shutdown());
  EXPECT_TRUE(ends(*a));
  until([&] { return registry->counts().streams == 0; });
  EXPECT_TRUE(ends(*a));
  EXPECT_EQ(dialled, 1);
}

TEST_F(ResumePaths, ACutIsAPause) {
  start();
  auto a = open();
  auto& b = *accepted[0];
  write(*a, "one");
  EXPECT_EQ(read_text(b, 3), "one");
  faults[0]->cut();
  write(*a, "two");
  write(b, "three");
  EXPECT_EQ(read_text(b, 3), "two");
  EXPECT_EQ(read_text(*a, 5), "three");
  EXPECT_EQ(dialled, 2);
  EXPECT_EQ(a->info().attachments, 2u);
  EXPECT_EQ(registry->counts().resumed, 1u);
}

TEST_F(ResumePaths, TriesAgainUntilThereIsAWay) {
  start();
  auto a = open();
  no_way = true;
  faults[0]->cut();
  until([&] { return dialled == 2; });
  settle();
  EXPECT_EQ(dialled, 2);  // the next try waits
  for (int i = 0; i < 10; ++i) {
    clock.advance(milliseconds(1'300));
    settle();
  }
  EXPECT_EQ(dialled, 12);
  no_way = false;
  clock.advance(milliseconds(1'300));
  write(*a, "here");
  EXPECT_EQ(read_text(*accepted[0], 4), "here");
}

TEST_F(ResumePaths, FailsAfterTheResumeWindow) {
  start();
  auto a = open();
  auto b = std::move(accepted[0]);
  no_way = true;
  faults[0]->cut();
  until([&] { return dialled == 2; });
  settle();
  clock.advance(limits.resume_window - milliseconds(1));
  settle();
  EXPECT_EQ(registry->counts().streams, 1u);
  clock.advance(milliseconds(1));
  EXPECT_EQ(read_error(*a), Errc::timeout);
  EXPECT_EQ(read_error(*b), Errc::timeout);
  EXPECT_EQ(registry->counts().streams, 0u);
  EXPECT_EQ(a->info().memory, 0u);
}

TEST_F(ResumePaths, FailsAtOnceWhenThereWillBeNoWay) {
  start();
  auto a = open();
  given_up = true;
  faults[0]->cut();
  EXPECT_EQ(read_error(*a), Errc::unavailable);
}

TEST_F(ResumePaths, ATryThatHangsIsGivenUpForTheNext) {
  start();
  auto a = open();
  hangs = true;
  faults[0]->cut();
  until([&] { return dialled == 2; });
  hangs = false;
  settle();
  EXPECT_EQ(dialled, 2);
  clock.advance(limits.try_timeout);
  settle();
  clock.advance(milliseconds(1'300));
  write(*a, "x");
  EXPECT_EQ(read_text(*accepted[0], 1), "x");
}

TEST_F(ResumePaths, AnAcceptorThatHoldsTheStreamNoMoreEndsIt) {
  start();
  auto a = open();
  accepted[0].reset();  // closed, and CLOSE is lost
  faults[0]->cut();
  EXPECT_EQ(read_error(*a), Errc::not_found);
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].code, Errc::not_found);
}

TEST_F(ResumePaths, CloseReachesTheOtherEnd) {
  start();
  auto a = open();
  auto b = std::move(accepted[0]);
  write(*a, "last words");
  EXPECT_EQ(read_text(*b, 10), "last words");
  a->close();
  EXPECT_EQ(read_error(*a), Errc::cancelled);
  until([&] { return registry->counts().streams == 0; });
  EXPECT_EQ(read_error(*b), Errc::unavailable);
  until([&] { return registry->counts().streams == 0; });
  EXPECT_EQ(dialled, 1);
}

TEST_F(ResumePaths, DestroyedAfterItsEndItIsStillDelivered) {
  start();
  auto a = open();
  const std::string text(200'000, 'x');  // more than the transport holds
  write(*a, text);
  test::run_task(io, a->shutdown());
  a.reset();
  settle();
  faults[0]->cut();
  EXPECT_EQ(read_text(*accepted[0], text.size()), text);
  EXPECT_TRUE(ends(*accepted[0]));
  EXPECT_EQ(dialled, 2);
}

TEST_F(ResumePaths, LingeringEndsWithTheResumeWindow) {
  start();
  auto a = open();
  no_way = true;
  faults[0]->cut();
  write(*a, "never delivered");
  test::run_task(io, a->shutdown());
  a.reset();
  until([&] { return dialled == 2; });
  settle();
  clock.advance(limits.resume_window);
  EXPECT_EQ(read_error(*accepted[0]), Errc::timeout);
  settle();
  no_way = false;
  const int tried = dialled;
  clock.advance(limits.resume_window);
  settle();
  EXPECT_EQ(dialled, tried);
  EXPECT_EQ(registry->counts().streams, 0u);
}

TEST_F(ResumePaths, LingeringOverAPathThatWorksEndsToo) {
  start();
  auto a = open();
  write(*a, std::string(200'000, 'x'));
  test::run_task(io, a->shutdown());
  a.reset();
  settle();
  for (int i = 0; i < 40; ++i) {
    clock.advance(milliseconds(1'000));
    settle();
  }
  EXPECT_EQ(registry->counts().streams, 0u);
  // Nobody read at the other end meanwhile; all of it had come.
  EXPECT_EQ(read_text(*accepted[0], 200'000), std::string(200'000, 'x'));
  EXPECT_TRUE(ends(*accepted[0]));
}

TEST_F(ResumePaths, SilenceOfThePathIsNoticedWhileSomebodyWaits) {
  start();
  auto a = open();
  faults[0]->lose_b_to_a = true;
  write(*a, "x");
  EXPECT_EQ(read_text(*accepted[0], 1), "x");  // its acknowledgement is lost
  settle();
  clock.advance(limits.probe_busy);
  settle();
  EXPECT_EQ(dialled, 1);
  clock.advance(limits.probe_timeout);
  until([&] { return dialled == 2; });
  until([&] { return a->info().attached; });
  clock.advance(limits.ack_delay);
  until([&] { return a->info().unacknowledged == 0; });
}

TEST_F(ResumePaths, OneWayPartitionsAreNoticedByTheEndThatHearsNothing) {
  start();
  auto a = open();
  faults[0]->lose_a_to_b = true;
  write(*accepted[0], "y");
  EXPECT_EQ(read_text(*a, 1), "y");
  for (int i = 0; i < 10 && dialled == 1; ++i) {
    // The dialler keeps hearing, so it is not the one that notices.
    clock.advance(milliseconds(500));
    settle();
    if (accepted[0]->info().attached) write(*accepted[0], "z");
    settle();
  }
  EXPECT_EQ(dialled, 2);
  write(*a, "back");
  EXPECT_EQ(read_text(*accepted[0], 4), "back");
}

TEST_F(ResumePaths, AnIdleStreamAsksRarelyAndLives) {
  start();
  auto a = open();
  for (int i = 0; i < 100; ++i) {
    clock.advance(limits.probe_idle / 5);
    settle();
  }
  EXPECT_EQ(dialled, 1);
  EXPECT_LT(faults[0]->a_to_b, 56u + 100 * 2 * 16);
  EXPECT_LE(a->info().memory, 512u);
}

TEST_F(ResumePaths, ANewerTransportReplacesAHalfOpenOne) {
  start();
  auto a = open();
  // The dialler's end dies, the acceptor's does not notice.
  faults[0]->a->close();
  faults[0]->b = nullptr;
  until([&] { return dialled == 2; });
  write(*a, "over the new one");
  EXPECT_EQ(read_text(*accepted[0], 16), "over the new one");
  EXPECT_EQ(accepted[0]->info().attachments, 2u);
}

TEST_F(ResumePaths, ASlowReaderSlowsTheWriterAndMemoryIsBounded) {
  start();
  auto a = open();
  const Bytes bytes(8 * limits.window, 5);
  group.spawn("write", a->write_all(bytes));
  settle();
  EXPECT_EQ(a->info().unacknowledged, limits.window);
  EXPECT_LE(accepted[0]->info().unread, limits.window);
  EXPECT_LE(a->info().memory, limits.window + 2 * 65'600);
  EXPECT_LE(accepted[0]->info().memory, limits.window + 2 * 65'600);
  // Acknowledgements of the other direction are not stuck behind what nobody reads.
  const std::string text(100'000, 'b');
  write(*accepted[0], text);
  EXPECT_EQ(read_text(*a, text.size()), text);
  clock.advance(limits.ack_delay);
  until([&] { return accepted[0]->info().unacknowledged == 0; });
  EXPECT_TRUE(read(*accepted[0], bytes.size()) == bytes);
}

TEST_F(ResumePaths, AWayThatDiesAtOnceIsNotTriedWithoutAPause) {
  start();
  auto a = open();
  prepare = [](test::Faults& f) { f.cut_a_to_b = 80; };  // just after RESUME
  write(*a, std::string(1'000, 'x'));
  settle();
  faults[0]->cut();
  settle();
  EXPECT_LE(dialled, 4);
}

}  // namespace
}  // namespace rap::resume
