#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "base/id.hpp"
#include "cli/cli.hpp"

namespace rap::cli {
namespace {

struct Options {
  std::string organization, user, name, slug, role;
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

std::string added(const Options& o, const json::value& membership) {
  const std::string was = text_at(membership, "previous_role");
  const std::string role = text_at(membership, "role");
  return o.user + (was == "-" ? " is " + role : " was " + was + ", is " + role + " now") + " (" +
         text_at(membership, "id") + ")";
}

// The id of a membership, which may be called by it or by who has it.
std::string membership_of(Cli& cli, const Options& o) {
  if (is_id_text(o.user, kMembership.prefix)) return o.user;
  const std::string organization = cli.organization(o.organization);
  const json::array all = cli.api().list("/v1/organizations/" + organization + "/memberships");
  return resolve_among(all, kMembership, o.user);
}

void add_membership(CLI::App& app, Cli& cli) {
  CLI::App& membership = add_command(app, "membership", "Who belongs to which organization");
  membership.require_subcommand(1);
  const Shared o = std::make_shared<Options>();
  CLI::App& add =
      add_command(membership, "add", "Put a person into an organization",
                  "  rapctl membership add ada --organization acme --role admin\n"
                  "Who is in it already gets the role, and keeps theirs without one.\n");
  add.add_option("user", o->user, "Login or id")->required();
  add_organization_option(add, o->organization);
  add.add_option("--role", o->role, "admin or member; a member when new, and left out")
      ->check(CLI::IsMember({"admin", "member"}));
  add.callback([&cli, o] {
    // The server looks the login up: only an owner of the platform may list people.
    const char* by = is_id_text(o->user, kUser.prefix) ? "user_id" : "login";
    json::object body{{by, o->user}};
    if (!o->role.empty()) body["role"] = o->role;
    const json::value made = cli.api().post(
        "/v1/organizations/" + cli.organization(o->organization) + "/memberships", body);
    cli.done(added(*o, made), made);
  });
  add_organization_list(membership, cli, "List who belongs to which organization", "memberships",
                        {{"LOGIN", "login"},
                         {"ORGANIZATION", "organization"},
                         {"ROLE", "role"},
                         {"USER", "user_id"},
                         {"ID", "id"}});
  CLI::App& remove =
      add_command(membership, "remove", "Take a person out; sessions they opened end",
                  "  rapctl membership remove ada --organization acme\n");
  remove.add_option("user", o->user, "Login, or id of the person or of the membership")->required();
  add_organization_option(remove, o->organization);
  remove.callback([&cli, o] {
    cli.api().remove("/v1/memberships/" + membership_of(cli, *o));
    cli.done("removed " + o->user, nullptr);
  });
}

}  // namespace

void add_organization_commands(CLI::App& app, Cli& cli) {
  add_organization(app, cli);
  add_membership(app, cli);
}

}  // namespace rap::cli
