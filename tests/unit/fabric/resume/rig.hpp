// A dialler and an acceptor over pairs that break, and time that moves by hand.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/net/task_group.hpp"
#include "fabric/resume/registry.hpp"
#include "tests/support/faulty_pair.hpp"
#include "tests/support/run_task.hpp"

namespace rap::resume {

using net::Task;

class HandClock final : public ResumeClock {
 public:
  TimePoint now() const override { return now_; }
  Task<void> wait(net::Event& event, TimePoint until) const override {
    if (now_ >= until) co_return;
    waiting_.push_back(&event);
    struct Leave {
      std::vector<net::Event*>& list;
      net::Event* event;
      ~Leave() { std::erase(list, event); }
    } leave{waiting_, &event};
    co_await event.wait();
  }
  void advance(milliseconds time) {
    now_ += time;
    for (net::Event* event : std::vector(waiting_)) event->set();
  }

 private:
  TimePoint now_{std::chrono::hours(100)};
  mutable std::vector<net::Event*> waiting_;
};

class ResumeRig : public ::testing::Test {
 protected:
  boost::asio::io_context io;
  HandClock clock;
  ResumeLimits limits;
  RegistryLimits counts_most;
  std::unique_ptr<ResumeRegistry> registry;
  net::TaskGroup group{io.get_executor()};
  PeerId peer{};

  // What the acceptor's side got, in order.
  std::deque<ResumableStreamPtr> accepted;
  std::vector<Error> refused;
  // Of the transports that were dialled.
  std::vector<std::shared_ptr<test::Faults>> faults;
  // Called for each transport before it is used.
  std::function<void(test::Faults&)> prepare = [](test::Faults&) {};
  bool no_way = false;                      // opening fails for now
  bool given_up = false;                    // opening says never again
  bool hangs = false;                       // opening does not end
  net::ByteStreamPtr* other_end = nullptr;  // goes there instead of to the registry
  int dialled = 0;

  ~ResumeRig() override {
    accepted.clear();
    if (registry) registry->close_all();
    for (const auto& f : faults) f->cut();
    clock.advance(std::chrono::hours(1));
    group.cancel();
    io.restart();
    io.run_for(milliseconds(50));
  }

  void start() {
    registry = std::make_unique<ResumeRegistry>(io.get_executor(), limits, counts_most, clock);
  }

  Task<void> serve(net::ByteStreamPtr transport, PeerId who) {
    auto result = co_await registry->accept(std::move(transport), who);
    if (!result) {
      refused.push_back(result.error());
    } else if (*result) {
      accepted.push_back(std::move(*result));
    }
  }

  // A transport whose other end the registry serves.
  net::ByteStreamPtr make_transport() {
    auto pair = test::make_faulty_pair(io.get_executor());
    prepare(*pair.faults);
    faults.push_back(pair.faults);
    if (other_end != nullptr) {
      *other_end = std::move(pair.b);
      return std::move(pair.a);
    }
    group.spawn("serve", serve(std::move(pair.b), peer));
    return std::move(pair.a);
  }

  Task<net::ByteStreamPtr> open_transport() {
    ++dialled;
    if (hangs) {
      net::Event never(io.get_executor());
      co_await never.wait();
    }
    if (no_way) throw net::NetError(Errc::unavailable, "no way");
    if (given_up) co_return nullptr;
    co_return make_transport();
  }

  ResumableStreamPtr open() {
    OpenTransport way = [this] { return open_transport(); };
    auto out = test::run_task(io, open_resumable(std::move(way), limits, clock));
    until([&] { return !accepted.empty(); });
    return out;
  }

  // Lets things happen until it is so; nothing waits for time.
  template <typename Predicate>
  void until(Predicate is_so) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    io.restart();
    while (!is_so()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it did not happen";
      io.run_one_for(milliseconds(100));
      io.restart();
    }
  }
  // Lets everything happen that can happen now.
  void settle() {
    for (int i = 0; i < 20; ++i) {
      io.restart();
      io.poll();
    }
  }

  Bytes read(net::ByteStream& stream, std::size_t count) {
    Bytes out(count);
    const bool whole = test::run_task(io, net::read_exact(stream, out));
    EXPECT_TRUE(whole);
    return out;
  }
  std::string read_text(net::ByteStream& stream, std::size_t count) {
    const Bytes bytes = read(stream, count);
    return std::string(as_text(bytes));
  }
  void write(net::ByteStream& stream, std::string_view text) {
    test::run_task(io, stream.write_all(as_bytes(text)));
  }
  bool ends(net::ByteStream& stream) {
    Bytes one(1);
    return test::run_task(io, stream.read_some(one)) == 0;
  }
  Errc read_error(net::ByteStream& stream) {
    Bytes one(1);
    try {
      (void)test::run_task(io, stream.read_some(one));
    } catch (const net::NetError& error) {
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return Errc::internal;
  }
};

}  // namespace rap::resume
