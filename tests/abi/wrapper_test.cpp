// rap.hpp seen from the host's side: what crosses the C ABI when C++ overrides return, throw and
// end.
#include <gtest/gtest.h>

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <rap/rap.hpp>

namespace {

std::vector<std::string> diary;  // what adapters and sessions saw

struct Fickle : rap::Session {
  Fickle(rap::Sink session_sink, bool later) : Session(session_sink), later_(later) {}
  ~Fickle() override { diary.push_back("session gone"); }
  bool opening() const override { return later_; }
  void attach(const rap_attach& who) override {
    diary.push_back("attach " + std::to_string(who.attach_id));
  }
  void detach(std::uint64_t id) override { diary.push_back("detach " + std::to_string(id)); }
  void input(std::uint64_t, std::span<const rap_frame> frames) override {
    if (frames.size() == 1) throw rap::Failure(RAP_E_BUSY, "full");
    if (frames.size() == 2) throw std::bad_alloc();
    if (frames.size() == 3) throw std::runtime_error("broken");
    if (frames.size() == 4) throw 4;
    if (frames.size() == 5) throw rap::Failure(RAP_OK, "not a failure");
  }
  void close(rap_result why) override {
    diary.push_back("close " + std::to_string(why));
    throw std::runtime_error("ignored");
  }
  void tick() { throw rap::Failure(RAP_E_GONE, "tick"); }

 private:
  bool later_;
};

struct First : rap::Adapter {
  static constexpr rap::Info info{
      .id = "test.first", .version = "1.0.0", .needs = {RAP_HOST_SESSION}, .fork_safe = true};
  using Adapter::Adapter;
  static void warm_up() { diary.push_back("warm"); }
  void start() override { host.need<rap_host_secret_1>(); }
  void health(rap_health& out) override { out.sessions = 7; }
  std::unique_ptr<rap::Session> open(rap::Sink sink, const rap_session_want& want) override {
    const std::string_view target = rap::view(want.target);
    if (target == "none") return nullptr;
    if (target == "denied") throw rap::Failure(RAP_E_DENIED, "no");
    diary.push_back("width " + std::to_string(want.width));
    return std::make_unique<Fickle>(sink, target == "later");
  }
};

struct Second : rap::Adapter {
  static constexpr rap::Info info{.id = "test.second",
                                  .version = "1.0.0",
                                  .provides = {RAP_ADAPTER_ACCEPT, "org.example.own/1"},
                                  .share = RAP_SHARE_WORKLOAD};
  explicit Second(rap::Host the_host) : Adapter(the_host) {
    if (!host.find<rap_host_session_1>()) throw rap::Failure(RAP_E_RESOURCE, "constructor");
  }
  void accept(int fd, const rap_incoming& from) override {
    if (from.kind != RAP_STREAM_BYTES) throw rap::Failure(RAP_E_INVALID, "kind");
    diary.push_back("fd " + std::to_string(fd));
  }
  const void* extension(std::string_view id) override {
    return id == "org.example.own/1" ? &diary : nullptr;
  }
};

}  // namespace

RAP_PLUGIN(First, Second)

namespace {

class Wrapper : public testing::Test {
 protected:
  Wrapper() {
    diary.clear();
    host_.host_data = this;
    host_.get_extension = [](const rap_host* h, const char* id) -> const void* {
      auto& self = *static_cast<Wrapper*>(h->host_data);
      return self.granted_.count(id) ? &kSession : nullptr;
    };
    host_.fail = [](const rap_host* h, rap_result code, const char* text) {
      static_cast<Wrapper*>(h->host_data)->said_ = text;
      return code;
    };
  }
  ~Wrapper() override {
    if (adapter_) adapter_->destroy(adapter_);
  }

  rap_result create(const char* id) { return rap_plugin_v1.create(&host_, id, &adapter_); }
  const rap_adapter_session_1& table() {
    return *static_cast<const rap_adapter_session_1*>(
        adapter_->get_extension(adapter_, RAP_ADAPTER_SESSION));
  }
  rap_result open(const char* target, std::uint32_t size = sizeof(rap_session_want)) {
    rap_session_want want{};
    want.size = size;
    want.target = rap::borrow(target);
    want.width = 80;
    return table().open(adapter_, nullptr, &want, &session_);
  }

  static inline rap_result closed_with = RAP_OK;
  static constexpr rap_host_session_1 kSession{
      [](rap_sink*, const rap_frame*, std::uint32_t, rap_emit*) -> rap_result { return RAP_OK; },
      [](rap_sink*, rap_result, rap_str) {},
      [](rap_sink*, rap_result result, rap_str) { closed_with = result; }};

  rap_host host_{};
  std::set<std::string> granted_{RAP_HOST_SESSION};
  std::string said_;
  rap_adapter* adapter_ = nullptr;
  rap_session* session_ = nullptr;
};

TEST_F(Wrapper, ExportsWhatInfoSays) {
  EXPECT_EQ(rap_plugin_v1.magic, RAP_MAGIC);
  EXPECT_EQ(rap_plugin_v1.size, sizeof(rap_plugin));
  ASSERT_EQ(rap_plugin_v1.adapter_count, 2u);
  const rap_adapter_desc& first = *rap_plugin_v1.adapters[0];
  EXPECT_EQ(first.size, sizeof(rap_adapter_desc));
  EXPECT_STREQ(first.id, "test.first");
  EXPECT_STREQ(first.name, "test.first");
  EXPECT_STREQ(first.needs[0], RAP_HOST_SESSION);
  EXPECT_EQ(first.needs[1], nullptr);
  EXPECT_EQ(first.roles[0], nullptr);
  EXPECT_STREQ(first.provides[0], RAP_ADAPTER_SESSION);
  EXPECT_STREQ(first.profile, "net.none");
  EXPECT_EQ(first.share, static_cast<std::uint32_t>(RAP_SHARE_SESSION));
  EXPECT_EQ(first.flags, static_cast<std::uint32_t>(RAP_ADAPTER_FORK_SAFE));
  EXPECT_EQ(rap_plugin_v1.adapters[1]->flags, 0u);
  EXPECT_EQ(rap_plugin_v1.warm_up(), RAP_OK);
  EXPECT_EQ(diary, std::vector<std::string>{"warm"});
}

TEST_F(Wrapper, CreatesByExactIdAndOnlyWithItsNeeds) {
  EXPECT_EQ(create("test.firs"), RAP_E_UNSUPPORTED);
  EXPECT_EQ(create("test.first "), RAP_E_UNSUPPORTED);
  granted_.clear();
  EXPECT_EQ(create("test.first"), RAP_E_UNSUPPORTED);
  EXPECT_EQ(said_, "not granted: rap.host.session/1");
  EXPECT_EQ(create("test.second"), RAP_E_RESOURCE);
  EXPECT_EQ(said_, "constructor");
  EXPECT_EQ(adapter_, nullptr);
  granted_ = {RAP_HOST_SESSION};
  EXPECT_EQ(create("test.first"), RAP_OK);
  EXPECT_EQ(adapter_->desc, rap_plugin_v1.adapters[0]);
}

TEST_F(Wrapper, AnswersOnlyTheExtensionsItProvides) {
  ASSERT_EQ(create("test.first"), RAP_OK);
  EXPECT_NE(adapter_->get_extension(adapter_, RAP_ADAPTER_SESSION), nullptr);
  EXPECT_EQ(adapter_->get_extension(adapter_, RAP_ADAPTER_ACCEPT), nullptr);
  EXPECT_EQ(adapter_->get_extension(adapter_, nullptr), nullptr);
  adapter_->destroy(adapter_);
  ASSERT_EQ(create("test.second"), RAP_OK);
  EXPECT_EQ(adapter_->get_extension(adapter_, RAP_ADAPTER_SESSION), nullptr);
  EXPECT_EQ(adapter_->get_extension(adapter_, "org.example.own/1"), &diary);
}

TEST_F(Wrapper, TurnsExceptionsIntoResultsWithText) {
  ASSERT_EQ(create("test.first"), RAP_OK);
  EXPECT_EQ(adapter_->start(adapter_), RAP_E_UNSUPPORTED);
  EXPECT_EQ(said_, "not granted: rap.host.secret/1");
  EXPECT_EQ(open("denied"), RAP_E_DENIED);
  EXPECT_EQ(open("none"), RAP_E_INTERNAL);
  EXPECT_EQ(session_, nullptr);

  ASSERT_EQ(open("demo"), RAP_OK);
  const std::vector<rap_frame> frames(6);
  const auto input = [&](std::uint32_t n) { return table().input(session_, 1, frames.data(), n); };
  const std::map<std::uint32_t, rap_result> expected{{1, RAP_E_BUSY},     {2, RAP_E_RESOURCE},
                                                     {3, RAP_E_INTERNAL}, {4, RAP_E_INTERNAL},
                                                     {5, RAP_E_INTERNAL}, {6, RAP_OK}};
  for (const auto& [count, result] : expected) EXPECT_EQ(input(count), result) << count;
  table().close(session_, RAP_OK);
}

TEST_F(Wrapper, SessionEndsWithCloseWhateverCloseDoes) {
  ASSERT_EQ(create("test.first"), RAP_OK);
  ASSERT_EQ(open("demo"), RAP_OK);
  rap_attach fresh{};
  fresh.size = sizeof fresh;
  fresh.attach_id = 2;
  EXPECT_EQ(table().takeover(session_, 1, &fresh), RAP_OK);
  table().close(session_, RAP_E_CANCELED);
  EXPECT_EQ(diary, (std::vector<std::string>{"width 80", "detach 1", "attach 2", "close -13",
                                             "session gone"}));
}

TEST_F(Wrapper, SaysPendingForASessionThatIsStillOpening) {
  ASSERT_EQ(create("test.first"), RAP_OK);
  ASSERT_EQ(open("later"), RAP_PENDING);
  table().close(session_, RAP_OK);
}

TEST_F(Wrapper, ReadsStructsOfAnOlderHost) {
  ASSERT_EQ(create("test.first"), RAP_OK);
  ASSERT_EQ(open("demo", offsetof(rap_session_want, width)), RAP_OK);
  EXPECT_EQ(diary, std::vector<std::string>{"width 0"});
  table().close(session_, RAP_OK);

  rap_health report;
  std::memset(&report, 0x5a, sizeof report);
  report.size = 12;  // size, level, sessions
  EXPECT_EQ(adapter_->health(adapter_, &report), RAP_OK);
  EXPECT_EQ(report.sessions, 7u);
  EXPECT_EQ(report.streams, 0x5a5a5a5au);
  EXPECT_EQ(report.size, 12u);
}

TEST_F(Wrapper, KeepsADescriptorOnlyWhenItAccepts) {
  ASSERT_EQ(create("test.second"), RAP_OK);
  const auto& table = *static_cast<const rap_adapter_accept_1*>(
      adapter_->get_extension(adapter_, RAP_ADAPTER_ACCEPT));
  rap_incoming from{};
  from.size = sizeof from;
  from.kind = RAP_STREAM_TUN;
  EXPECT_EQ(table.accept(adapter_, 5, &from), RAP_E_INVALID);
  EXPECT_TRUE(diary.empty());
  from.kind = RAP_STREAM_BYTES;
  EXPECT_EQ(table.accept(adapter_, 5, &from), RAP_OK);
  EXPECT_EQ(diary, std::vector<std::string>{"fd 5"});
}

TEST_F(Wrapper, FailedCallbackEndsTheSession) {
  Fickle session(rap::Sink(nullptr, kSession), false);
  closed_with = RAP_OK;
  const rap_task_fn tick = rap::task<Fickle, &Fickle::tick>;
  tick(static_cast<Fickle*>(&session));
  EXPECT_EQ(closed_with, RAP_E_GONE);
}

TEST(Take, CopiesWhatBothSidesKnow) {
  rap_stream_want wide{};
  wide.size = sizeof wide;
  wide.kind = 3;
  wide.timeout_ms = 9;
  rap_stream_want out;
  rap_take(&out, sizeof out, &wide, wide.size);
  EXPECT_EQ(out.timeout_ms, 9u);
  rap_take(&out, sizeof out, &wide, 8);  // an old writer: the rest reads as zero
  EXPECT_EQ(out.kind, 3u);
  EXPECT_EQ(out.timeout_ms, 0u);
  EXPECT_EQ(out.size, sizeof out);
  struct {
    rap_stream_want known;
    std::uint64_t later;
  } grown{wide, 1};  // a new writer: what is not known is left out
  rap_take(&out, sizeof out, &grown, sizeof grown);
  EXPECT_EQ(out.timeout_ms, 9u);
  EXPECT_EQ(out.size, sizeof out);
}

}  // namespace
