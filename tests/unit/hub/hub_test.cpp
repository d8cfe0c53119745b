#include "host/worker/hub/hub.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/hub/hub_rig.hpp"

namespace rap::test {
namespace {

using Strings = std::vector<std::string>;

bool contains(const Strings& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

TEST(Hub, WelcomesThenPaintsThenFlows) {
  HubRig rig;
  rig.open();
  TestClient client = rig.attach(AttachMode::control, "Ada");
  client.send_control(frames::Hello{1, 100, 30, "xterm"});
  auto welcome = client.next<frames::Welcome>();
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->attach_id, "att_Ada");
  EXPECT_EQ(welcome->cols, 100u);
  EXPECT_TRUE(client.wait_output("[picture]"));
  EXPECT_EQ(rig.emit("data"), RAP_OK);
  EXPECT_TRUE(client.wait_output("data"));
  client.send_input("ls\n");
  EXPECT_TRUE(rig.eventually([&](Hub&) { return rig.remote.typed == "ls\n"; }));
  EXPECT_EQ(rig.calls(), (Strings{"resize 100x30", "attach control 1"}));
  EXPECT_EQ(rig.told(), (Strings{"detached", "active", "attached att_Ada"}));
}

TEST(Hub, NobodyAttachedSwallowsOutput) {
  HubRig rig;
  rig.open();
  rap_emit counts{};
  counts.size = sizeof counts;
  const rap_result result = rig.on_loop([&](Hub& hub) {
    const rap_frame frame = FakeRemote::frame("lost");
    return hub.emit(&frame, 1, &counts);
  });
  EXPECT_EQ(result, RAP_OK);
  EXPECT_EQ(counts.dropped, 1u);
  TestClient client = rig.join(AttachMode::view, "Val");
  EXPECT_TRUE(client.wait_output("[picture]"));
  EXPECT_EQ(client.output(), "[picture]");
}

TEST(Hub, WaitsForTheRemoteSession) {
  HubRig rig;
  TestClient client = rig.attach(AttachMode::control, "Ada");
  client.send_control(frames::Hello{1, 80, 24, ""});
  auto welcome = client.next<frames::Welcome>();
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->state, "opening");
  EXPECT_TRUE(rig.calls().empty());
  rig.open();
  EXPECT_TRUE(client.wait_output("[picture]"));
}

TEST(Hub, TellsEverybodyWhyItFailed) {
  HubRig rig;
  TestClient client = rig.join(AttachMode::control, "Ada");
  rig.on_loop([](Hub& hub) { hub.opened(RAP_E_AUTH, "wrong password"); });
  auto closed = client.next<frames::Closed>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->reason, "failed");
  EXPECT_EQ(closed->detail, "wrong password");
  EXPECT_TRUE(client.wait_end());
  EXPECT_TRUE(rig.eventually([&](Hub& hub) { return hub.state() == SessionState::failed; }));
  rig.attach(AttachMode::view, "Late");
  EXPECT_FALSE(rig.last_status);
}

TEST(Hub, TakeoverIsOneCallAndNoNewSession) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  TestClient val = rig.join(AttachMode::view, "Val");
  ASSERT_TRUE(val.wait_output("[picture]"));
  TestClient grace = rig.join(AttachMode::control, "Grace");
  auto taken = ada.next<frames::TakenOver>();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->by, "Grace");
  EXPECT_EQ(taken->from, "from of Grace");
  EXPECT_TRUE(ada.wait_end());
  auto told = val.next<frames::ControllerChanged>();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->name, "Grace");
  EXPECT_TRUE(grace.wait_output("[picture]"));
  EXPECT_EQ(rig.emit("after"), RAP_OK);
  EXPECT_TRUE(val.wait_output("after"));
  EXPECT_EQ(val.output(), "[picture]after");  // the new controller's picture was not painted here
  EXPECT_EQ(rig.calls(), (Strings{"attach control 1", "attach view 2", "takeover 1 3"}));
  EXPECT_EQ(rig.told(), (Strings{"detached", "active", "attached att_Ada", "view_joined att_Val",
                                 "taken_over att_Grace from att_Ada"}));
}

TEST(Hub, DetachLeavesTheSessionAlone) {
  HubRig rig;
  rig.open();
  {
    TestClient client = rig.join(AttachMode::control, "Ada");
    client.send_control(frames::Detach{});
    EXPECT_TRUE(client.wait_end());
  }
  EXPECT_TRUE(rig.eventually([](Hub& hub) { return hub.state() == SessionState::detached; }));
  {
    TestClient client = rig.join(AttachMode::control, "Ada");
    client.close();  // as when the network dies
  }
  EXPECT_TRUE(rig.eventually([&](Hub&) { return contains(rig.remote.calls, "detach 2"); }));
  EXPECT_FALSE(contains(rig.told(), "closed"));
  TestClient again = rig.join(AttachMode::control, "Ada");
  EXPECT_TRUE(again.wait_output("[picture]"));
}

TEST(Hub, WhoMayNotBeHereAnyMoreIsDroppedAndNobodyElse) {
  HubRig rig;
  TestClient early = rig.join(AttachMode::control, "Ada");  // waits for the remote session
  EXPECT_EQ(rig.on_loop([](Hub& hub) { return hub.drop_person("usr_Ada", "not here"); }), 1U);
  EXPECT_TRUE(early.wait_end());
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  TestClient watching = rig.join(AttachMode::view, "Ada");
  TestClient val = rig.join(AttachMode::view, "Val");
  ASSERT_TRUE(val.wait_output("[picture]"));
  const auto drop = [&](const char* user) {
    return rig.on_loop([&](Hub& hub) { return hub.drop_person(user, "not here"); });
  };
  EXPECT_EQ(drop("usr_nobody"), 0U);
  EXPECT_EQ(drop("usr_Ada"), 2U);
  for (TestClient* gone : {&ada, &watching}) {
    const auto error = gone->next<frames::ErrorMessage>();
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, "forbidden");
    EXPECT_EQ(error->detail, "not here");
    EXPECT_TRUE(gone->wait_end());
  }
  EXPECT_EQ(drop("usr_Ada"), 0U);
  EXPECT_EQ(rig.on_loop([](Hub& hub) { return hub.state(); }), SessionState::detached);
  EXPECT_EQ(rig.emit("after"), RAP_OK);
  EXPECT_TRUE(val.wait_output("after"));
  const auto told = rig.told();
  EXPECT_TRUE(contains(told, "detached att_Ada"));
  EXPECT_TRUE(contains(told, "view_left att_Ada"));
  EXPECT_FALSE(contains(told, "closed"));
}

TEST(Hub, InputOfAViewerIsDroppedAndCounted) {
  HubRig rig;
  rig.open();
  TestClient val = rig.join(AttachMode::view, "Val");
  val.send_input("rm -rf /\n");
  val.send_control(frames::Resize{10, 10});
  val.send_control(frames::Ping{1});
  EXPECT_TRUE(val.next<frames::Pong>());
  EXPECT_EQ(rig.counters().refused_input, 1u);
  EXPECT_EQ(rig.calls(), Strings{"attach view 1"});
}

TEST(Hub, KeepsWhatIsTypedBeforeTheSessionIsOpen) {
  HubRig rig;
  TestClient ada = rig.join(AttachMode::control, "Ada");
  ada.send_input("uptime\n");
  ada.send_input("exit\n");
  rig.open();
  EXPECT_TRUE(rig.eventually([&](Hub&) { return rig.remote.typed == "uptime\nexit\n"; }));
}

TEST(Hub, OffersRefusedInputAgainInOrder) {
  HubRig rig;
  rig.open();
  rig.remote.refuse_input = 3;
  TestClient ada = rig.join(AttachMode::control, "Ada");
  ada.send_input("one ");
  ada.send_input("two ");
  ada.send_input("three");
  EXPECT_TRUE(rig.eventually([&](Hub&) { return rig.remote.typed == "one two three"; }));
}

TEST(Hub, ASlowControllerStopsThePluginUntilItReads) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  ASSERT_TRUE(ada.wait_output("[picture]"));
  const std::string block(64 << 10, 'x');
  int taken = 0;
  while (taken < 1000 && rig.emit(block) == RAP_OK) ++taken;
  EXPECT_GT(taken, 5);
  EXPECT_LT(taken, 100);  // about 1 MiB and what the kernel holds
  EXPECT_FALSE(contains(rig.calls(), "writable"));
  EXPECT_EQ(rig.emit(block, RAP_FRAME_DROPPABLE), RAP_OK);  // dropped, and that is no error
  EXPECT_EQ(rig.counters().dropped_frames, 1u);
  EXPECT_EQ(ada.drain(taken * block.size(), 5000), taken * block.size());
  EXPECT_TRUE(rig.eventually([&](Hub&) { return contains(rig.remote.calls, "writable"); }));
  EXPECT_EQ(rig.emit("more"), RAP_OK);
  EXPECT_TRUE(ada.wait_output("more"));
}

TEST(Hub, ASlowControllerThatIsReplacedNoLongerStopsThePlugin) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  const std::string block(64 << 10, 'x');
  while (rig.emit(block) == RAP_OK) {
  }
  TestClient grace = rig.join(AttachMode::control, "Grace");
  EXPECT_TRUE(grace.wait_output("[picture]"));
  EXPECT_TRUE(rig.eventually([&](Hub&) { return contains(rig.remote.calls, "writable"); }));
  EXPECT_EQ(rig.emit("go on"), RAP_OK);
  EXPECT_TRUE(grace.wait_output("go on"));
}

TEST(Hub, ASlowViewerStopsNobodyAndIsPaintedAnew) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  TestClient val = rig.join(AttachMode::view, "Val");
  ASSERT_TRUE(val.wait_output("[picture]"));
  const std::string block(64 << 10, 'x');
  std::size_t sent = 0;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(rig.emit(block), RAP_OK);
    sent += block.size();
    ada.drain(block.size(), 5000);
  }
  EXPECT_EQ(rig.counters().resyncs, 1u);
  EXPECT_FALSE(contains(rig.calls(), "writable"));
  val.drain(sent, 300);  // less arrives
  EXPECT_TRUE(rig.eventually([&](Hub&) { return contains(rig.remote.calls, "attach view 3"); }));
  rig.emit("tail");
  EXPECT_TRUE(val.wait_output("tail"));
  EXPECT_EQ(val.key_frames(), 2);
  EXPECT_EQ(ada.key_frames(), 1);
}

struct Hostile {
  const char* what;
  Bytes bytes;
};

Bytes frame_bytes(std::uint16_t channel, std::uint64_t seq, std::string_view payload,
                  std::uint32_t encoding = 0) {
  frames::FrameHeader header;
  header.channel = static_cast<frames::Channel>(channel);
  header.seq = seq;
  header.encoding = encoding;
  return frames::make_frame(header, as_bytes(payload));
}

TEST(Hub, HostileClientsAreToldAndDroppedAndDisturbNobody) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  Bytes reserved = frame_bytes(2, 1, "x");
  reserved[36] = 1;
  Bytes huge = frame_bytes(2, 1, "");
  huge[3] = 0x7f;
  const Hostile after_hello[] = {
      {"unknown channel", frame_bytes(99, 1, "x")},
      {"wrong direction", frame_bytes(8, 1, "x")},
      {"reserved field", reserved},
      {"over the limit", huge},
      {"wrong sequence", frame_bytes(2, 7, "x")},
      {"control that is no JSON", frame_bytes(0, 2, "x", 1)},
      {"control of another encoding", frame_bytes(0, 2, "{}", 0)},
      {"control of an unknown type", frame_bytes(0, 2, R"({"type":"sudo"})", 1)},
      {"a second hello",
       frame_bytes(0, 2, R"({"type":"hello","version":1,"cols":1,"rows":1,"term":"x"})", 1)},
      {"garbage", to_bytes("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")},
  };
  for (const Hostile& bad : after_hello) {
    TestClient client = rig.join(AttachMode::view, "Eve");
    client.send_raw(bad.bytes);
    auto error = client.next<frames::ErrorMessage>();
    ASSERT_TRUE(error) << bad.what;
    EXPECT_EQ(error->code, "protocol") << bad.what;
    EXPECT_TRUE(client.wait_end()) << bad.what;
  }
  TestClient early = rig.attach(AttachMode::control, "Eve");
  early.send_input("no hello");
  EXPECT_TRUE(early.next<frames::ErrorMessage>());
  EXPECT_EQ(rig.counters().protocol_errors, std::size(after_hello) + 1);
  ada.send_control(frames::Ping{1});
  EXPECT_TRUE(ada.next<frames::Pong>());
  EXPECT_TRUE(rig.eventually([](Hub& hub) { return hub.attachments().size() == 1; }));
}

TEST(Hub, AFloodOfInputWaitsAndLosesNothing) {
  HubRig rig;
  rig.open();
  TestClient flooder = rig.join(AttachMode::control, "Eve");
  TestClient viewer = rig.join(AttachMode::view, "Val");
  // Three seconds' worth: one is the burst, the rest must wait.
  const int kFrames = 30'000;
  const auto began = std::chrono::steady_clock::now();
  std::thread typing([&] {
    for (int i = 0; i < kFrames; ++i) flooder.send_input("x");
  });
  ASSERT_TRUE(rig.eventually([](Hub& hub) { return hub.counters().throttled > 0; }));
  viewer.send_control(frames::Ping{7});
  EXPECT_TRUE(viewer.next<frames::Pong>());
  EXPECT_LT(rig.on_loop([&](Hub&) { return rig.remote.typed.size(); }), std::size_t{kFrames})
      << "others do not wait with it";
  EXPECT_TRUE(
      rig.eventually([&](Hub&) { return rig.remote.typed.size() >= std::size_t{kFrames}; }));
  typing.join();
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_EQ(rig.on_loop([&](Hub&) { return rig.remote.typed.size(); }), std::size_t{kFrames});
  EXPECT_GT(took, std::chrono::milliseconds(1500));
}

TEST(Hub, PingsOfAViewerThatReadsNothingDoNotPileUp) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  TestClient eve = rig.join(AttachMode::view, "Eve", 4096);
  // Below the burst of InputBudget, and four times what may lie there unread.
  constexpr int kPings = 4000;
  std::thread pinging([&] {
    for (int i = 1; i <= kPings; ++i) eve.send_control(frames::Ping{i});
  });
  std::size_t most = 0;
  for (int i = 0; i < 200; ++i) {
    most = std::max(most, rig.on_loop([](Hub& hub) {
      std::size_t sum = 0;
      for (const Attachment* each : hub.attachments()) sum += each->queued();
      return sum;
    }));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_GT(most, std::size_t{60} << 10) << "the test did not get that far";
  EXPECT_LT(most, std::size_t{80} << 10);
  ada.send_control(frames::Ping{1});
  EXPECT_TRUE(ada.next<frames::Pong>());
  // Whoever reads again gets every answer.
  for (int i = 1; i <= kPings; ++i) {
    auto pong = eve.next<frames::Pong>();
    ASSERT_TRUE(pong) << i;
    ASSERT_EQ(pong->id, i);
  }
  pinging.join();
}

TEST(Hub, AClientThatHangsUpWhileItsInputIsHeldIsNoticed) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  rig.on_loop([&](Hub&) { rig.remote.refuse_input = 1 << 30; });
  ada.send_input("x");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ada.close();
  EXPECT_TRUE(rig.eventually([](Hub& hub) { return hub.attachments().empty(); }));
  EXPECT_TRUE(contains(rig.told(), "detached att_Ada"));
}

TEST(Hub, HelloHasFiveSeconds) {
  HubRig rig;
  rig.open();
  TestClient slow = rig.attach(AttachMode::control, "Eve");
  slow.send_raw(ByteView(frame_bytes(0, 1, "{}", 1)).first(10));  // and then nothing
  auto error = slow.next<frames::ErrorMessage>();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->detail, "no hello within 5 s");
}

TEST(Hub, SixteenAttachmentsAreTheMost) {
  HubRig rig;
  rig.open();
  std::vector<TestClient> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(rig.attach(AttachMode::view, std::to_string(i)));
    EXPECT_TRUE(rig.last_status);
  }
  clients.push_back(rig.attach(AttachMode::view, "17"));
  EXPECT_FALSE(rig.last_status);
}

TEST(Hub, SaysGoodbyeAfterTheLastOutput) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  ASSERT_TRUE(ada.wait_output("[picture]"));
  const std::string block(64 << 10, 'x');
  std::size_t sent = 0;
  for (int i = 0; i < 12; ++i) {
    ASSERT_EQ(rig.emit(block), RAP_OK);
    sent += block.size();
  }
  rig.on_loop([](Hub& hub) {
    const std::string exit = R"({"type":"exit","exit_status":3})";
    rap_frame frame = FakeRemote::frame(exit, 0, RAP_CH_CONTROL);
    frame.encoding = 1;
    (void)hub.emit(&frame, 1, nullptr);
    hub.remote_closed(RAP_OK, "");
  });
  EXPECT_EQ(ada.drain(sent), sent);
  auto closed = ada.next<frames::Closed>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->reason, "exit");
  EXPECT_EQ(closed->exit_status, 3);
  EXPECT_TRUE(ada.wait_end());
  EXPECT_TRUE(rig.eventually([&](Hub&) { return true; }));
  EXPECT_TRUE(contains(rig.told(), "drained"));
}

TEST(Hub, TakesFramesFromThreadsOfThePlugin) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  ASSERT_TRUE(ada.wait_output("[picture]"));
  std::size_t accepted = 0;
  std::thread foreign([&] {
    const std::string block(10'000, 'y');
    const rap_frame frame = FakeRemote::frame(block);
    for (int i = 0; i < 2000; ++i) {
      if (rig.remote.hub->emit(&frame, 1, nullptr) == RAP_OK) accepted += block.size();
    }
  });
  std::thread reader([&] { ada.drain(2000 * 10'000, 1500); });
  foreign.join();
  reader.join();
  EXPECT_GT(accepted, 0u);
  EXPECT_EQ(rig.emit("end"), RAP_OK);
  EXPECT_TRUE(ada.wait_output("end"));
}

TEST(Hub, RefusesFramesThatCannotTravel) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  const std::string big((1 << 20) + 1, 'x');
  EXPECT_EQ(rig.emit(big), RAP_E_INVALID);
  rig.on_loop([](Hub& hub) {
    for (std::uint16_t channel : {2, 6, 9, 0x8000}) {
      const rap_frame frame = FakeRemote::frame("x", 0, channel);
      EXPECT_EQ(hub.emit(&frame, 1, nullptr), RAP_E_INVALID) << channel;
    }
    rap_frame frame = FakeRemote::frame("x");
    frame.data = nullptr;
    EXPECT_EQ(hub.emit(&frame, 1, nullptr), RAP_E_INVALID);
  });
}

TEST(Hub, AnAttachmentTheAdapterRefusesChangesNothing) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  rig.on_loop([&](Hub&) { rig.remote.attach_result = RAP_E_RESOURCE; });
  TestClient val = rig.attach(AttachMode::view, "Val");
  val.send_control(frames::Hello{1, 80, 24, "x"});
  EXPECT_TRUE(val.next<frames::ErrorMessage>());
  EXPECT_TRUE(val.wait_end());
  ada.send_input("fine");
  EXPECT_TRUE(rig.eventually([&](Hub&) { return rig.remote.typed == "fine"; }));
}

TEST(Hub, WhoComesAfterTheEndLearnsWhy) {
  HubRig rig;
  rig.on_loop([](Hub& hub) { hub.opened(RAP_E_CONFIG, "open: config: /user: missing"); });
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Status late = rig.on_loop([&](Hub& hub) {
    AttachRequest request;
    request.attach_id = "att_late";
    request.stream.reset(ends[1]);
    return hub.add(std::move(request));
  });
  close(ends[0]);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::conflict);
  EXPECT_EQ(late.error().detail, "the session has ended: open: config: /user: missing");
}

}  // namespace
}  // namespace rap::test
