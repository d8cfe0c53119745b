// What a workload of the mesh and its agent have to say to each other.
#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "host/agent/supervise/zygote.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

constexpr net::milliseconds kDropTimeout{10'000};  // usually a millisecond
constexpr std::size_t kFromMax = 64;               // a numeric address

}  // namespace

void Zygote::on_mesh_stream(ipc::Message message) {
  const std::int64_t id = *message.id;
  const json::value* claims = message.body->if_contains("claims");
  if (claims == nullptr || !claims->is_object() || message.fds.size() != 1) {
    return process_->refuse(id, Error{Errc::malformed, "stream: want claims and one descriptor"});
  }
  MeshStream stream;
  stream.claims = ipc::JsonPtr(message.body, &claims->get_object());
  stream.from = json_string_or_none(*message.body, "from").value_or("").substr(0, kFromMax);
  stream.stream = std::move(message.fds.front());
  // Another process may be there by then, with a request of the same number.
  stream.answer = [self = shared_from_this(), id,
                   nonce = process_->record().nonce](const Status& taken) {
    if (self->process_ == nullptr || self->process_->record().nonce != nonce) return;
    if (taken) {
      self->process_->answer(id, json::object{});
    } else {
      self->process_->refuse(id, taken.error());
    }
  };
  hooks_.mesh_stream(std::move(stream));
}

bool Zygote::dials() const {
  const std::vector<std::string>& provides = spec_.adapter.provides;
  return std::find(provides.begin(), provides.end(), "rap.adapter.mesh/1") != provides.end();
}

net::Task<Result<Fd>> Zygote::dial(const std::string& organization, const std::string& host,
                                   std::uint16_t port, net::milliseconds limit) {
  if (process_ == nullptr) co_return fail(Errc::unavailable, "the mesh is not running");
  json::object body{{"op", "dial"},
                    {"host", host},
                    {"port", port},
                    {"timeout_ms", limit.count()},
                    {"organization", organization}};
  std::vector<Fd> none;
  // A little more than the mesh's own limit, so that its reason arrives.
  auto answer = co_await process_->call(body, std::move(none), limit + net::milliseconds(2'000));
  if (!answer) co_return fail(std::move(answer.error()));
  if (answer->fds.size() != 1) co_return fail(Errc::malformed, "dial: no descriptor");
  co_return std::move(answer->fds.front());
}

void Zygote::drop_streams(const std::string& session, const std::string& organization) {
  if (!spec_.mesh() || !ready_.is_set()) return;
  context_.tasks.spawn("mesh drop", send_drop(shared_from_this(), session, organization));
}

net::Task<void> Zygote::send_drop(std::shared_ptr<Zygote> self, std::string session,
                                  std::string organization) {
  if (self->process_ == nullptr) co_return;
  json::object body{{"op", "mesh.drop"}};
  if (!session.empty()) body["session"] = session;
  if (!organization.empty()) body["organization"] = organization;
  std::vector<Fd> none;
  auto dropped = co_await self->process_->call(body, std::move(none), kDropTimeout);
  if (!dropped) {
    log::warn("streams not dropped", {{"instance", self->name_},
                                      {"session", session},
                                      {"organization", organization},
                                      {"detail", dropped.error().text()}});
  }
}

}  // namespace rap::agent
