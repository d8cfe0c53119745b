// What measures. Each prints JSON objects, one per line.
//   bulk   near and far; streams= as fast as they go for ms=, CPU of pid= meanwhile
//   carry  the same at kbytes_s= until its input ends; streams=0 is a far end alone
//   echo   one byte there and back, in turns through what is measured and beside it, each pause_us=
//   keys   the same to the far node, without and with a bulk stream to it
//   hold   connections= or streams= that do nothing: warm= first, then as many more after a line
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/net/timer.hpp"
#include "tests/bench/channel_bench_sides.hpp"

namespace rap::bench {

namespace {

using net::ByteStreamPtr;
using net::milliseconds;
using net::Task;
using routing::ChannelClass;
using Clock = std::chrono::steady_clock;
using Micros = std::vector<double>;

constexpr milliseconds kSettle{200};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Nanoseconds that a process has run, all threads.
double cpu_ns(long pid) {
  double sum = 0;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    std::ifstream in(task.path() / "schedstat");
    double ran = 0;
    in >> ran;
    sum += ran;
  }
  return sum;
}

double quantile(Micros values, double q) {
  std::sort(values.begin(), values.end());
  return values.at(static_cast<std::size_t>(q * static_cast<double>(values.size() - 1)));
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// Waits for a line; nothing else of the process runs meanwhile.
void wait_for_line() {
  char byte = 0;
  (void)!::read(0, &byte, 1);
}

class Load {
 public:
  Load(boost::asio::io_context& io, const Files& files, const Options& options)
      : executor_(io.get_executor()), files_(files), options_(options), tasks_(executor_) {}

  Task<void> run(std::string what) {
    if (what == "bulk") return bulk();
    if (what == "carry") return carry();
    if (what == "echo") return echo();
    if (what == "keys") return keys();
    if (what == "hold") return hold();
    throw std::runtime_error("unknown: " + what);
  }

 private:
  void start(unsigned number) {
    if (options_.text("far", "") != "none")
      far_ = std::make_unique<Far>(executor_, files_, options_);
    near_ = std::make_unique<Near>(executor_, files_, options_, number);
  }
  bool up() const { return options_.text("dir", "up") == "up"; }
  double seconds() const { return static_cast<double>(options_.number("ms", 1000)) / 1e3; }
  std::uint64_t moved() const { return received_ + (far_ ? far_->received() : 0); }

  // Without end. `bytes_per_s` 0: as fast as it goes.
  Task<void> flow(std::shared_ptr<net::ByteStream> stream, double bytes_per_s) {
    Bytes piece(kPieceBytes, up() ? 'u' : 'd');
    if (!up()) {
      co_await stream->write_all(ByteView(piece).first(1));
      for (;;) received_ += co_await stream->read_some(piece);
    }
    const auto began = Clock::now();
    for (double sent = 0;; sent += static_cast<double>(piece.size())) {
      while (bytes_per_s > 0 && sent > bytes_per_s * seconds_since(began)) {
        co_await net::sleep_for(milliseconds(1));
      }
      co_await stream->write_all(piece);
    }
  }
  Task<void> start_flows(Near::Way way) {
    const long streams = options_.number("streams", 1);
    const double rate = static_cast<double>(options_.number("kbytes_s", 0)) * 1e3;
    std::vector<ByteStreamPtr> all;
    for (long i = 0; i < streams; ++i) all.push_back(co_await near_->open(way, ChannelClass::bulk));
    for (ByteStreamPtr& stream : all) {
      tasks_.spawn("flow", flow(std::shared_ptr<net::ByteStream>(std::move(stream)),
                                rate / static_cast<double>(streams)));
    }
  }

  Task<void> bulk() {
    start(kNear);
    co_await start_flows(Near::Way::through);
    co_await net::sleep_for(kSettle);
    const long pid = options_.number("pid", ::getpid());
    const double cpu = cpu_ns(pid);
    const std::uint64_t before = moved();
    const auto began = Clock::now();
    co_await net::sleep_for(milliseconds(static_cast<long>(seconds() * 1e3)));
    const double bytes = static_cast<double>(moved() - before);
    if (bytes == 0) throw std::runtime_error("no byte came");
    say(fmt::format(R"({{"mb_s":{:.1f},"ns_byte":{:.4f}}})", bytes / seconds_since(began) / 1e6,
                    (cpu_ns(pid) - cpu) / bytes));
  }

  Task<void> carry() {
    start(kNear);
    co_await start_flows(Near::Way::through);
    say(R"({"ready":1})");
    co_await net::sleep_for(milliseconds(600'000));  // whoever started this ends it
  }

  Task<void> one(net::ByteStream& stream, Micros& micros) {
    const Bytes key(1, 'e');
    Bytes back(1);
    const auto began = Clock::now();
    co_await stream.write_all(key);
    if (co_await stream.read_some(back) != 1) throw std::runtime_error("the echo ended");
    micros.push_back(seconds_since(began) * 1e6);
    co_await net::sleep_for(std::chrono::duration_cast<milliseconds>(
        std::chrono::microseconds(options_.number("pause_us", 1000))));
  }

  Task<void> echo() {
    start(kTyping);
    auto through = co_await near_->open(Near::Way::through, ChannelClass::interactive);
    auto direct = co_await near_->open(Near::Way::direct, ChannelClass::interactive);
    Micros ours, beside, unused;
    for (int i = 0; i < 20; ++i) {
      co_await one(*through, unused);
      co_await one(*direct, unused);
    }
    for (const auto began = Clock::now(); seconds_since(began) < seconds();) {
      co_await one(*through, ours);
      co_await one(*direct, beside);
    }
    say(echo_line(ours, beside));
  }

  Task<void> keys() {
    start(kTyping);
    auto stream = co_await near_->open(Near::Way::direct, ChannelClass::interactive);
    Micros without, with, unused;
    for (int i = 0; i < 20; ++i) co_await one(*stream, unused);
    for (const auto began = Clock::now(); seconds_since(began) < seconds();) {
      co_await one(*stream, without);
    }
    co_await start_flows(Near::Way::direct);
    co_await net::sleep_for(kSettle);
    for (const auto began = Clock::now(); seconds_since(began) < seconds();) {
      co_await one(*stream, with);
    }
    say(echo_line(with, without));
  }

  static std::string echo_line(const Micros& first, const Micros& second) {
    const auto list = [](const Micros& values) {
      return fmt::format("[{:.1f},{:.1f}]", quantile(values, 0.5), quantile(values, 0.99));
    };
    return fmt::format(R"({{"first_us":{},"second_us":{},"count":{}}})", list(first), list(second),
                       first.size());
  }

  // An idle stream has carried something once, so that buffers that stay are counted.
  Task<void> hold_more(long connections, long streams) {
    for (long i = 0; i < connections; ++i) {
      const auto number = kLeaves + static_cast<unsigned>(held_.size());
      held_.push_back(std::make_unique<Near>(executor_, files_, options_, number));
      co_await held_.back()->connect();
    }
    Micros unused;
    for (long i = 0; i < streams; ++i) {
      idle_.push_back(co_await near_->open(Near::Way::through, ChannelClass::interactive));
      co_await one(*idle_.back(), unused);
    }
    co_await net::sleep_for(kSettle);
    say(R"({"ready":1})");
    wait_for_line();
  }
  Task<void> hold() {
    start(kTyping);
    const bool streams = options_.number("streams", 0) != 0;
    const long warm = options_.number("warm", 20);
    co_await hold_more(streams ? 0 : warm, streams ? warm : 0);
    co_await hold_more(options_.number("connections", 0), options_.number("streams", 0));
  }

  const net::asio::any_io_executor executor_;
  const Files files_;
  const Options options_;
  std::uint64_t received_ = 0;
  std::unique_ptr<Far> far_;
  std::unique_ptr<Near> near_;
  std::vector<std::unique_ptr<Near>> held_;
  std::vector<ByteStreamPtr> idle_;
  net::TaskGroup tasks_;
};

}  // namespace

int run_load(const std::string& what, const Files& files, int argc, char** argv) {
  Options options;
  for (int i = 3; i < argc; ++i) {
    const std::string text = argv[i];
    const auto at = text.find('=');
    if (at != text.npos) options.values[text.substr(0, at)] = text.substr(at + 1);
  }
  boost::asio::io_context io(1);
  Load load(io, files, options);
  auto ended = [](std::exception_ptr error) {
    int result = 0;
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
      result = 1;
    }
    std::fflush(stdout);
    std::_Exit(result);  // what still flows has no end
  };
  boost::asio::co_spawn(io, load.run(what), ended);
  io.run();
  return 1;
}

}  // namespace rap::bench
