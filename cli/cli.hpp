// What all commands share: global options, the server, and printing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/commandline/program.hpp"
#include "cli/api.hpp"
#include "cli/config.hpp"
#include "cli/output.hpp"
#include "cli/resolve.hpp"

namespace CLI {
class App;
}

namespace rap::cli {

class Cli {
 public:
  Cli();

  // Global options, filled by the command line.
  std::string server;
  std::string ca_file;
  std::string output;

  const std::filesystem::path& dir() const { return dir_; }
  // Saved context, with --server, RAP_SERVER, --ca-file and RAP_TOKEN_FILE applied.
  Context context();
  // Connected with context(); throws Failure when nobody is logged in.
  Api& api();
  // The exit status of the whole program, when it is not 0.
  int status = 0;

  void list(const json::array& items, const std::vector<Column>& columns);
  void show(const json::value& item, const std::vector<Column>& columns);
  // One line for a person ("created cluster demo"); with -o json the item instead.
  void done(const std::string& line, const json::value& item);

  // Ids of things called by name; empty text means the only one there is.
  std::string cluster(const std::string& text);
  std::string organization(const std::string& text);
  // What the organization `text`, or every one of the caller's when it is empty, has at `/<what>`;
  // each item gets a member "organization" with the slug.
  boost::json::array of_organizations(const std::string& text, const std::string& what);
  std::string user(const std::string& text);
  // Of any cluster the person sees.
  std::string node(const std::string& text);

 private:
  OutputStyle style() const;

  std::filesystem::path dir_;
  std::unique_ptr<Api> api_;
};

using commandline::add_command;

// A JSON object as it was typed, or of the file after an @. Throws Failure about `option`.
boost::json::object json_object_argument(const std::string& text, const std::string& option);

// For commands that need one: the option may be left out where there is only one.
void add_cluster_option(CLI::App& command, std::string& cluster);
void add_organization_option(CLI::App& command, std::string& organization);

// `parent list`: everything at `path`.
void add_list(CLI::App& parent, Cli& cli, const std::string& about, const std::string& path,
              const std::vector<Column>& columns);
// `parent list [--cluster C]`: everything at /v1/clusters/C/`what`.
void add_cluster_list(CLI::App& parent, Cli& cli, const std::string& about, const std::string& what,
                      const std::vector<Column>& columns);
// `parent list [--organization O]`: `what` of that one, or of all that the caller may see.
void add_organization_list(CLI::App& parent, Cli& cli, const std::string& about,
                           const std::string& what, const std::vector<Column>& columns);
// `parent remove ID`: DELETE `path`/ID.
void add_removal(CLI::App& parent, Cli& cli, const std::string& about, const std::string& id_of,
                 const std::string& path);

void add_login_commands(CLI::App& app, Cli& cli);         // login logout whoami totp
void add_cluster_commands(CLI::App& app, Cli& cli);       // cluster join-token join-request
void add_node_commands(CLI::App& app, Cli& cli);          // node node-group role
void add_mesh_commands(CLI::App& app, Cli& cli);          // mesh
void add_mesh_trace(CLI::App& mesh, Cli& cli);            // mesh trace
void add_organization_commands(CLI::App& app, Cli& cli);  // organization membership
void add_people_commands(CLI::App& app, Cli& cli);        // user token password
void add_resource_commands(CLI::App& app, Cli& cli);      // resource secret
void add_operation_commands(CLI::App& app, Cli& cli);     // release audit
void add_session_commands(CLI::App& app, Cli& cli);       // session
void add_completion_command(CLI::App& app, Cli& cli);     // completion

}  // namespace rap::cli
