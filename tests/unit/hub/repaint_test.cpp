// Pictures for who drew over the screen.
#include <gtest/gtest.h>

#include "tests/unit/hub/hub_rig.hpp"

namespace rap::test {
namespace {

using Strings = std::vector<std::string>;

TEST(HubRepaint, PaintsAgainForWhoAsksAndForNobodyElse) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.attach(AttachMode::control, "Ada");
  ada.send_control(frames::Hello{1, 80, 24, "xterm"});
  const auto welcome = ada.next<frames::Welcome>();
  ASSERT_TRUE(welcome);
  EXPECT_TRUE(welcome->repaints);
  TestClient val = rig.join(AttachMode::view, "Val");
  ASSERT_TRUE(val.wait_output("[picture]"));
  ada.send_control(frames::Resize{100, 30});
  ada.send_control(frames::Repaint{});
  ada.send_input("typed");
  EXPECT_TRUE(ada.wait_output("[picture][picture]"));
  EXPECT_TRUE(rig.eventually([&](Hub&) { return rig.remote.typed == "typed"; })) << "she controls";
  EXPECT_EQ(rig.calls(), (Strings{"attach control 1", "attach view 2", "resize 100x30", "detach 1",
                                  "attach control 3"}));
  EXPECT_EQ(rig.on_loop([&](Hub&) { return rig.remote.attach_size; }), "100x30");
  val.send_control(frames::Repaint{});
  EXPECT_TRUE(val.wait_output("[picture][picture]"));
  EXPECT_EQ(rig.emit("after"), RAP_OK);
  EXPECT_TRUE(ada.wait_output("after"));
  EXPECT_TRUE(val.wait_output("after"));
  EXPECT_EQ(ada.output(), "[picture][picture]after");
  EXPECT_EQ(val.output(), "[picture][picture]after");
  // Who attached, and that she controls, was told once.
  EXPECT_EQ(rig.told(), (Strings{"detached", "active", "attached att_Ada", "view_joined att_Val"}));
}

TEST(HubRepaint, PaintsForNobodyAsOftenAsTheyAsk) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  for (int i = 0; i < 100; ++i) ada.send_control(frames::Repaint{});
  ada.send_input("typed");
  EXPECT_TRUE(rig.eventually([&](Hub&) { return rig.remote.typed == "typed"; }));
  // Each second one: even a machine that stands still does not need a minute for this.
  EXPECT_LT(rig.calls().size(), 2u * 60) << "a picture costs more than a question";
  EXPECT_GE(rig.calls().size(), 3u);
}

TEST(HubRepaint, AnAdapterThatWillNotPaintAgainEndsTheAttachment) {
  HubRig rig;
  rig.open();
  TestClient ada = rig.join(AttachMode::control, "Ada");
  ASSERT_TRUE(ada.wait_output("[picture]"));
  rig.on_loop([&](Hub&) { rig.remote.attach_result = RAP_E_RESOURCE; });
  ada.send_control(frames::Repaint{});
  const auto error = ada.next<frames::ErrorMessage>();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "exhausted");
  EXPECT_TRUE(ada.wait_end());
  EXPECT_TRUE(rig.eventually([](Hub& hub) { return hub.state() == SessionState::detached; }));
}

}  // namespace
}  // namespace rap::test
