#include "fabric/h2/stream.hpp"
#include "fabric/relay/credit.hpp"
#include "fabric/relay/splice.hpp"

namespace rap::fabric {

namespace {

class StreamSplice;

// What one stream tells; kept by that stream.
class Side final : public StreamSink {
 public:
  Side(std::shared_ptr<StreamSplice> splice, int number)
      : splice_(std::move(splice)), number_(number) {}
  void on_bytes(std::span<std::uint8_t> bytes) override;
  void on_end() override;
  void on_sent(std::size_t bytes) override;
  void on_closed(const Error* why) override;

 private:
  std::shared_ptr<StreamSplice> splice_;
  int number_;
};

class StreamSplice final : public Splice, public std::enable_shared_from_this<StreamSplice> {
 public:
  StreamSplice(const net::asio::any_io_executor& executor, std::unique_ptr<H2Stream> first,
               std::unique_ptr<H2Stream> second, SpliceOptions options)
      : streams_{std::move(first), std::move(second)},
        credit_(executor, std::move(options.slot)),
        done_(std::move(options.done)) {}

  void start() {
    const auto self = shared_from_this();
    // Both know where to send before anything comes.
    for (const int number : {0, 1}) {
      if (!over_[number]) streams_[number]->attach(std::make_shared<Side>(self, number));
    }
  }

  void bytes(int from, std::span<std::uint8_t> bytes) {
    (from == 0 ? end_.up : end_.down) += bytes.size();
    if (over_[1 - from]) {
      streams_[from]->consumed(bytes.size());  // nobody is there any more: its reset is under way
      return;
    }
    streams_[1 - from]->send(bytes);
  }
  void ended(int from) { streams_[1 - from]->end(); }
  void sent(int to, std::size_t bytes) {
    if (!over_[1 - to]) credit_.gone(*streams_[1 - to], bytes, shared_from_this());
  }
  void closed(int which, const Error* why) {
    over_[which] = true;
    if (why != nullptr) {
      if (!end_.why) end_.why = *why;
      streams_[1 - which]->reset();
    }
    if (!over_[0] || !over_[1]) return;
    credit_.end();
    if (const auto done = std::exchange(done_, nullptr)) done(end_);
  }

  void cut() override {
    const auto self = shared_from_this();
    if (!end_.why) end_.why = Error{Errc::cancelled, "cut"};
    for (const int number : {0, 1}) streams_[number]->reset();
  }
  SpliceEnd counts() const override { return end_; }

 private:
  std::unique_ptr<H2Stream> streams_[2];
  Credit credit_;
  std::function<void(const SpliceEnd&)> done_;
  SpliceEnd end_;
  bool over_[2] = {false, false};
};

void Side::on_bytes(std::span<std::uint8_t> bytes) {
  splice_->bytes(number_, bytes);
}
void Side::on_end() {
  splice_->ended(number_);
}
void Side::on_sent(std::size_t bytes) {
  splice_->sent(number_, bytes);
}
void Side::on_closed(const Error* why) {
  splice_->closed(number_, why);
}

}  // namespace

std::shared_ptr<Splice> splice_streams(net::asio::any_io_executor executor,
                                       std::unique_ptr<H2Stream> first,
                                       std::unique_ptr<H2Stream> second, SpliceOptions options) {
  auto splice = std::make_shared<StreamSplice>(executor, std::move(first), std::move(second),
                                               std::move(options));
  splice->start();
  return splice;
}

}  // namespace rap::fabric
