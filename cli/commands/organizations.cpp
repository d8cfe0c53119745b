#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "base/id.hpp"
#include "cli/cli.hpp"

namespace rap::cli {
namespace {

struct Options {
  std::string organization, user, name, slug, role = "member";
};
using Shared = std::shared_ptr<Options>;

void add_organization(CLI::App& app, Cli& cli) {
  CLI::App& organization = add_command(app, "organization", "Who resources and sessions belong to");
  organization.require_subcommand(1);
  const Shared o = std::make_shared<Options>();
  CLI::App& create = add_command(organization, "create", "Make an organization",
                                 "  rapctl organization create --name 'Acme GmbH' --slug acme\n");
  create.add_option("--name", o->name, "Name for people")->required();
  create.add_option("--slug", o->slug, "Short name: a-z, 0-9, -")->required();
  create.callback([&cli, o] {
    const json::value made =
        cli.api().post("/v1/organizations", json::object{{"name", o->name}, {"slug", o->slug}});
    cli.done("created organization " + o->slug + " (" + text_at(made, "id") + ")", made);
  });
  add_list(organization, cli, "List organizations", "/v1/organizations",
           {{"NAME", "name"}, {"SLUG", "slug"}, {"ID", "id"}});
}

void add_membership(CLI::App& app, Cli& cli) {
  CLI::App& membership = add_command(app, "membership", "Who belongs to which organization");
  membership.require_subcommand(1);
  const Shared o = std::make_shared<Options>();
  CLI::App& add = add_command(membership, "add", "Put a person into an organization",
                              "  rapctl membership add ada --organization acme --role admin\n");
  add.add_option("user", o->user, "Login or id")->required();
  add_organization_option(add, o->organization);
  add.add_option("--role", o->role, "admin or member")
      ->check(CLI::IsMember({"admin", "member"}))
      ->capture_default_str();
  add.callback([&cli, o] {
    // The server looks the login up: only an owner of the platform may list people.
    const char* by = is_id_text(o->user, kUser.prefix) ? "user_id" : "login";
    const json::value made =
        cli.api().post("/v1/organizations/" + cli.organization(o->organization) + "/memberships",
                       json::object{{by, o->user}, {"role", o->role}});
    cli.done(o->user + " is " + o->role + " (" + text_at(made, "id") + ")", made);
  });
  add_organization_list(membership, cli, "List who belongs to which organization", "memberships",
                        {{"LOGIN", "login"},
                         {"ORGANIZATION", "organization"},
                         {"ROLE", "role"},
                         {"USER", "user_id"},
                         {"ID", "id"}});
  add_removal(membership, cli, "Take a person out; sessions they opened end", "membership",
              "/v1/memberships");
}

}  // namespace

void add_organization_commands(CLI::App& app, Cli& cli) {
  add_organization(app, cli);
  add_membership(app, cli);
}

}  // namespace rap::cli
