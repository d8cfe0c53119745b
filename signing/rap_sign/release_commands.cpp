#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "signing/rap_sign/commands.hpp"
#include "signing/sign/releases.hpp"

namespace rap::sign {
namespace {

namespace json = boost::json;

struct ReleaseFiles {
  Bytes manifest;
  std::vector<Bytes> artifacts;
};

Result<ReleaseFiles> read_files(const PublishOptions& options) {
  ReleaseFiles files;
  auto manifest = read_file(options.manifest, kManifestMax);
  if (!manifest) return fail(std::move(manifest.error()));
  files.manifest = std::move(*manifest);
  for (const std::string& path : options.artifacts) {
    auto artifact = read_file(path, kArtifactMax);
    if (!artifact) return fail(std::move(artifact.error()));
    files.artifacts.push_back(std::move(*artifact));
  }
  return files;
}

}  // namespace

Status run_publish(const Context& context, const PublishOptions& options) {
  auto files = read_files(options);
  if (!files) return fail(std::move(files.error()));
  auto repository = ReleaseRepository::open_for_writing(context.repository);
  if (!repository) return fail(std::move(repository.error()));
  Change change(*repository, context.clock.now());
  auto release = add_release(change, *repository, files->manifest, files->artifacts);
  if (!release) return fail(std::move(release.error()));
  if (!options.channel.empty()) {
    ChannelSpec channel{release->product, options.channel, release->version, options.min_epoch};
    auto listed = set_channel(change, *repository, channel);
    if (!listed) return fail(std::move(listed.error()));
  }
  if (change.drafts().empty()) {
    answer(context,
           fmt::format("{} {} is published already with these files; nothing changed",
                       release->product, release->version),
           {{"state", "unchanged"}});
    return {};
  }
  KeyStore store = context.key_store();
  return sign_and_publish(context, change, store,
                          fmt::format("Publish {} {}", release->product, release->version));
}

Status run_promote(const Context& context, const PromoteOptions& options) {
  auto repository = ReleaseRepository::open_for_writing(context.repository);
  if (!repository) return fail(std::move(repository.error()));
  Change change(*repository, context.clock.now());
  ChannelSpec channel{options.product, options.channel, options.version, options.min_epoch};
  auto listed = set_channel(change, *repository, channel);
  if (!listed) return fail(std::move(listed.error()));
  KeyStore store = context.key_store();
  return sign_and_publish(
      context, change, store,
      fmt::format("Make {} {} {}", options.product, options.version, options.channel));
}

}  // namespace rap::sign
