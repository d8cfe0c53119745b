#include "cli/session_fate.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace rap::cli {
namespace {

struct OneAnswer final : Api {
  std::string body;
  int asked = 0;
  ApiResponse send(const ApiRequest& request) override {
    EXPECT_EQ(request.path, "/v1/sessions/ses_1");
    ++asked;
    if (body.empty()) throw Failure(Exit::unavailable, "the server is away");
    return {body, ""};
  }
};

Fate of(const char* text) {
  return fate_of(json::parse(text));
}

TEST(SessionFate, ReadsWhatTheControlPlaneSays) {
  using Known = Fate::Known;
  EXPECT_EQ(of(R"({"state":"detached"})").known, Known::goes_on);
  EXPECT_EQ(of(R"({"state":"active"})").known, Known::goes_on);
  EXPECT_EQ(of(R"({"state":"failed","detail":"ended by signal 9"})").known, Known::failed);
  EXPECT_EQ(of(R"({"state":"closing"})").known, Known::ended);
  EXPECT_EQ(of(R"({"state":"closed","exit_status":3})").exit_status, 3);
  EXPECT_EQ(of(R"({"state":"closed","exit_status":null})").exit_status, std::nullopt);
  EXPECT_EQ(of(R"({"state":"closed","exit_status":70000})").exit_status, std::nullopt);
  for (const char* odd : {"{}", "[]", "7", R"({"state":7})", R"({"state":"weird"})"}) {
    EXPECT_EQ(of(odd).known, Known::nothing) << odd;
  }
}

TEST(SessionFate, SaysThatItGoesOnOnlyWhenItDoes) {
  struct Case {
    const char* session;
    int status;
    const char* says;
    bool attach;  // is the way back named?
  };
  const Case cases[] = {
      {R"({"state":"detached"})", 251, "the session is detached; come back", true},
      {R"({"state":"failed","detail":"ended by signal 9"})", 253, "failed: ended by signal 9",
       false},
      {R"({"state":"closed","detail":"terminated by Ada"})", 252, "has ended: terminated by Ada",
       false},
      {R"({"state":"closed","exit_status":3})", 3, "the session has ended", false},
      {"{}", 251, "is not known now: rapctl session show ses_1", true},
  };
  for (const Case& c : cases) {
    const LastWords last = words_about("ses_1", "the node closed the stream", of(c.session));
    EXPECT_EQ(last.status, c.status) << c.session;
    EXPECT_NE(last.text.find(c.says), last.text.npos) << last.text;
    EXPECT_EQ(last.text.find("rapctl session attach ses_1") != last.text.npos, c.attach)
        << last.text;
  }
}

TEST(SessionFate, OneThatTheNodeRefusedIsNotSaidToBeThere) {
  const std::string may = "the session may be there: rapctl session show ses_1";
  const std::string never = "the session was not begun; it fails within a minute";
  struct Case {
    Errc refused;
    const char* session;
    std::string todo;
  };
  for (const Case& c : std::initializer_list<Case>{
           {Errc::exhausted, R"({"state":"failed","detail":"full"})", ""},
           {Errc::unavailable, R"({"state":"failed"})", ""},
           {Errc::conflict, R"({"state":"closed"})", ""},
           {Errc::expired, R"({"state":"opening"})", never},    // refused by the listener,
           {Errc::exhausted, R"({"state":"opening"})", never},  // or not told yet
           {Errc::unavailable, R"({"state":"opening"})", may},  // the agent did not answer
           {Errc::conflict, R"({"state":"opening"})", may},     // another stream opens it
           {Errc::exhausted, "{}", may},
           {Errc::forbidden, R"({"state":"active"})",
            "the session is active: rapctl session show ses_1"},  // an attach that was refused
       }) {
    EXPECT_EQ(todo_without_stream("ses_1", c.refused, of(c.session)), c.todo) << c.session;
  }
}

TEST(SessionFate, AsksOnceAndTakesNoAnswerForNothingKnown) {
  OneAnswer api;
  api.body = R"({"state":"failed","detail":"x"})";
  EXPECT_EQ(ask_fate(api, "ses_1").known, Fate::Known::failed);
  EXPECT_EQ(api.asked, 1);
  api.body.clear();
  EXPECT_EQ(ask_fate(api, "ses_1").known, Fate::Known::nothing);
  EXPECT_EQ(api.asked, 2);
}

TEST(SessionFate, KeepsWhatOthersSaidFromTheTerminal) {
  const Fate fate = of(R"({"state":"failed","detail":"a\u001b[2Jb"})");
  EXPECT_EQ(words_about("ses_1", "", fate).text.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace rap::cli
