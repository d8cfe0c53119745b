// rap/rap.hpp - the plugin ABI for C++20: derive, override, throw. Header only; not part of the
// ABI, so a plugin may carry an edited copy. What crosses to the host is only what rap/plugin.h
// describes.
//
//   struct Mine : rap::Adapter { static constexpr rap::Info info{...}; using Adapter::Adapter; ...
//   }; RAP_PLUGIN(Mine)
//
// Every exception that leaves an override becomes `host.fail(code, text)` (E1): rap::Failure keeps
// its code, std::bad_alloc is RAP_E_RESOURCE, anything else RAP_E_INTERNAL. All overrides run on
// the loop thread unless their comment says otherwise.
#pragma once

#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "ext/host.h"
#include "ext/session.h"

// Hidden, because g++ otherwise makes statics of this header unique across all libraries of a
// process, also of those loaded with RTLD_LOCAL. A plugin compiled without -fvisibility=hidden is
// told so.
#pragma GCC visibility push(hidden)

namespace rap {

// A call that is not done, for reasons the host should know. No secrets in the text (E3).
class Failure : public std::runtime_error {
 public:
  Failure(rap_result result, const std::string& text) : std::runtime_error(text), code(result) {}
  const rap_result code;
};

// The facts of one adapter; defaults are the strictest. Lists hold at most kListMax names.
inline constexpr std::size_t kListMax = 15;
using List = const char * [kListMax + 1];
struct Info {
  const char* id;
  const char* name = id;
  const char* vendor = "";
  const char* version;
  List roles = {};
  List needs = {};
  List wants = {};
  List provides = {RAP_ADAPTER_SESSION};
  const char* profile = "net.none";
  const char* config_schema = R"({"type":"object"})";
  std::uint32_t share = RAP_SHARE_SESSION;
  bool fork_safe = false;
};

// Which id a table type has; a plugin adds its own tables with RAP_TABLE_ID(type, id).
template <typename Table>
struct TableId;
#define RAP_TABLE_ID(type, text)               \
  template <>                                  \
  struct TableId<type> {                       \
    static constexpr const char* value = text; \
  };
RAP_TABLE_ID(rap_host_log_1, RAP_HOST_LOG)
RAP_TABLE_ID(rap_host_config_1, RAP_HOST_CONFIG)
RAP_TABLE_ID(rap_host_loop_1, RAP_HOST_LOOP)
RAP_TABLE_ID(rap_host_stream_1, RAP_HOST_STREAM)
RAP_TABLE_ID(rap_host_secret_1, RAP_HOST_SECRET)
RAP_TABLE_ID(rap_host_metrics_1, RAP_HOST_METRICS)
RAP_TABLE_ID(rap_host_snapshot_1, RAP_HOST_SNAPSHOT)
RAP_TABLE_ID(rap_host_state_dir_1, RAP_HOST_STATE_DIR)
RAP_TABLE_ID(rap_host_health_1, RAP_HOST_HEALTH)
RAP_TABLE_ID(rap_host_session_1, RAP_HOST_SESSION)

inline rap_str borrow(std::string_view text) {
  return {text.data(), text.size()};
}
// Empty for an empty view, whose pointer may be NULL.
inline std::string_view view(rap_str text) {
  return text.len ? std::string_view(text.ptr, text.len) : std::string_view();
}

// The host, by value. Copies are cheap; valid until `destroy`.
class Host {
 public:
  explicit Host(const rap_host* host) : raw(host), log_(find<rap_host_log_1>()) {}

  // The table, or NULL where it is unknown or not granted. Any thread.
  template <typename Table>
  const Table* find() const {
    return static_cast<const Table*>(raw->get_extension(raw, TableId<Table>::value));
  }
  // The table; throws RAP_E_UNSUPPORTED naming it where it is not granted. Any thread.
  template <typename Table>
  const Table& need() const {
    if (const Table* table = find<Table>()) return *table;
    throw Failure(RAP_E_UNSUPPORTED, std::string("not granted: ") + TableId<Table>::value);
  }
  // Does nothing where logging is not granted. `fields` is a JSON object or empty. Any thread.
  void log(std::uint32_t level, std::string_view message, std::string_view fields = {}) const {
    if (log_) log_->write(raw, level, borrow(message), borrow(fields));
  }
  rap_result fail(rap_result code, const char* text) const noexcept {
    return raw->fail(raw, code, text);
  }

  const rap_host* raw;

 private:
  const rap_host_log_1* log_;
};

// Throws what a host call did not do; answers the code of what it did.
inline rap_result check(rap_result result, const char* what) {
  if (result < 0) throw Failure(result, what);
  return result;
}

// The host's end of one session. Copies are cheap; valid until the session's close returns (M3).
class Sink {
 public:
  Sink(rap_sink* sink, const rap_host_session_1& table) : raw(sink), table_(&table) {}

  struct Emitted {
    rap_result result;  // RAP_OK, or RAP_E_BUSY: the frames after `counts.accepted` were not taken
    rap_emit counts;
  };
  // Any thread.
  Emitted emit(std::span<const rap_frame> frames) const {
    Emitted out{RAP_OK, {}};
    out.counts.size = sizeof out.counts;
    out.result =
        table_->emit(raw, frames.data(), static_cast<std::uint32_t>(frames.size()), &out.counts);
    return out;
  }
  void opened(rap_result result, std::string_view detail = {}) const {
    table_->opened(raw, result, borrow(detail));
  }
  void closed(rap_result result, std::string_view detail = {}) const {
    table_->closed(raw, result, borrow(detail));
  }

  rap_sink* raw;

 private:
  const rap_host_session_1* table_;
};

// One remote session. Destroyed by `close`; the destructor ends what is left.
class Session {
 public:
  explicit Session(Sink session_sink) : sink(session_sink) {}
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Asked once, right after Adapter::open: true means that `sink.opened()` will follow.
  virtual bool opening() const { return false; }
  virtual void attach(const rap_attach&) {}
  virtual void detach(std::uint64_t /*attach_id*/) {}
  virtual void takeover(std::uint64_t old_id, const rap_attach& fresh) {
    detach(old_id);
    attach(fresh);
  }
  virtual void resize(std::uint32_t /*width*/, std::uint32_t /*height*/, std::uint32_t /*dpi*/) {}
  // To take nothing now: throw Failure(RAP_E_BUSY, ..) before the first frame is used.
  virtual void input(std::uint64_t /*attach_id*/, std::span<const rap_frame>) {}
  virtual void writable() {}
  virtual void close(rap_result /*why*/) {}
  // A callback made with rap::task, rap::io, ... threw. The session cannot go on as if nothing
  // happened.
  virtual void callback_failed(rap_result code, const char* text) { sink.closed(code, text); }

  const Sink sink;

 protected:
  Sink::Emitted emit(std::span<const rap_frame> frames) const { return sink.emit(frames); }
};

class Adapter {
 public:
  explicit Adapter(Host the_host) : host(the_host) {}
  virtual ~Adapter() = default;
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

  virtual void start() {}
  virtual void drain(std::uint64_t /*deadline_ms*/) {}
  virtual void stop() {}  // may come twice, and without start (P6)
  // `size` is set; level is RAP_HEALTH_OK and the rest zero.
  virtual void health(rap_health&) {}
  // `want` is borrowed; copy what must live longer.
  virtual std::unique_ptr<Session> open(Sink, const rap_session_want& /*want*/) {
    throw Failure(RAP_E_UNSUPPORTED, "this adapter has no sessions");
  }
  // Returning takes ownership of `fd`; throwing leaves it to the host (M4).
  virtual void accept(int /*fd*/, const rap_incoming&) {
    throw Failure(RAP_E_UNSUPPORTED, "this adapter accepts no streams");
  }
  // Tables of one's own. Asked only for ids that `provides` lists. Any thread.
  virtual const void* extension(std::string_view /*id*/) { return nullptr; }
  virtual void callback_failed(rap_result, const char* text) { host.log(RAP_LOG_ERROR, text); }

  const Host host;
};

namespace detail {

// Runs `body`; hands what it threw to `report(code, text)`, whose answer is then the answer.
template <typename Body, typename Report>
rap_result guard(Body&& body, Report&& report) noexcept {
  try {
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      return RAP_OK;
    } else {
      return body();
    }
  } catch (const Failure& failure) {
    return report(failure.code < 0 ? failure.code : RAP_E_INTERNAL, failure.what());
  } catch (const std::bad_alloc&) {
    return report(RAP_E_RESOURCE, "out of memory");
  } catch (const std::exception& error) {
    return report(RAP_E_INTERNAL, error.what());
  } catch (...) {
    return report(RAP_E_INTERNAL, "unknown exception");
  }
}

// What a rap_session really is here: the session and the host that hears about its failures.
struct SessionCell {
  Host host;
  std::unique_ptr<Session> session;
};
inline SessionCell& cell(rap_session* handle) {
  return *reinterpret_cast<SessionCell*>(handle);
}
template <typename Body>
rap_result in_session(rap_session* handle, Body&& body) noexcept {
  SessionCell& self = cell(handle);
  return guard([&] { return body(*self.session); },
               [&](rap_result code, const char* text) { return self.host.fail(code, text); });
}

struct AdapterCell {
  rap_adapter abi;  // first: the host's pointer is ours
  const Info* info;
  std::unique_ptr<Adapter> adapter;
};
inline AdapterCell& cell(rap_adapter* handle) {
  return *reinterpret_cast<AdapterCell*>(handle);
}
template <typename Body>
rap_result in_adapter(rap_adapter* handle, Body&& body) noexcept {
  Adapter& self = *cell(handle).adapter;
  return guard([&] { return body(self); },
               [&](rap_result code, const char* text) { return self.host.fail(code, text); });
}
template <typename Table>
Table taken(const Table* from) {
  Table copy;
  rap_take(&copy, sizeof copy, from, from->size);
  return copy;
}

inline rap_result open(rap_adapter* a, rap_sink* s, const rap_session_want* w, rap_session** out) {
  return in_adapter(a, [&](Adapter& self) -> rap_result {
    const Sink sink(s, self.host.need<rap_host_session_1>());
    auto made = std::make_unique<SessionCell>(SessionCell{self.host, nullptr});
    made->session = self.open(sink, taken(w));
    if (!made->session) throw Failure(RAP_E_INTERNAL, "open() made no session");
    const bool pending = made->session->opening();
    *out = reinterpret_cast<rap_session*>(made.release());
    return pending ? RAP_PENDING : RAP_OK;
  });
}
inline rap_result attach(rap_session* s, const rap_attach* who) {
  return in_session(s, [&](Session& self) { self.attach(taken(who)); });
}
inline rap_result detach(rap_session* s, std::uint64_t id) {
  return in_session(s, [&](Session& self) { self.detach(id); });
}
inline rap_result takeover(rap_session* s, std::uint64_t old_id, const rap_attach* fresh) {
  return in_session(s, [&](Session& self) { self.takeover(old_id, taken(fresh)); });
}
inline rap_result resize(rap_session* s, std::uint32_t w, std::uint32_t h, std::uint32_t dpi) {
  return in_session(s, [&](Session& self) { self.resize(w, h, dpi); });
}
inline rap_result input(rap_session* s, std::uint64_t id, const rap_frame* f, std::uint32_t count) {
  return in_session(s, [&](Session& self) { self.input(id, {f, count}); });
}
inline void writable(rap_session* s) {
  in_session(s, [](Session& self) { self.writable(); });
}
inline void close(rap_session* s, rap_result why) {
  in_session(s, [&](Session& self) { self.close(why); });
  delete &cell(s);
}
inline constexpr rap_adapter_session_1 kSessionTable{open,   attach, detach,   takeover,
                                                     resize, input,  writable, close};

inline rap_result accept(rap_adapter* a, int fd, const rap_incoming* from) {
  return in_adapter(a, [&](Adapter& self) { self.accept(fd, taken(from)); });
}
inline constexpr rap_adapter_accept_1 kAcceptTable{accept};

inline rap_result start(rap_adapter* a) {
  return in_adapter(a, [](Adapter& self) { self.start(); });
}
inline rap_result drain(rap_adapter* a, std::uint64_t deadline_ms) {
  return in_adapter(a, [&](Adapter& self) { self.drain(deadline_ms); });
}
inline rap_result stop(rap_adapter* a) {
  return in_adapter(a, [](Adapter& self) { self.stop(); });
}
inline rap_result health(rap_adapter* a, rap_health* out) {
  return in_adapter(a, [&](Adapter& self) {
    rap_health report{};
    report.size = sizeof report;
    self.health(report);
    report.note[sizeof report.note - 1] = '\0';
    const std::uint32_t room = out->size;
    rap_take(out, room, &report, sizeof report);
  });
}
inline void destroy(rap_adapter* a) {
  delete &cell(a);
}
inline const void* extension(rap_adapter* a, const char* id) {
  const void* table = nullptr;
  const std::string_view wanted = id ? id : "";
  for (const char* const* p = cell(a).info->provides; *p; ++p) {
    if (wanted != *p) continue;
    guard(
        [&] {
          table = cell(a).adapter->extension(wanted);
          if (!table && wanted == RAP_ADAPTER_SESSION) table = &kSessionTable;
          if (!table && wanted == RAP_ADAPTER_ACCEPT) table = &kAcceptTable;
        },
        [](rap_result code, const char*) { return code; });
  }
  return table;
}

template <typename A>
inline constexpr rap_adapter_desc kDesc{
    sizeof(rap_adapter_desc),
    A::info.fork_safe ? static_cast<std::uint32_t>(RAP_ADAPTER_FORK_SAFE) : 0u,
    A::info.id,
    A::info.name,
    A::info.vendor,
    A::info.version,
    A::info.roles,
    A::info.needs,
    A::info.wants,
    A::info.provides,
    A::info.profile,
    A::info.config_schema,
    A::info.share,
    0};

template <typename A>
rap_result make(const rap_host* h, rap_adapter** out) noexcept {
  static_assert(!A::info.roles[kListMax] && !A::info.needs[kListMax] && !A::info.wants[kListMax] &&
                    !A::info.provides[kListMax],
                "a list of rap::Info is too long: its last place holds the NULL");
  return guard(
      [&] {
        for (const char* const* need = A::info.needs; *need; ++need) {
          if (!h->get_extension(h, *need)) {
            throw Failure(RAP_E_UNSUPPORTED, std::string("not granted: ") + *need);
          }
        }
        auto made = std::make_unique<AdapterCell>(
            AdapterCell{{&kDesc<A>, nullptr, start, drain, stop, health, destroy, extension},
                        &A::info,
                        nullptr});
        made->adapter = std::make_unique<A>(Host(h));
        made->abi.adapter_data = made->adapter.get();
        *out = &made.release()->abi;
      },
      [&](rap_result code, const char* text) { return h->fail(h, code, text); });
}

template <typename... A>
struct Plugin {
  static constexpr const rap_adapter_desc* list[] = {&kDesc<A>...};

  static rap_result create(const rap_host* h, const char* id, rap_adapter** out) {
    rap_result result = RAP_E_UNSUPPORTED;
    const bool known =
        ((std::strcmp(id, A::info.id) == 0 && (result = make<A>(h, out), true)) || ...);
    return known ? result : h->fail(h, RAP_E_UNSUPPORTED, "no adapter with this id");
  }
  template <typename One>
  static rap_result warm_one() {
    if constexpr (requires { One::warm_up(); }) {
      return guard([] { One::warm_up(); }, [](rap_result code, const char*) { return code; });
    }
    return RAP_OK;
  }
  // Stops at the first adapter whose `static void warm_up()` throws.
  static rap_result warm_up() {
    rap_result result = RAP_OK;
    static_cast<void>((((result = warm_one<A>()) == RAP_OK) && ...));
    return result;
  }
};

}  // namespace detail

// C function pointers for members of T, with `user` being the T*. What they throw goes to
// T::callback_failed(code, text).
template <typename T, typename Body>
void in_callback(void* user, Body&& body) noexcept {
  T& self = *static_cast<T*>(user);
  detail::guard([&] { body(self); },
                [&](rap_result code, const char* text) {
                  self.callback_failed(code, text);
                  return code;
                });
}
template <typename T, void (T::*Method)()>
void task(void* user) {
  in_callback<T>(user, [](T& self) { (self.*Method)(); });
}
template <typename T, void (T::*Method)(int fd, std::uint32_t events)>
void io(void* user, int fd, std::uint32_t events) {
  in_callback<T>(user, [&](T& self) { (self.*Method)(fd, events); });
}
template <typename T, void (T::*Method)(rap_result, int fd)>
void stream(void* user, rap_result result, int fd) {
  in_callback<T>(user, [&](T& self) { (self.*Method)(result, fd); });
}
template <typename T, void (T::*Method)(std::string_view name, std::string_view json)>
void snapshot(void* user, rap_str name, rap_str json) {
  in_callback<T>(user, [&](T& self) { (self.*Method)(view(name), view(json)); });
}
template <typename T, void (T::*Method)(rap_result, rap_bytes)>
void secret(void* user, rap_result result, rap_bytes value) {
  in_callback<T>(user, [&](T& self) { (self.*Method)(result, value); });
}

}  // namespace rap

#pragma GCC visibility pop

// Once in a plugin, at global scope, with all its adapters.
#define RAP_PLUGIN(...)                                                                   \
  extern "C" RAP_EXPORT constinit const rap_plugin rap_plugin_v1{                         \
      RAP_MAGIC,                                                                          \
      RAP_ABI_MAJOR,                                                                      \
      RAP_ABI_MINOR,                                                                      \
      sizeof(rap_plugin),                                                                 \
      sizeof(::rap::detail::Plugin<__VA_ARGS__>::list) / sizeof(const rap_adapter_desc*), \
      ::rap::detail::Plugin<__VA_ARGS__>::list,                                           \
      ::rap::detail::Plugin<__VA_ARGS__>::warm_up,                                        \
      ::rap::detail::Plugin<__VA_ARGS__>::create};
