// Statements, parameters and rows of PostgreSQL as our own types; the driver stays in sql.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/id.hpp"

namespace rap::cp {

// The server is away or closed the connection: nothing was committed. Try again later.
class DatabaseUnavailable : public std::runtime_error {
  using runtime_error::runtime_error;
};
// The connection was lost while committing: it may have been done. Running the work again could do
// it twice; it is for the caller to look.
class CommitInDoubt : public DatabaseUnavailable {
  using DatabaseUnavailable::DatabaseUnavailable;
};
// A value that the column cannot hold (SQLSTATE class 22: out of range, not a text of its kind).
class ValueRefused : public std::runtime_error {
  using runtime_error::runtime_error;
};
// A unique or foreign key or check constraint refused the change; `constraint` names it.
class ConstraintViolation : public std::runtime_error {
 public:
  ConstraintViolation(std::string constraint_name, const std::string& what)
      : runtime_error(what), constraint(std::move(constraint_name)) {}
  std::string constraint;
};
// Deadlock or serialization failure: the whole transaction may be run again.
class TransactionConflict : public std::runtime_error {
  using runtime_error::runtime_error;
};
// Everything else, a bug as a rule.
class DatabaseFault : public std::runtime_error {
  using runtime_error::runtime_error;
};

// One parameter in PostgreSQL's text form.
struct Param {
  std::optional<std::string> text;

  Param(std::nullopt_t) {}
  Param(std::string value) : text(std::move(value)) {}
  Param(std::string_view value) : text(std::string(value)) {}
  Param(const char* value) : text(value) {}
  Param(bool value) : text(value ? "t" : "f") {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Param(T value) : text(std::to_string(value)) {}
  Param(SystemTime value);
  Param(ByteView bytes);
  Param(const Bytes& bytes) : Param(ByteView(bytes)) {}
  Param(const std::vector<std::string>& array);
  Param(const boost::json::object& json);
  template <typename Kind>
  Param(const Id<Kind>& id) : text(id.str()) {}
  template <typename T>
  Param(const std::optional<T>& value) {
    if (value) text = Param(*value).text;
  }
};

// One row; columns by name. A column that does not exist or is null where that is not allowed is a
// DatabaseFault.
class Row {
 public:
  std::string text(std::string_view column) const;
  std::optional<std::string> text_or_none(std::string_view column) const;
  std::int64_t integer(std::string_view column) const;
  std::optional<std::int64_t> integer_or_none(std::string_view column) const;
  bool boolean(std::string_view column) const;
  SystemTime time(std::string_view column) const;
  std::optional<SystemTime> time_or_none(std::string_view column) const;
  Bytes bytes(std::string_view column) const;
  boost::json::value json(std::string_view column) const;

 private:
  friend class Rows;
  using Names = std::vector<std::string>;
  std::shared_ptr<const Names> names_;  // shared by the rows of one answer
  std::vector<std::optional<std::string>> values_;

  const std::optional<std::string>& at(std::string_view column) const;
};

class Rows {
 public:
  std::size_t size() const { return rows_.size(); }
  bool empty() const { return rows_.empty(); }
  auto begin() const { return rows_.begin(); }
  auto end() const { return rows_.end(); }
  const Row& operator[](std::size_t i) const { return rows_.at(i); }
  // Rows changed by a statement without RETURNING.
  std::size_t affected() const { return affected_; }

 private:
  friend class Tx;
  std::vector<Row> rows_;
  std::size_t affected_ = 0;

  static Rows from_driver(const void* result);
};

// Whose rows a transaction sees: docs/control-plane.md, "Isolation".
struct Scope {
  std::string organizations;  // comma-separated ids; "*" for the platform; empty: none

  static Scope none() { return {}; }
  static Scope platform() { return {"*"}; }
  static Scope of(const OrganizationId& id) { return {id.str()}; }
  static Scope of(const std::vector<OrganizationId>& ids);
};

// An open transaction. Valid inside the function that received it.
class Tx {
 public:
  // Prepared once per connection, so `sql` must be a literal (its address is the key).
  Rows query(const char* sql, std::initializer_list<Param> params = {});
  // Not prepared; for statements that are made at run time (grants, migrations). No parameters.
  void script(const std::string& sql);

  // Names the organizations of the rest of this transaction.
  void enter(const Scope& scope);
  // Names the person whose own memberships are visible.
  void enter_user(const UserId& user);
  struct Impl;
  explicit Tx(Impl& impl) : impl_(impl) {}

 private:
  Impl& impl_;
};

// One connection; used by one thread at a time. main, migrations and tests use it directly.
class Connection {
 public:
  // Throws DatabaseUnavailable.
  explicit Connection(const std::string& url);
  ~Connection();
  Connection(Connection&&) noexcept;

  // Runs `work` in a transaction and commits; rolls back when it throws. Throws what `work` throws
  // and the six above.
  void run(const std::function<void(Tx&)>& work);
  bool usable() const;

  // Waits up to `wait` for a notification of a channel listened to. nullopt: none came.
  struct Notification {
    std::string channel;
    std::string payload;
  };
  void listen(const std::string& channel);
  std::vector<Notification> wait_notifications(std::chrono::milliseconds wait);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "rap_app" of "postgresql://rap_app@/rap"; empty when the url names none.
struct UrlParts {
  std::string user;
  std::string password;
  std::string database;
};
UrlParts parse_database_url(const std::string& url);

}  // namespace rap::cp
