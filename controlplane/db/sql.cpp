#include "controlplane/db/sql.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <functional>
#include <unordered_map>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <pqxx/pqxx>

namespace rap::cp {
namespace {

// A statement that takes longer is a fault of ours; a lock that is held longer, too. A connection
// attempt is short so that a database that is away is noticed by requests within seconds.
constexpr const char* kSessionSettings = R"sql(
  set client_min_messages = warning;
  set statement_timeout = '10s';
  set lock_timeout = '5s';
  set idle_in_transaction_session_timeout = '30s';
  set timezone = 'UTC';
  set datestyle = 'ISO'
)sql";

std::string array_text(const std::vector<std::string>& array) {
  std::string out = "{";
  for (const std::string& item : array) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (const char c : item) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

class Collector : public pqxx::notification_receiver {
 public:
  Collector(pqxx::connection_base& connection, const std::string& channel,
            std::vector<Connection::Notification>& out)
      : notification_receiver(connection, channel), channel_(channel), out_(out) {}
  void operator()(const std::string& payload, int) override { out_.push_back({channel_, payload}); }

 private:
  std::string channel_;
  std::vector<Connection::Notification>& out_;
};

}  // namespace

Param::Param(SystemTime value) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(value);
  std::string rfc = to_rfc3339(SystemTime(seconds));
  rfc.pop_back();
  text = fmt::format("{}.{:06}Z", rfc, (value - seconds).count());
}
Param::Param(ByteView bytes) : text("\\x" + to_hex(bytes)) {}
Param::Param(const std::vector<std::string>& array) : text(array_text(array)) {}
Param::Param(const boost::json::object& json) : text(boost::json::serialize(json)) {}

const std::optional<std::string>& Row::at(std::string_view column) const {
  for (std::size_t i = 0; i < names_->size(); ++i) {
    if ((*names_)[i] == column) return values_[i];
  }
  throw DatabaseFault("no column " + std::string(column));
}
std::string Row::text(std::string_view column) const {
  const auto& value = at(column);
  if (!value) throw DatabaseFault("null in column " + std::string(column));
  return *value;
}
std::optional<std::string> Row::text_or_none(std::string_view column) const {
  return at(column);
}
std::int64_t Row::integer(std::string_view column) const {
  return std::stoll(text(column));
}
std::optional<std::int64_t> Row::integer_or_none(std::string_view column) const {
  if (!at(column)) return std::nullopt;
  return integer(column);
}
bool Row::boolean(std::string_view column) const {
  return text(column) == "t";
}
SystemTime Row::time(std::string_view column) const {
  // "2026-11-21 19:37:37.123456+00"
  std::string value = text(column);
  if (value.size() > 10) value[10] = 'T';
  if (value.ends_with("+00")) value.replace(value.size() - 3, 3, "Z");
  const auto parsed = from_rfc3339(value);
  if (!parsed) throw DatabaseFault("not a time in column " + std::string(column));
  return *parsed;
}
std::optional<SystemTime> Row::time_or_none(std::string_view column) const {
  if (!at(column)) return std::nullopt;
  return time(column);
}
Bytes Row::bytes(std::string_view column) const {
  const std::string value = text(column);
  if (!value.starts_with("\\x")) throw DatabaseFault("not bytea: " + std::string(column));
  auto bytes = from_hex(std::string_view(value).substr(2));
  if (!bytes) throw DatabaseFault("not bytea: " + std::string(column));
  return std::move(*bytes);
}
boost::json::value Row::json(std::string_view column) const {
  return boost::json::parse(text(column));
}

Rows Rows::from_driver(const void* opaque) {
  const auto& result = *static_cast<const pqxx::result*>(opaque);
  Rows rows;
  rows.affected_ = result.affected_rows();
  auto names = std::make_shared<Row::Names>();
  for (pqxx::row::size_type i = 0; i < result.columns(); ++i)
    names->push_back(result.column_name(i));
  rows.rows_.resize(result.size());
  for (std::size_t r = 0; r < rows.rows_.size(); ++r) {
    Row& row = rows.rows_[r];
    row.names_ = names;
    row.values_.reserve(names->size());
    for (const auto& field : result[static_cast<pqxx::result::size_type>(r)]) {
      if (field.is_null()) {
        row.values_.emplace_back();
      } else {
        row.values_.emplace_back(std::string(field.c_str(), field.size()));
      }
    }
  }
  return rows;
}

Scope Scope::of(const std::vector<OrganizationId>& ids) {
  Scope scope;
  for (const auto& id : ids) {
    if (!scope.organizations.empty()) scope.organizations += ',';
    scope.organizations += id.str();
  }
  return scope;
}

using Prepared = std::unordered_map<const char*, std::string>;

struct Connection::Impl {
  // Reconnecting silently would lose the session's settings; libpqxx 6 deprecates the call that
  // says so because version 7 never reconnects.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  explicit Impl(const std::string& url) : driver(url) {
    driver.inhibit_reactivation(true);
  }
#pragma GCC diagnostic pop

  pqxx::connection driver;
  Prepared prepared;
  std::vector<Notification> notifications;
  std::vector<std::unique_ptr<Collector>> collectors;
};

struct Tx::Impl {
  pqxx::connection& driver;
  Prepared& prepared;
  pqxx::work work;
};

Rows Tx::query(const char* sql, std::initializer_list<Param> params) {
  auto& prepared = impl_.prepared;
  auto it = prepared.find(sql);
  if (it == prepared.end()) {
    std::string name = fmt::format("q{}", prepared.size());
    impl_.driver.prepare(name, sql);
    it = prepared.emplace(sql, std::move(name)).first;
  }
  std::vector<std::optional<std::string>> values;
  values.reserve(params.size());
  for (const Param& param : params) values.push_back(param.text);
  const pqxx::result result =
      impl_.work.exec_prepared(it->second, pqxx::prepare::make_dynamic_params(values));
  return Rows::from_driver(&result);
}

void Tx::script(const std::string& sql) {
  impl_.work.exec(sql);
}

void Tx::enter(const Scope& scope) {
  query("select set_config('rap.organization_id', $1, true)", {scope.organizations});
}
void Tx::enter_user(const UserId& user) {
  query("select set_config('rap.user_id', $1, true)", {user});
}

Connection::Connection(const std::string& url) {
  try {
    impl_ = std::make_unique<Impl>(url);
    pqxx::nontransaction setup(impl_->driver);
    setup.exec(kSessionSettings);
  } catch (const pqxx::failure& error) {
    throw DatabaseUnavailable(error.what());
  }
}
Connection::~Connection() = default;
Connection::Connection(Connection&&) noexcept = default;

bool Connection::usable() const {
  return impl_->driver.is_open();
}

void Connection::run(const std::function<void(Tx&)>& work) {
  try {
    Tx::Impl impl{impl_->driver, impl_->prepared, pqxx::work(impl_->driver)};
    Tx tx(impl);
    tx.enter(Scope::none());
    work(tx);
    impl.work.commit();
  } catch (const pqxx::broken_connection& error) {
    throw DatabaseUnavailable(error.what());
  } catch (const pqxx::in_doubt_error& error) {
    throw CommitInDoubt(error.what());
  } catch (const pqxx::serialization_failure& error) {
    throw TransactionConflict(error.what());
  } catch (const pqxx::deadlock_detected& error) {
    throw TransactionConflict(error.what());
  } catch (const pqxx::integrity_constraint_violation& error) {
    // «... violates unique constraint "name"»: this driver gives the name in the message only.
    const std::string what = error.what();
    const auto from = what.find("constraint \"");
    std::string name;
    if (from != std::string::npos) {
      const auto start = from + 12;
      name = what.substr(start, what.find('"', start) - start);
    }
    throw ConstraintViolation(std::move(name), what);
  } catch (const pqxx::sql_error& error) {
    const std::string state = error.sqlstate();
    if (state.starts_with("57P") || state.starts_with("08"))
      throw DatabaseUnavailable(error.what());
    if (state.starts_with("22")) throw ValueRefused(error.what());
    if (state == "55P03") throw TransactionConflict(error.what());
    throw DatabaseFault(std::string(error.what()) + " in: " + error.query().substr(0, 200));
  } catch (const pqxx::failure& error) {
    if (!impl_->driver.is_open()) throw DatabaseUnavailable(error.what());
    throw DatabaseFault(error.what());
  }
}

void Connection::listen(const std::string& channel) {
  impl_->collectors.push_back(
      std::make_unique<Collector>(impl_->driver, channel, impl_->notifications));
}

std::vector<Connection::Notification> Connection::wait_notifications(
    std::chrono::milliseconds wait) {
  try {
    impl_->driver.await_notification(static_cast<long>(wait.count() / 1000),
                                     static_cast<long>(wait.count() % 1000 * 1000));
  } catch (const pqxx::failure& error) {
    throw DatabaseUnavailable(error.what());
  }
  return std::exchange(impl_->notifications, {});
}

UrlParts parse_database_url(const std::string& url) {
  UrlParts parts;
  char* message = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &message);
  if (options == nullptr) {
    std::string detail = message != nullptr ? message : "not a connection string";
    PQfreemem(message);
    throw DatabaseFault(detail);
  }
  for (const PQconninfoOption* o = options; o->keyword != nullptr; ++o) {
    if (o->val == nullptr) continue;
    const std::string_view key = o->keyword;
    if (key == "user") parts.user = o->val;
    if (key == "password") parts.password = o->val;
    if (key == "dbname") parts.database = o->val;
  }
  PQconninfoFree(options);
  return parts;
}

}  // namespace rap::cp
