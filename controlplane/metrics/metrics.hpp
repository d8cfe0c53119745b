// Counters for /metrics.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace rap::cp {

// Any thread.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void request(std::string_view method, unsigned status, std::chrono::microseconds took);
  // A number that is read when somebody looks; `read` must stay valid. Before the first text().
  void gauge(const std::string& name, const std::string& help, std::function<double()> read);

  // Prometheus text format.
  std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rap::cp
