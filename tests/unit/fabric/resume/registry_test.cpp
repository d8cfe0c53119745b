// Who may come back, and what strangers get.
#include "fabric/resume/core.hpp"
#include "tests/unit/fabric/resume/rig.hpp"

namespace rap::resume {
namespace {

class Registry : public ResumeRig {
 protected:
  // A transport to the registry whose other end the test plays.
  net::ByteStreamPtr knock(ByteView first) {
    auto transport = make_transport();
    test::run_task(io, transport->write_all(first));
    return transport;
  }
  FrameHeader answer(net::ByteStream& transport, Bytes& body) {
    return test::run_task(io, read_opening(transport, Phase::answering, body));
  }
  // What a transport that begins like this gets.
  std::optional<Refusal> refusal(ByteView first) {
    auto transport = knock(first);
    Bytes body;
    const FrameHeader header = answer(*transport, body);
    if (header.type != FrameType::refused) return std::nullopt;
    EXPECT_TRUE(ends(*transport));
    return static_cast<Refusal>(header.value);
  }

  // A dialler by hand.
  struct Opened {
    net::ByteStreamPtr transport;
    StreamId id{};
    Secret key;
  };
  Opened hello() {
    Hello frame;
    frame.random.fill(42);
    frame.window = limits.window;
    Opened out;
    out.transport = knock(encode(frame));
    Bytes body;
    EXPECT_EQ(answer(*out.transport, body).type, FrameType::welcome);
    const auto welcome = decode_welcome(body);
    out.id = welcome->id;
    out.key = derive_key(welcome->id, frame.random, welcome->random);
    return out;
  }
  Bytes resume(const Opened& opened, std::uint64_t epoch, std::uint64_t next = 0) {
    Resume frame;
    frame.epoch = epoch;
    frame.id = opened.id;
    frame.next = next;
    frame.proof = make_proof(opened.key, End::dialler, opened.id, epoch, next);
    return encode(frame);
  }
};

TEST_F(Registry, RefusesAWrongProofAndAStrangerAlike) {
  start();
  const Opened opened = hello();
  Bytes wrong = resume(opened, 1);
  wrong.back() ^= 1;
  EXPECT_EQ(refusal(wrong), Refusal::unknown);
  Bytes other_id = resume(opened, 1);
  other_id[kHeaderBytes] ^= 1;
  EXPECT_EQ(refusal(other_id), Refusal::unknown);
  Bytes other_offset = resume(opened, 1);
  other_offset[kHeaderBytes + 16] ^= 1;
  EXPECT_EQ(refusal(other_offset), Refusal::unknown);
  peer.fill(9);  // the right key, but another client
  EXPECT_EQ(refusal(resume(opened, 1)), Refusal::unknown);
  peer.fill(0);
  // None of it disturbed the stream.
  EXPECT_EQ(accepted[0]->info().attachments, 1u);
  EXPECT_EQ(refusal(resume(opened, 1)), std::nullopt);
  EXPECT_EQ(registry->counts().refused, 4u);
}

TEST_F(Registry, RefusesAReplayedAndAnOldEpoch) {
  start();
  const Opened opened = hello();
  const Bytes first = resume(opened, 3);
  auto current = knock(first);
  Bytes body;
  EXPECT_EQ(answer(*current, body).type, FrameType::resumed);
  EXPECT_EQ(refusal(first), Refusal::stale);
  EXPECT_EQ(refusal(resume(opened, 2)), Refusal::stale);
  EXPECT_EQ(accepted[0]->info().attachments, 2u);
  write(*accepted[0], "on the newest");
  const Bytes got = read(*current, 2 * kHeaderBytes + 13);  // ACK, DATA
  EXPECT_EQ(as_text(ByteView(got).last(13)), "on the newest");
}

TEST_F(Registry, TheNewestOfSimultaneousTransportsWins) {
  start();
  const Opened opened = hello();
  auto older = make_transport();
  auto newer = make_transport();
  const Bytes older_first = resume(opened, 1);
  const Bytes newer_first = resume(opened, 2);
  group.spawn("older", older->write_all(older_first));
  group.spawn("newer", newer->write_all(newer_first));
  Bytes body;
  const FrameHeader header = answer(*newer, body);
  EXPECT_EQ(header.type, FrameType::resumed);
  const auto resumed = decode_resumed(header, body);
  ASSERT_TRUE(resumed);
  EXPECT_EQ(resumed->epoch, 2u);
  EXPECT_TRUE(proof_holds(opened.key, End::acceptor, opened.id, 2, resumed->next, resumed->proof));
  // The older one is closed, whether or not it was answered.
  Bytes rest(1'000);
  try {
    while (test::run_task(io, older->read_some(rest)) > 0) {
    }
  } catch (const net::NetError& error) {
    EXPECT_EQ(error.code(), Errc::unavailable);
  }
}

TEST_F(Registry, AnOffsetThatCannotBeEndsTheStream) {
  start();
  const Opened opened = hello();
  auto transport = knock(resume(opened, 1, 5));  // nothing was ever sent
  EXPECT_EQ(read_error(*accepted[0]), Errc::malformed);
  until([&] { return registry->counts().streams == 0; });
}

TEST_F(Registry, ABrokenProtocolEndsTheStreamWithClose) {
  start();
  Opened opened = hello();
  const Bytes garbage(kHeaderBytes, 0xff);
  test::run_task(io, opened.transport->write_all(garbage));
  EXPECT_EQ(read_error(*accepted[0]), Errc::unsupported);
  const Bytes last = read(*opened.transport, kHeaderBytes);
  const auto header = decode_header(ByteView(last).first<kHeaderBytes>(), Phase::streaming);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->type, FrameType::close);
  EXPECT_EQ(header->value, static_cast<std::uint64_t>(CloseReason::protocol));
  until([&] { return registry->counts().streams == 0; });
}

TEST_F(Registry, IsFullForAPeerAndForAll) {
  counts_most.streams_max = 3;
  counts_most.streams_of_peer_max = 2;
  start();
  std::vector<Opened> opened;
  opened.push_back(hello());
  opened.push_back(hello());
  Hello frame;
  frame.window = limits.window;
  const Bytes first = encode(frame);
  EXPECT_EQ(refusal(first), Refusal::full);
  peer.fill(1);
  opened.push_back(hello());
  EXPECT_EQ(refusal(first), Refusal::full);
  // Room comes back.
  accepted.pop_front();
  until([&] { return registry->counts().streams == 2; });
  peer.fill(2);
  opened.push_back(hello());
  EXPECT_EQ(registry->counts().opened, 4u);
}

TEST_F(Registry, AFullAcceptorIsSaidSo) {
  counts_most.streams_max = 0;
  start();
  OpenTransport way = [this] { return open_transport(); };
  try {
    (void)test::run_task(io, open_resumable(std::move(way), limits, clock));
    FAIL();
  } catch (const net::NetError& error) {
    EXPECT_EQ(error.code(), Errc::exhausted);
  }
}

TEST_F(Registry, GarbageAndSlowLorisGetNothing) {
  start();
  EXPECT_EQ(refusal(Bytes(kHeaderBytes, 0)), Refusal::version);
  EXPECT_EQ(refusal(to_bytes("GET / HTTP/1.1\r\n\r\n")), Refusal::version);
  std::array<std::uint8_t, kHeaderBytes> data;
  encode_header({FrameType::data, 5, 0}, data);
  EXPECT_EQ(refusal(data), Refusal::malformed);
  auto slow = knock(ByteView(data).first(3));
  settle();
  clock.advance(limits.hello_timeout);
  Bytes one(1);
  EXPECT_THROW((void)test::run_task(io, slow->read_some(one)), net::NetError);
  until([&] { return refused.size() == 4; });
  EXPECT_EQ(refused.back().code, Errc::timeout);
  EXPECT_EQ(registry->counts().streams, 0u);
}

TEST_F(Registry, AnOpeningThatIsNeverUsedIsForgotten) {
  start();
  Opened opened = hello();
  opened.transport->close();
  settle();
  EXPECT_EQ(registry->counts().streams, 1u);
  clock.advance(limits.resume_window);
  until([&] { return registry->counts().streams == 0; });
}

TEST_F(Registry, ClosingAPeerEndsItsStreamsForGood) {
  start();
  peer.fill(1);
  auto a = open();
  peer.fill(2);
  auto kept = open();
  until([&] { return accepted.size() == 2; });
  PeerId revoked;
  revoked.fill(1);
  registry->close_peer(revoked);
  EXPECT_EQ(read_error(*a), Errc::unavailable);
  EXPECT_EQ(registry->counts().streams, 1u);
  write(*kept, "x");
  EXPECT_EQ(read_text(*accepted[1], 1), "x");
}

TEST_F(Registry, AnAnswerWithoutTheKeyIsNotBelieved) {
  start();
  auto a = open();
  // The next transport ends at somebody who answers without knowing the key.
  net::ByteStreamPtr impostor;
  other_end = &impostor;
  faults[0]->cut();
  until([&] { return impostor != nullptr; });
  other_end = nullptr;
  const Bytes question = read(*impostor, kHeaderBytes + kResumeBytes);
  Resumed answer;
  answer.epoch = 1;
  answer.proof.fill(1);
  const Bytes bytes = encode(answer);
  test::run_task(io, impostor->write_all(bytes));
  EXPECT_EQ(read_error(*impostor), Errc::unavailable);
  clock.advance(milliseconds(100));
  write(*a, "to the right one");
  EXPECT_EQ(read_text(*accepted[0], 16), "to the right one");
  EXPECT_EQ(dialled, 3);
}

}  // namespace
}  // namespace rap::resume
