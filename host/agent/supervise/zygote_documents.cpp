// Documents of the snapshots, handed to a workload.
#include <boost/json.hpp>

#include "base/log.hpp"
#include "host/agent/supervise/zygote.hpp"
#include "host/loader/sealed_memfd.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

constexpr net::milliseconds kSendTimeout{10'000};  // usually a millisecond; 16 MiB are parsed there

}  // namespace

void Zygote::set_document(const std::string& name, DocumentPtr document) {
  DocumentPtr& known = documents_[name];
  if (known == document || (known != nullptr && document != nullptr && *known == *document)) return;
  known = std::move(document);
  if (ready_.is_set()) context_.tasks.spawn("documents", resend_documents(shared_from_this()));
}

net::Task<void> Zygote::resend_documents(std::shared_ptr<Zygote> self) {
  Status sent = co_await self->send_documents();
  // A lost connection sends them again with the next one.
  if (!sent) {
    log::warn("snapshot not sent", {{"instance", self->name_}, {"detail", sent.error().text()}});
  }
}

std::string Zygote::next_document() const {
  for (const auto& [name, document] : documents_) {
    const auto sent = documents_sent_.find(name);
    const bool there = sent != documents_sent_.end() && sent->second == document;
    if (document != nullptr && !there) return name;
  }
  return "";
}

net::Task<Status> Zygote::send_documents() {
  if (!spec_.asks_for("rap.host.snapshot/1")) co_return Status();
  // Who sends already looks for what is new until there is nothing.
  if (std::exchange(sending_documents_, true)) co_return Status();
  Status out;
  while (out) {
    std::string name = next_document();
    if (name.empty()) break;
    out = co_await send_document(std::move(name));
  }
  sending_documents_ = false;
  co_return out;
}

net::Task<Status> Zygote::send_document(std::string name) {
  if (process_ == nullptr) co_return fail(Errc::unavailable, "the worker is not running");
  const DocumentPtr document = documents_.at(name);
  // Larger than a message may be: a node has up to 20,000 resources, a directory 16,384 nodes.
  auto sealed = loader::seal_bytes(as_bytes(*document), "snapshot");
  if (!sealed) co_return fail(sealed.error(), "snapshot");
  json::object body{{"op", "snapshot"}, {"name", name}};
  std::vector<Fd> fds;
  fds.push_back(std::move(sealed->fd));
  auto taken = co_await process_->call(body, std::move(fds), kSendTimeout);
  if (!taken) co_return fail(taken.error(), "snapshot");
  documents_sent_[name] = document;
  co_return Status();
}

}  // namespace rap::agent
