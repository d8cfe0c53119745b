#include "contracts/frames/control.hpp"

#include <gtest/gtest.h>

#include "contracts/frames/frame.hpp"

namespace rap::frames {
namespace {

TEST(ControlMessage, ClientMessagesRoundTrip) {
  const ClientMessage all[] = {Hello{1, 120, 40, "xterm-256color"}, Resize{1, 1000}, Detach{},
                               Ping{42}, Repaint{}};
  for (const ClientMessage& message : all) {
    auto back = parse_client_message(to_json(message));
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*back, message);
  }
}

TEST(ControlMessage, HubMessagesRoundTrip) {
  const HubMessage all[] = {Welcome{"ses_1", "att_1", "view", "active", "Ada", 80, 24, true},
                            Welcome{"ses_1", "att_1", "control", "detached", std::nullopt, 1, 1},
                            ControllerChanged{"Ada", "2026-11-21T00:00:00Z"},
                            ControllerChanged{std::nullopt, "2026-11-21T00:00:00Z"},
                            TakenOver{"Grace", "2026-11-21T00:00:00Z"},
                            TakenOver{"Grace", "2026-11-21T00:00:00Z", "192.0.2.7"},
                            StateChanged{"active", ""},
                            Closed{"exit", 3, ""},
                            Closed{"remote_lost", std::nullopt, "connection reset"},
                            ErrorMessage{"protocol", "frame on unknown channel 77"},
                            Pong{-1}};
  for (const HubMessage& message : all) {
    auto back = parse_hub_message(to_json(message));
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*back, message);
  }
}

TEST(ControlMessage, RefusesHostileClientMessages) {
  struct {
    const char* json;
    Errc code;
  } table[] = {
      {"", Errc::malformed},
      {"hello", Errc::malformed},
      {"[]", Errc::malformed},
      {"{}", Errc::invalid},
      {R"({"type":7})", Errc::invalid},
      {R"({"type":"HELLO"})", Errc::unsupported},
      {R"({"type":"welcome"})", Errc::unsupported},
      {R"({"type":"hello"})", Errc::invalid},
      {R"({"type":"hello","version":2,"cols":80,"rows":24,"term":"x"})", Errc::unsupported},
      {R"({"type":"hello","version":1,"cols":0,"rows":24,"term":"x"})", Errc::invalid},
      {R"({"type":"hello","version":1,"cols":80,"rows":1001,"term":"x"})", Errc::invalid},
      {R"({"type":"hello","version":1,"cols":-1,"rows":24,"term":"x"})", Errc::invalid},
      {R"({"type":"hello","version":1,"cols":80.5,"rows":24,"term":"x"})", Errc::invalid},
      {R"({"type":"hello","version":1,"cols":"80","rows":24,"term":"x"})", Errc::invalid},
      {R"({"type":"hello","version":1,"cols":80,"rows":24,"term":"a b"})", Errc::invalid},
      {R"({"type":"hello","version":1,"cols":80,"rows":24,"term":"\u001b[2J"})", Errc::invalid},
      {R"({"type":"hello","version":1,"cols":80,"rows":24,)"
       R"("term":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})",
       Errc::invalid},
      {R"({"type":"resize","cols":99999999999999999999,"rows":24})", Errc::invalid},
      {R"({"type":"resize","type":"detach"})", Errc::malformed},
      {R"({"type":"ping"})", Errc::invalid},
      {R"({"type":"detach"} x)", Errc::malformed},
      {"{\"type\":\"\xff\"}", Errc::malformed},
      {R"({"type":"ping","id":1,"x":[[[[[[[[[[]]]]]]]]]]})", Errc::too_large},
  };
  for (const auto& bad : table) {
    auto message = parse_client_message(bad.json);
    ASSERT_FALSE(message) << bad.json;
    EXPECT_EQ(message.error().code, bad.code) << bad.json << " " << message.error().text();
  }
}

TEST(ControlMessage, IgnoresMembersItDoesNotKnow) {
  auto message = parse_client_message(R"({"type":"resize","cols":10,"rows":20,"dpi":96})");
  ASSERT_TRUE(message);
  EXPECT_EQ(*message, ClientMessage(Resize{10, 20}));
}

TEST(ControlMessage, StaysBelowTheLimitWhateverTheTexts) {
  const std::string noise(100'000, '\x01');  // six characters each when escaped
  const std::string json = to_json(HubMessage(Closed{"exit", 0, noise}));
  EXPECT_LE(json.size(), kControlBytesMax);
  EXPECT_TRUE(parse_hub_message(json));
  std::string umlauts;
  for (int i = 0; i < 1000; ++i) umlauts += "\xc3\xa4";
  EXPECT_TRUE(parse_hub_message(to_json(HubMessage(TakenOver{"x" + umlauts, ""}))));
}

}  // namespace
}  // namespace rap::frames
