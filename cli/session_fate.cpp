#include "cli/session_fate.hpp"

#include <chrono>
#include <thread>

#include <boost/json.hpp>

#include "cli/output.hpp"

namespace rap::cli {
namespace {

// The zygote tells the agent how a worker ended within 100 ms, the agent the control plane at once.
// Asking earlier would often find the session active still.
constexpr std::chrono::milliseconds kNodeTells{1'000};

std::string because(const std::string& detail) {
  return detail.empty() || detail == "-" ? "" : ": " + printable(detail);
}

// The node, or the way to it, may have done more than could be said.
bool leaves_it_open(Errc refused) {
  return refused == Errc::unavailable || refused == Errc::timeout || refused == Errc::cancelled ||
         refused == Errc::conflict || refused == Errc::internal;
}

}  // namespace

Fate fate_of(const json::value& session) {
  Fate out;
  out.state = text_at(session, "state");
  out.detail = text_at(session, "detail");
  if (out.state == "failed") {
    out.known = Fate::Known::failed;
  } else if (out.state == "closed" || out.state == "closing") {
    out.known = Fate::Known::ended;
  } else if (out.state == "opening" || out.state == "active" || out.state == "detached") {
    out.known = Fate::Known::goes_on;
  }
  const json::object* object = session.if_object();
  const json::value* status = object ? object->if_contains("exit_status") : nullptr;
  if (status && status->is_int64() && status->get_int64() >= 0 && status->get_int64() <= 255) {
    out.exit_status = static_cast<int>(status->get_int64());
  }
  return out;
}

Fate ask_fate(Api& api, const std::string& session) {
  std::this_thread::sleep_for(kNodeTells);
  try {
    return fate_of(api.get("/v1/sessions/" + session));
  } catch (const std::exception&) {
    return {};  // the person is told that nothing is known
  }
}

LastWords words_about(const std::string& session, const std::string& broken, const Fate& fate) {
  const std::string lost = "the connection to session " + session + " is lost" + because(broken);
  const std::string attach = "rapctl session attach " + session;
  switch (fate.known) {
    case Fate::Known::failed:
      return {"session " + session + " failed" + because(fate.detail),
              static_cast<int>(Exit::remote_lost)};
    case Fate::Known::ended:
      if (fate.exit_status) return {lost + "\n  the session has ended", *fate.exit_status};
      return {"session " + session + " has ended" + because(fate.detail),
              static_cast<int>(Exit::terminated)};
    case Fate::Known::goes_on:
      return {lost + "\n  the session is " + fate.state + "; come back with: " + attach,
              static_cast<int>(Exit::stream_lost)};
    case Fate::Known::nothing:
      break;
  }
  return {lost + "\n  what became of it is not known now: rapctl session show " + session +
              "\n  if it is detached or active: " + attach,
          static_cast<int>(Exit::stream_lost)};
}

std::string todo_without_stream(const std::string& session, Errc refused, const Fate& fate) {
  const std::string show = "rapctl session show " + session;
  switch (fate.known) {
    case Fate::Known::failed:
    case Fate::Known::ended:
      return {};
    case Fate::Known::goes_on:
      if (fate.state != "opening") return "the session is " + fate.state + ": " + show;
      if (!leaves_it_open(refused)) return "the session was not begun; it fails within a minute";
      break;
    case Fate::Known::nothing:
      break;
  }
  return "the session may be there: " + show;
}

}  // namespace rap::cli
