#include "host/loader/plugin_manifest.hpp"

#include <gtest/gtest.h>

#include "support.hpp"

namespace rap::loader {
namespace {

// The manifest of zoo/good, with the digest of whatever file a test means.
PluginManifest manifest_for(const SealedFile& file, const std::string& id) {
  PluginManifest out;
  out.product = "plugin.rap.test";
  out.version = "1.0.0";
  out.release_seq = 1;
  out.variants.push_back({.os = "linux",
                          .arch = this_arch(),
                          .libc = "glibc",
                          .target = "rel/plugin.rap.test/1.0.0/linux-" + this_arch() + "-glibc.so",
                          .length = file.size,
                          .sha256 = file.sha256});
  out.abi_major = 1;
  AdapterFacts adapter;
  adapter.id = id;
  adapter.roles = {"zoo-worker"};
  adapter.needs = {"rap.host.session/1"};
  adapter.wants = {"rap.host.loop/1", "rap.host.log/1"};
  adapter.provides = {"rap.adapter.session/1"};
  adapter.profile = "net.none";
  adapter.share = 2;
  adapter.fork_safe = true;
  out.adapters.push_back(adapter);
  out.dt_needed = {"libc.so.6"};
  return out;
}

std::string verify(const PluginManifest& manifest, const SealedFile& file) {
  const auto mapping = SealedMapping::map(file.fd.get());
  const auto facts = verify_plugin_file(manifest, mapping->bytes(), file.sha256);
  return facts ? "good" : facts.error().text();
}

TEST(PluginManifest, TextAndBack) {
  const auto file = seal_file(zoo("good"));
  const std::string text = to_json(manifest_for(*file, "zoo.good"));
  const auto parsed = parse_plugin_manifest(text);
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(to_json(*parsed), text);
  EXPECT_EQ(parsed->variants.at(0).sha256, file->sha256);
  EXPECT_TRUE(text.starts_with(R"({"format":1,"product":"plugin.rap.test","version":"1.0.0",)"));
}

TEST(PluginManifest, AcceptsTheFileItDescribes) {
  const auto file = seal_file(zoo("good"));
  EXPECT_EQ(verify(manifest_for(*file, "zoo.good"), *file), "good");
}

TEST(PluginManifest, RefusesEveryDifferenceInTheFile) {
  const auto good = seal_file(zoo("good"));
  const auto other = seal_file(zoo("any-id"));
  EXPECT_NE(verify(manifest_for(*good, "zoo.good"), *other).find("mismatch: "), std::string::npos);

  auto manifest = manifest_for(*good, "zoo.good");
  manifest.variants[0].length++;
  EXPECT_EQ(verify(manifest, *good).find("mismatch: length"), 0u);
  manifest = manifest_for(*good, "zoo.good");
  manifest.variants[0].sha256[31] ^= 1;
  EXPECT_EQ(verify(manifest, *good).find("mismatch: sha256"), 0u);
  manifest = manifest_for(*good, "zoo.good");
  manifest.abi_major = 2;
  EXPECT_EQ(verify(manifest, *good).find("mismatch: "), 0u);
  manifest = manifest_for(*good, "zoo.good");
  manifest.variants[0].arch = "riscv64";
  EXPECT_EQ(verify(manifest, *good).find("unsupported: "), 0u);

  const auto extra = seal_file(zoo("extra-needed"));
  EXPECT_EQ(verify(manifest_for(*extra, "zoo.extra-needed"), *extra).find("mismatch: dt_needed"),
            0u);
  manifest = manifest_for(*good, "zoo.good");
  manifest.dt_needed.push_back("libm.so.6");
  EXPECT_EQ(verify(manifest, *good).find("mismatch: dt_needed"), 0u);
  const auto runpath = seal_file(zoo("runpath"));
  EXPECT_EQ(verify(manifest_for(*runpath, "zoo.runpath"), *runpath).find("invalid: P4"), 0u);
}

TEST(PluginManifest, RefusesEveryDifferenceInTheDescriptor) {
  const auto file = seal_file(zoo("good"));
  const PluginManifest manifest = manifest_for(*file, "zoo.good");
  const std::vector<AdapterFacts> loaded = manifest.adapters;
  ASSERT_TRUE(match_adapters(manifest, loaded));

  const auto refused = [&](auto change) {
    auto other = loaded;
    change(other);
    const auto status = match_adapters(manifest, other);
    return !status && status.error().code == Errc::mismatch;
  };
  EXPECT_TRUE(refused([](auto& a) { a[0].id = "zoo.other"; }));
  EXPECT_TRUE(refused([](auto& a) { a[0].roles = {"mesh-listener"}; }));
  EXPECT_TRUE(refused([](auto& a) { a[0].needs.push_back("rap.host.secret/1"); }));
  EXPECT_TRUE(refused([](auto& a) { a[0].wants.clear(); }));
  EXPECT_TRUE(refused([](auto& a) { a[0].provides.push_back("rap.adapter.accept/1"); }));
  EXPECT_TRUE(refused([](auto& a) { a[0].profile = "net.client"; }));
  EXPECT_TRUE(refused([](auto& a) { a[0].share = 1; }));
  EXPECT_TRUE(refused([](auto& a) { a[0].fork_safe = false; }));
  EXPECT_TRUE(refused([](auto& a) { a.push_back(a[0]), a[1].id = "zoo.second"; }));
  EXPECT_TRUE(refused([](auto& a) { a.clear(); }));
}

TEST(PluginManifest, FindsTheRoleAConstructorForged) {
  const auto file = seal_file(zoo("lying-descriptor"));
  const PluginManifest manifest = manifest_for(*file, "zoo.lying-descriptor");
  EXPECT_EQ(verify(manifest, *file), "good");
  const std::string result = in_child([&]() -> std::string {
    auto sealed = seal_file(zoo("lying-descriptor"));
    auto plugin = load_plugin(std::move(sealed->fd));
    if (!plugin) return plugin.error().text();
    const auto status = match_adapters(manifest, plugin->adapters);
    return status ? "accepted" : status.error().text();
  });
  EXPECT_EQ(result.find("mismatch: zoo.lying-descriptor: roles"), 0u) << result;
}

TEST(PluginManifest, RefusesMalformedText) {
  const auto file = seal_file(zoo("good"));
  const std::string good = to_json(manifest_for(*file, "zoo.good"));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, text.npos) << from;
    return at == text.npos ? text : text.replace(at, from.size(), to);
  };
  const std::string bad[] = {
      "",
      "[]",
      "null",
      "{}",
      good + " x",
      good.substr(0, good.size() - 1),
      with(R"("format":1)", R"("format":2)"),
      with(R"("format":1)", R"("format":"1")"),
      with(R"("format":1,)", R"("format":1,"format":1,)"),
      with(R"("release_seq":1)", R"("release_seq":0)"),
      with(R"("release_seq":1)", R"("release_seq":-1)"),
      with(R"("release_seq":1)", R"("release_seq":1.5)"),
      with(R"("security_epoch":0)", R"("security_epoch":-1)"),
      with(R"("product":"plugin.rap.test")", R"("product":null)"),
      with(R"("sha256":")", R"("sha256":"00)"),
      with(R"("sha256":")", R"("sha256":"zz)"),
      with(R"("length":)", R"("length":-)"),
      with(R"("abi_major":1)", R"("abi_major":0)"),
      with(R"("id":"zoo.good")", R"("id":"Zoo")"),
      with(R"("id":"zoo.good")", R"("id":"")"),
      with(R"("roles":["zoo-worker"])", R"("roles":"zoo-worker")"),
      with(R"("roles":["zoo-worker"])", R"("roles":[1])"),
      with(R"("roles":["zoo-worker"])", R"("roles":["a","a"])"),
      with(R"("needs":["rap.host.session/1"])", R"("needs":["rap.host.session"])"),
      with(R"("needs":["rap.host.session/1"])", R"("needs":["rap.host.session/0"])"),
      with(R"("needs":["rap.host.session/1"])", R"("needs":["rap.host.log/1"])"),
      with(R"("profile":"net.none")", R"("profile":"net.all")"),
      with(R"("share":2)", R"("share":3)"),
      with(R"("fork_safe":true)", R"("fork_safe":1)"),
      with(R"("dt_needed":["libc.so.6"])", R"("dt_needed":[{}])"),
      with(R"("adapters":[)", R"("adapters":[7,)"),
      with(R"("variants":[)", R"("variants":[[],)"),
      with(R"("plugin":{)", R"("plugins":{)"),
      std::string(kManifestBytesMax + 1, ' '),
  };
  for (const std::string& text : bad) {
    EXPECT_FALSE(parse_plugin_manifest(text)) << text.substr(0, 2000);
  }
  EXPECT_TRUE(parse_plugin_manifest(with(R"("format":1,)", R"("format":1,"later":[],)")));
}

}  // namespace
}  // namespace rap::loader
