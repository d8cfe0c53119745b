#include "base/net/buffer_pool.hpp"

#include <vector>

#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>

namespace rap::net {

namespace {

struct PoolService final : asio::execution_context::service {
  using key_type = PoolService;
  static asio::execution_context::id id;
  explicit PoolService(asio::execution_context& context) : service(context) {}
  void shutdown() override {}
  BufferPool pool;
};
asio::execution_context::id PoolService::id;

}  // namespace

struct BufferPool::Spare {
  std::vector<std::uint8_t*> buffers;
  ~Spare() {
    for (std::uint8_t* bytes : buffers) delete[] bytes;
  }
};

void BufferPool::GiveBack::operator()(std::uint8_t* bytes) const {
  if (spare->buffers.size() < kSpareMax) {
    spare->buffers.push_back(bytes);
  } else {
    delete[] bytes;
  }
}

BufferPool::BufferPool() : spare_(std::make_shared<Spare>()) {
  spare_->buffers.reserve(kSpareMax);
}

BufferPool::Buffer BufferPool::take() {
  auto& buffers = spare_->buffers;
  if (buffers.empty()) return Buffer(new std::uint8_t[kBytes], GiveBack{spare_});
  std::uint8_t* bytes = buffers.back();
  buffers.pop_back();
  return Buffer(bytes, GiveBack{spare_});
}

BufferPool& BufferPool::of(const asio::any_io_executor& executor) {
  return asio::use_service<PoolService>(asio::query(executor, asio::execution::context)).pool;
}

}  // namespace rap::net
