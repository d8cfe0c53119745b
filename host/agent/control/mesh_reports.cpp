#include "host/agent/control/mesh_reports.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "host/agent/supervise/process.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
using std::chrono::steady_clock;

constexpr net::milliseconds kCallDeadline{20'000};
constexpr std::int64_t kIntervalMs = 15'000;  // docs/contracts/mesh-control.md

}  // namespace

MeshReports::MeshReports(Context& context, ControlClient& control)
    : context_(context), control_(control), wake_(context.executor) {}

void MeshReports::take(json::object report, const std::vector<std::string>& endpoints) {
  const auto said = json_array(report, "endpoints");
  if (!said || (*said)->empty()) {
    json::array list;
    for (const std::string& endpoint : endpoints) list.emplace_back(endpoint);
    report["endpoints"] = std::move(list);
  }
  pace_.came(std::move(report), steady_clock::now());
  wake_.set();
}

net::Task<void> MeshReports::run() {
  while (true) {
    wake_.reset();
    const auto now = steady_clock::now();
    const auto due = pace_.due(now);
    if (!due) {
      co_await wake_.wait();
    } else if (*due > now) {
      co_await wake_.wait_for(std::chrono::ceil<net::milliseconds>(*due - now));
    } else {
      co_await send();
    }
  }
}

net::Task<void> MeshReports::send() {
  const json::object body = pace_.take(steady_clock::now());
  auto answer = co_await control_.post("/v1/node/mesh-report", body, kCallDeadline);
  if (!answer) {
    ++context_.counters.mesh_reports_failed;
    pace_.failed(steady_clock::now(), random_number());
    if (trouble_ != answer.error().text()) {
      log::warn("mesh report not taken", {{"detail", answer.error().text()}});
    }
    trouble_ = answer.error().text();
    co_return;
  }
  ++context_.counters.mesh_reports;
  trouble_.clear();
  // `taken` false: an older one. The mesh says everything again anyway.
  std::int64_t interval = kIntervalMs;
  if (const json::object* object = answer->if_object()) {
    interval = json_int_or_none(*object, "interval_ms").value_or(kIntervalMs);
  }
  pace_.sent(steady_clock::now(), net::milliseconds(interval));
}

}  // namespace rap::agent
