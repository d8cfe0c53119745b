#include "host/loader/plugin_loader.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "support.hpp"

namespace rap::loader {
namespace {

bool says(const std::string& result, std::string_view text) {
  if (result.find(text) != std::string::npos) return true;
  ADD_FAILURE() << result;
  return false;
}

TEST(PluginLoader, LoadsTheExamples) {
  EXPECT_EQ(load_result(example("echo")), "loaded rap.echo");
  EXPECT_EQ(load_result(example("echo-c")), "loaded rap.echo-c");
  EXPECT_EQ(load_result(zoo("good")), "loaded zoo.good");
}

TEST(PluginLoader, RefusesWhatIsNotAPlugin) {
  says(load_result(zoo("wrong-magic")), "magic");
  says(load_result(zoo("wrong-major")), "unsupported: ABI major 2");
  says(load_result(zoo("small-size")), "plugin size 12");
  says(load_result(zoo("many-adapters")), "adapters");
  says(load_result(RAP_LIBM), "rap_plugin_v1");
  says(load_result("/etc/passwd"), "invalid");
}

TEST(PluginLoader, ReadsDescriptorsWithoutTrustingThem) {
  says(load_result(zoo("wild-pointer")), "roles points outside");
  says(load_result(zoo("bad-id")), "id: [a-z0-9.-]");
}

TEST(PluginLoader, ReportsTheFactsOfTheDescriptor) {
  const std::string facts = in_child([]() -> std::string {
    auto sealed = seal_file(example("echo"));
    auto plugin = load_plugin(std::move(sealed->fd));
    if (!plugin) return plugin.error().text();
    const AdapterFacts& a = plugin->adapters.at(0);
    return a.roles.at(0) + " " + a.needs.at(0) + " " + a.wants.at(0) + " " + a.provides.at(0) +
           " " + a.profile + " " + std::to_string(a.share) + (a.fork_safe ? " fork-safe " : " ") +
           a.version + " " + a.config_schema;
  });
  EXPECT_EQ(facts, R"(echo-worker rap.host.session/1 rap.host.log/1 rap.adapter.session/1 )"
                   R"(net.none 2 fork-safe 0.1.0 {"type":"object"})");
}

TEST(PluginLoader, TakesOnlySealedFiles) {
  EXPECT_EQ(load_plugin(Fd(::open(zoo("good").c_str(), O_RDONLY))).error().code, Errc::mismatch);
  EXPECT_EQ(load_plugin(Fd()).error().code, Errc::mismatch);
}

TEST(PluginLoader, RefusesAFileThatIsLoadedAlready) {
  says(in_child([]() -> std::string {
         auto sealed = seal_file(zoo("good"));
         Fd again(::dup(sealed->fd.get()));
         if (auto first = load_plugin(std::move(sealed->fd)); !first) return first.error().text();
         auto second = load_plugin(std::move(again));
         return second ? "loaded twice" : second.error().text();
       }),
       "loaded already");
}

TEST(PluginLoader, CallsTheAdapterItLoaded) {
  const std::string said = in_child([]() -> std::string {
    auto sealed = seal_file(example("echo"));
    auto plugin = load_plugin(std::move(sealed->fd));
    if (!plugin) return plugin.error().text();
    static std::string why;
    rap_host host{};
    host.get_extension = [](const rap_host*, const char*) -> const void* { return nullptr; };
    host.fail = [](const rap_host*, rap_result code, const char* text) {
      why = text;
      return code;
    };
    rap_adapter* out = nullptr;
    const rap_result unknown = plugin->plugin->create(&host, "rap.echoo", &out);
    const rap_result denied = plugin->plugin->create(&host, "rap.echo", &out);
    return std::to_string(unknown) + " " + std::to_string(denied) + " " + why +
           (out ? " made" : "");
  });
  EXPECT_EQ(said, "-3 -3 not granted: rap.host.session/1");
}

}  // namespace
}  // namespace rap::loader
