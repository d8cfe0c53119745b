#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "base/id.hpp"
#include "base/net/http.hpp"
#include "base/net/net_error.hpp"
#include "base/net/x509.hpp"
#include "cli/carry_renewal.hpp"
#include "cli/cli.hpp"
#include "cli/run_task.hpp"
#include "cli/session_fate.hpp"
#include "cli/session_stream.hpp"
#include "cli/terminal/client.hpp"

namespace rap::cli {
namespace {

// The certificate is for one invocation; somebody may watch a session for a day.
constexpr std::chrono::hours kIdentityLife{24};

// As long as a stream over the mesh gives its last frame (fabric/resume/limits.hpp).
constexpr std::chrono::milliseconds kGoodbye{1'000};

// Unless --limit says otherwise: a screenful or some, of months.
constexpr std::size_t kSessionsShown = 200;

const std::vector<Column> kSessionColumns = {{"ID", "id"},
                                             {"STATE", "state"},
                                             {"RESOURCE", "resource_name"},
                                             {"OPENED BY", "user_name"},
                                             {"CONTROLLER", "controller"},
                                             {"NODE", "node_name"},
                                             {"STARTED", "created_at"},
                                             {"DETAIL", "detail"}};

struct Options {
  std::string resource, organization, session, state;
  std::size_t limit = kSessionsShown;
  bool view = false;
};

// Where the API has the session; says which word is wrong before the server would have to.
std::string path_of(const std::string& session) {
  if (!is_id_text(session, "ses_")) {
    throw Failure(Exit::usage, "'" + session + "' is no session's id", "rapctl session list");
  }
  return "/v1/sessions/" + session;
}

// The server does not repeat what it was asked for.
template <typename Call>
auto about(const std::string& session, Call call) {
  try {
    return call();
  } catch (const Failure& failure) {
    const bool known = failure.code != Exit::not_found && failure.code != Exit::conflict;
    if (known) throw;
    throw Failure(failure.code, "session " + session + ": " + failure.what(),
                  failure.todo.empty() ? "rapctl session list" : failure.todo);
  }
}

std::string how_to_attach(const std::string& session) {
  return "the session goes on; come back with: rapctl session attach " + session;
}

// What the person is told, after the terminal is theirs again; returns the exit status.
int report(Cli& cli, const std::string& session, const SessionEnd& end) {
  const auto say = [](const std::string& text) {
    std::cerr << "\r\nrapctl: " << printable_lines(text) << "\n";
  };
  switch (end.how) {
    case SessionEnd::How::detached:
      say("left session " + session + "; " + how_to_attach(session));
      return 0;
    case SessionEnd::How::taken_over:
      say("session " + session + " was taken over by " + printable(end.who) +
          (end.from.empty() ? "" : " at " + printable(end.from)) +
          "\n  take it back with: rapctl session attach " + session);
      return static_cast<int>(Exit::taken_over);
    case SessionEnd::How::output_closed:
    case SessionEnd::How::lost: {
      const LastWords last = words_about(session, end.detail, ask_fate(cli.api(), session));
      say(last.text);
      // Something of it is missing, even if it has ended well meanwhile.
      const bool incomplete = end.how == SessionEnd::How::output_closed && last.status == 0;
      return incomplete ? static_cast<int>(Exit::stream_lost) : last.status;
    }
    case SessionEnd::How::refused:
      say("session " + session + ": " + printable(end.detail));
      return static_cast<int>(exit_of(errc_from_name(end.reason)));
    case SessionEnd::How::closed:
      break;
  }
  if (end.reason == "exit") return end.exit_status.value_or(0);
  say("session " + session + " ended (" + printable(end.reason) + "): " + printable(end.detail));
  return static_cast<int>(end.reason == "terminated" ? Exit::terminated : Exit::remote_lost);
}

// The other end of a stream over the mesh waits for its client to come back unless it hears that
// there is none; saying so goes on after the stream was closed.
void say_goodbye(net::asio::io_context& io) {
  io.restart();
  io.run_for(kGoodbye);
}

// Makes a key for this invocation, asks `path` for leases bound to it, connects over the way that
// comes with them and is the terminal until the end.
int go(Cli& cli, const std::string& path, json::object body, View view, FirstScreen first) {
  const net::TlsIdentity identity = net::make_self_signed_identity("rapctl", kIdentityLife);
  const auto facts = require(net::parse_certificate_pem(identity.certificate_pem), "certificate");
  const std::string certificate = to_base64url(facts.sha256);
  body["client_certificate_sha256"] = certificate;
  body["mode"] = view == View::yes ? "view" : "control";
  const SessionAccess access =
      require(parse_session_access(cli.api().post(path, body)), "answer of the server");
  const std::string& session = access.session_id;
  const std::string at = place_of(access);

  const SessionClocks clocks;
  PauseFeed pauses;
  net::asio::io_context io{1};
  SessionDial dial;
  dial.access = access;
  dial.identity = identity;
  if (access.mesh) {
    dial.renew = carry_renewal(cli.context(), io.get_executor(), session, certificate);
    dial.progress = [&pauses](fabric::SessionProgress what, net::milliseconds so_far) {
      const bool over = what == fabric::SessionProgress::connected;
      if (pauses.tell) pauses.tell(over ? Pause::over : Pause::begun, so_far);
    };
  }
  try {
    auto stream = run_task(io, open_stream(std::move(dial), clocks));
    if (!stream) {
      const Fate fate = ask_fate(cli.api(), session);
      // "conflict": it ended before we came, as one does that its plugin would not open.
      if (stream.error().code == Errc::conflict && fate.known == Fate::Known::failed) {
        throw Failure(Exit::remote_lost, words_about(session, "", fate).text);
      }
      throw Failure(stream.error(), at, todo_without_stream(session, stream.error().code, fate));
    }
    const SessionEnd end = run_task(io, run_terminal(std::move(*stream), view, first, &pauses));
    say_goodbye(io);
    return report(cli, session, end);
  } catch (const net::NetError& error) {
    throw Failure(error.error(), at, todo_without_stream(session, error.code(), {}));
  }
}

void add_open(CLI::App& session, Cli& cli, const std::shared_ptr<Options>& o) {
  CLI::App& open =
      add_command(session, "open", "Open a session and be its terminal",
                  "  rapctl session open --resource web-1\n"
                  "  echo uptime | rapctl session open --resource web-1\n"
                  "The end of a pipe is the end of input of the shell, and so of the session.\n"
                  "In the session, at the start of a line: ~d leaves, ~. cuts, ~? lists.\n");
  open.add_option("--resource", o->resource, "Name or id of the resource")->required();
  open.add_option("--organization", o->organization, "Whose resource, when the name is not unique");
  open.callback([&cli, o] {
    json::object body;
    body[o->resource.starts_with(kResource.prefix) ? "resource_id" : "resource"] = o->resource;
    if (!o->organization.empty()) body["organization_id"] = cli.organization(o->organization);
    cli.status = go(cli, "/v1/sessions", body, View::no, FirstScreen::empty);
  });

  CLI::App& attach = add_command(session, "attach", "Take over a session, or watch it",
                                 "  rapctl session attach ses_...          control it; who had it "
                                 "is told by whom it was taken\n"
                                 "  rapctl session attach ses_... --view   watch only\n"
                                 "The end of standard input that is no terminal leaves the "
                                 "session, which goes on.\n");
  attach.add_option("session", o->session, "Id of the session")->required();
  attach.add_flag("--view", o->view, "Watch, without control");
  attach.callback([&cli, o] {
    const std::string path = path_of(o->session) + "/attach";
    const View view = o->view ? View::yes : View::no;
    cli.status = about(o->session, [&] { return go(cli, path, {}, view, FirstScreen::whole); });
  });
}

}  // namespace

void add_session_commands(CLI::App& app, Cli& cli) {
  CLI::App& session = add_command(app, "session", "Sessions with resources");
  session.require_subcommand(1);
  const auto o = std::make_shared<Options>();
  add_open(session, cli, o);

  CLI::App& list = add_command(session, "list", "List sessions, the newest first",
                               "  rapctl session list --state active,detached\n"
                               "  rapctl session list --organization acme --limit 1000 -o json\n");
  list.add_option("--state", o->state,
                  "Only in these states, with commas: opening, active, detached, closing, closed, "
                  "failed");
  list.add_option("--limit", o->limit, "How many, 200 unless given, at most 10000")
      ->check(CLI::Range(std::size_t{1}, kListItemsMax));
  list.add_option("--organization", o->organization, "Only of this organization");
  list.callback([&cli, o] {
    std::string query = "?order=newest";
    if (!o->state.empty()) query += "&state=" + net::percent_encode(o->state);
    if (!o->organization.empty()) {
      query += "&organization_id=" + cli.organization(o->organization);
    }
    cli.list(cli.api().list("/v1/sessions" + query, o->limit), kSessionColumns);
  });
  CLI::App& show =
      add_command(session, "show", "Show a session", "  rapctl session show ses_...\n");
  show.add_option("session", o->session, "Id of the session")->required();
  show.callback([&cli, o] {
    const std::string path = path_of(o->session);
    cli.show(about(o->session, [&] { return cli.api().get(path); }),
             {{"Id", "id"},
              {"State", "state"},
              {"Detail", "detail"},
              {"Resource", "resource_name"},
              {"Opened by", "user_name"},
              {"Controller", "controller"},
              {"Viewers", "viewers"},
              {"Node", "node_name"},
              {"Started", "created_at"},
              {"Ended", "closed_at"},
              {"Exit status", "exit_status"}});
  });
  CLI::App& terminate = add_command(session, "terminate", "End a session, also on the target",
                                    "  rapctl session terminate ses_...\n");
  terminate.add_option("session", o->session, "Id of the session")->required();
  terminate.callback([&cli, o] {
    const std::string path = path_of(o->session) + "/terminate";
    const json::value answer = about(o->session, [&] { return cli.api().post(path); });
    const std::string state = text_at(answer, "state");
    const bool over = state == "closed" || state == "failed";
    cli.done("session " + o->session + (over ? " is over already" : " is being ended"), answer);
  });
}

}  // namespace rap::cli
