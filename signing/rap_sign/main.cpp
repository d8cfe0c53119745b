// rap-sign: the key ceremony and everything else that writes the release repository R.
#include <cstdio>
#include <exception>
#include <functional>

#include <CLI/CLI.hpp>

#include "base/commandline/program.hpp"
#include "base/commandline/standard_output.hpp"
#include "signing/rap_sign/commands.hpp"

namespace {

using namespace rap::sign;
using rap::Status;

using Action = std::function<Status()>;

// Every option of every command; lives as long as main.
struct Options {
  Context context;
  std::string output = "text";
  InitOptions init;
  DelegateOptions delegate;
  RotateOptions rotate;
  PublishOptions publish;
  PromoteOptions promote;
  std::string key_name;
  std::string file;
  std::string role;
};

struct Command {
  std::string name;
  const char* help;
  std::string examples;
  enum { kRepository = 1, kKeys = 2 };
  int needs = kRepository | kKeys;
};

CLI::App* command(CLI::App& app, Options& o, Action& action, const Command& spec, Action run) {
  CLI::App* sub = &rap::commandline::add_command(app, spec.name, spec.help, spec.examples);
  sub->fallthrough();  // global options may follow the command
  sub->callback([&o, &action, needs = spec.needs, run = std::move(run)] {
    if ((needs & Command::kRepository) != 0 && o.context.repository.empty()) {
      throw CLI::RequiredError("--repo");
    }
    if ((needs & Command::kKeys) != 0 && o.context.keys.empty()) throw CLI::RequiredError("--keys");
    action = run;
  });
  return sub;
}

void add_holders(CLI::App& app, Holders& holders, const std::string& role) {
  app.add_option("--" + role + "-keys", holders.keys, "keys made for this role")
      ->check(CLI::Range(0, 32));
  app.add_option("--" + role + "-threshold", holders.threshold, "signatures it needs")
      ->check(CLI::Range(1, 32));
}

void add_ceremony(CLI::App& app, Options& o, Action& action) {
  CLI::App* init =
      command(app, o, action,
              {"init", "key ceremony: make keys, root and delegations",
               "  rap-sign init --repo vs --keys keys --passphrase-file pass\n"
               "  rap-sign init --repo vs --keys keys --root-keys 3 --root-threshold 2\n"},
              [&o] { return run_init(o.context, o.init); });
  add_holders(*init, o.init.root, "root");
  add_holders(*init, o.init.targets, "targets");
  add_holders(*init, o.init.release, "release");
  add_holders(*init, o.init.channels, "channels");
  add_holders(*init, o.init.trust, "trust");
  init->add_option("--vendor", o.init.vendor, "whose plugins rel.plugin.<vendor> signs");
  init->add_option("--root-public", o.init.root_public, ".pub file of a root holder elsewhere");

  CLI::App* key = app.add_subcommand("key", "keys of one holder");
  key->fallthrough();
  key->require_subcommand(1);
  CLI::App* create = command(*key, o, action,
                             {"create", "make an encrypted key",
                              "  rap-sign key create trust-2 --keys keys\n", Command::kKeys},
                             [&o] { return run_key_create(o.context, o.key_name); });
  create->add_option("name", o.key_name)->required();
  command(*key, o, action,
          {"list", "names and key ids", "  rap-sign key list --keys keys\n", Command::kKeys},
          [&o] { return run_key_list(o.context); });

  CLI::App* delegate = command(app, o, action,
                               {"delegate", "let a role sign target paths",
                                "  rap-sign delegate rel.plugin.acme --path "
                                "'rel/plugin.acme.*/*/*' --key acme-1 --repo vs --keys keys\n"},
                               [&o] { return run_delegate(o.context, o.delegate); });
  delegate->add_option("role", o.delegate.role)->required();
  delegate->add_option("--path", o.delegate.paths,
                       "pattern; * stays within a segment; none for trust, which lists no target");
  delegate->add_option("--key", o.delegate.keys, "key name; made when absent");
  delegate->add_option("--public", o.delegate.public_keys, ".pub file");
  delegate->add_option("--threshold", o.delegate.threshold)->check(CLI::Range(1, 32));

  CLI::App* rotate = command(
      app, o, action,
      {"rotate", "give a role other keys", "  rap-sign rotate timestamp --repo vs --keys keys\n"},
      [&o] { return run_rotate(o.context, o.rotate); });
  rotate->add_option("role", o.rotate.role)->required();
  rotate->add_option("--remove", o.rotate.remove, "key name or key id");
  rotate->add_option("--add", o.rotate.add, "key name; made when absent");
  rotate->add_option("--public", o.rotate.public_keys, ".pub file");
  rotate->add_option("--threshold", o.rotate.threshold)->check(CLI::Range(1, 32));

  CLI::App* sign =
      command(app, o, action,
              {"sign", "add one holder's signature to a pending file or a director's root",
               "  rap-sign sign vs/pending/root.json --key root-2 --keys keys\n"
               "  rap-sign sign berlin-root.json --key trust-1 --keys keys\n",
               Command::kKeys},
              [&o] { return run_sign(o.context, o.file, o.key_name); });
  sign->add_option("file", o.file)->required();
  sign->add_option("--key", o.key_name, "key name")->required();
  command(app, o, action,
          {"commit", "publish what is pending", "  rap-sign commit --repo vs --keys keys\n"},
          [&o] { return run_commit(o.context); });
  command(app, o, action,
          {"timestamp", "re-sign snapshot and timestamp",
           "  rap-sign timestamp --repo vs --keys keys --yes\n"},
          [&o] { return run_timestamp(o.context); });
  CLI::App* renew = command(app, o, action,
                            {"renew", "re-sign a role with a later expiry",
                             "  rap-sign renew targets --repo vs --keys keys\n"},
                            [&o] { return run_renew(o.context, o.role); });
  renew->add_option("role", o.role)->required();
}

void add_releases(CLI::App& app, Options& o, Action& action) {
  CLI::App* publish = command(app, o, action,
                              {"publish", "add a release: manifest and artifacts",
                               "  rap-sign publish --manifest ssh.json --artifact ssh.so --channel "
                               "stable --repo vs --keys keys\n"},
                              [&o] { return run_publish(o.context, o.publish); });
  publish->add_option("--manifest", o.publish.manifest)->required()->check(CLI::ExistingFile);
  publish->add_option("--artifact", o.publish.artifacts)->check(CLI::ExistingFile);
  publish->add_option("--channel", o.publish.channel, "also make it stable, current or candidate");
  publish->add_option("--min-epoch", o.publish.min_epoch, "of the channel");

  CLI::App* promote = command(app, o, action,
                              {"promote", "point a channel at a release",
                               "  rap-sign promote --product plugin.rap.ssh --version 0.2.0 "
                               "--channel stable --repo vs --keys keys\n"},
                              [&o] { return run_promote(o.context, o.promote); });
  promote->add_option("--product", o.promote.product)->required();
  promote->add_option("--version", o.promote.version)->required();
  promote->add_option("--channel", o.promote.channel)->required();
  promote->add_option("--min-epoch", o.promote.min_epoch);

  command(
      app, o, action,
      {"show", "what is published", "  rap-sign show --repo vs -o json\n", Command::kRepository},
      [&o] { return run_show(o.context); });
  command(app, o, action,
          {"verify", "read it as a client would", "  rap-sign verify --repo vs\n",
           Command::kRepository},
          [&o] { return run_verify(o.context); });
}

int run(int argc, char** argv) {
  Options o;
  Action action;
  CLI::App app{"Writes the release repository R. See docs/signing.md."};
  app.name("rap-sign");
  app.require_subcommand(1);
  app.footer(
      "\nExamples:\n"
      "  export RAP_SIGN_REPO=vs RAP_SIGN_KEYS=keys     instead of --repo and --keys\n"
      "  rap-sign init --passphrase-file pass\n"
      "  rap-sign publish --manifest ssh.json --artifact ssh.so --channel stable\n"
      "  rap-sign verify\n"
      "\nExit status: 0 done, 1 failed, 2 wrong usage. Manual: man rap-sign");
  app.add_option("--repo", o.context.repository, "repository directory")->envname("RAP_SIGN_REPO");
  app.add_option("--keys", o.context.keys, "key directory")->envname("RAP_SIGN_KEYS");
  app.add_option("--passphrase-file", o.context.passphrase_file,
                 "passphrase of the keys; also RAP_PASSPHRASE_FILE");
  app.add_flag("--yes,-y", o.context.yes, "sign without asking");
  app.add_option("-o,--output", o.output)->check(CLI::IsMember({"text", "json"}));
  add_ceremony(app, o, action);
  add_releases(app, o, action);
  CLI::App& version = rap::commandline::add_version_command(app, o.output);
  version.fallthrough();
  if (const auto status = rap::commandline::read_words(app, argc, argv)) return *status;
  if (version.parsed()) return 0;
  o.context.json = o.output == "json";
  const Status status = action();
  if (status) return 0;
  std::fprintf(stderr, "rap-sign: %s\n", status.error().text().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  rap::commandline::prepare_standard_streams();
  try {
    return rap::commandline::finish_standard_output("rap-sign", run(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rap-sign: %s\n", error.what());
    return 1;
  }
}
