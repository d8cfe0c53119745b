// What is measured of ours: an end and a relay.
#include <stdexcept>

#include <boost/asio/io_context.hpp>

#include "base/net/task_group.hpp"
#include "base/net/tcp.hpp"
#include "fabric/names.hpp"
#include "fabric/node/mesh_node.hpp"
#include "fabric/relay/splice.hpp"
#include "tests/bench/channel_bench.hpp"
#include "tests/support/mesh_rig.hpp"

namespace rap::bench {

namespace {

using net::milliseconds;
using net::Task;

constexpr milliseconds kTimeout{10'000};

void must(const Status& done) {
  if (!done) throw std::runtime_error(done.error().text());
}

template <typename Node>
Task<void> accept_all(net::Listener& listener, Node& node, net::TaskGroup& tasks) {
  for (;;) {
    auto socket = co_await listener.accept();
    tasks.spawn("serve", node.accept(std::move(socket)));
  }
}

template <typename Node>
void serve(boost::asio::io_context& io, std::uint16_t port, Node& node) {
  const net::HostPort address{"127.0.0.1", port};
  const auto listener = std::move(net::Listener::bind(io.get_executor(), address).value());
  net::TaskGroup tasks(io.get_executor());
  tasks.spawn("accept", accept_all(*listener, node, tasks));
  io.run();
}

Task<void> into_socket(std::uint16_t target, routing::ChannelClass channel_class,
                       std::unique_ptr<fabric::IncomingConnect> incoming) {
  auto socket = co_await net::connect_tcp("127.0.0.1", target, kTimeout);
  fabric::SpliceOptions options;
  if (channel_class == routing::ChannelClass::bulk) {
    options.turn = fabric::H2Limits::Turn::yielding;
  }
  auto executor = co_await net::asio::this_coro::executor;
  fabric::splice_socket(executor, incoming->accept(), std::move(socket), std::move(options));
}

}  // namespace

void run_end(const Files& files, std::uint16_t port, std::uint16_t target) {
  boost::asio::io_context io(1);
  const RealClock clock;
  fabric::HubEvents events;
  events.stream = [target](const std::string&, routing::ChannelClass channel_class,
                           std::unique_ptr<fabric::IncomingConnect> incoming) {
    return into_socket(target, channel_class, std::move(incoming));
  };
  fabric::ChannelHub hub(io.get_executor(), clock, std::move(events));
  must(hub.set_identity(node_identity(files, kMiddle), text_of(files.ca())));
  hub.set_directory(
      std::make_shared<const routing::Directory>(directory_of(files, kMiddle, port, target)));
  serve(io, port, hub);
}

void run_relay(const Files& files, std::uint16_t port, std::uint16_t target) {
  boost::asio::io_context io(1);
  const RealClock clock;
  const resume::RealResumeClock resume_clock;
  fabric::MeshNodeSetup setup;
  setup.cluster_id = test::kCluster;
  setup.node_id = test::node_id(kMiddle);
  setup.clock = &clock;
  setup.resume_clock = &resume_clock;
  fabric::MeshNode node(io.get_executor(), std::move(setup));
  must(node.set_identity(node_identity(files, kMiddle), text_of(files.ca())));
  const Bytes key = lease_public_key(files);
  must(node.set_lease_keys({{fabric::lease_key_id(key), key}}));
  node.set_relaying(fabric::MeshNode::Relaying::yes);
  must(node.set_directory(directory_of(files, kMiddle, port, target)));
  serve(io, port, node);
}

}  // namespace rap::bench
