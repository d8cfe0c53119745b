#include "host/agent/config/config.hpp"

#include <gtest/gtest.h>

#include <map>

#include <boost/json.hpp>

#include "host/agent/config/schema.hpp"
#include "tests/unit/agent/temp_dir.hpp"

namespace rap::agent {
namespace {

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](std::string_view name) -> std::optional<std::string> {
    const auto found = values.find(std::string(name));
    if (found == values.end()) return std::nullopt;
    return found->second;
  };
}

Result<Config> load(const TempDir& dir, const std::string& yaml,
                    std::map<std::string, std::string> variables = {}) {
  ConfigSource source{dir.write("agent.yaml", yaml), true};
  return load_config(source, environment(std::move(variables)));
}

TEST(Config, HasDefaultsForEverything) {
  TempDir dir;
  auto config = load(dir, "");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->state_dir, "/var/lib/rap-node-agent");
  EXPECT_EQ(config->worker_path, program_directory() / "rap-worker");
  EXPECT_EQ(config->restarts_max, 5);
}

TEST(Config, ReadsEveryKey) {
  TempDir dir;
  auto config = load(dir, R"(
server: https://cp.example:8443
state_dir: /tmp/s
run_dir: /tmp/r
node_name: node-1
mesh: {listen: "127.0.0.1:0", advertise: "node-1.example:7444"}
release_root: /etc/root.json
worker_path: /opt/w
listener_path: /opt/l
log_level: debug
heartbeat: {min_interval_ms: 1000, max_interval_ms: 2000}
limits: {sessions_max: 3, restarts_max: 2, restart_window_s: 10, outbox_events_max: 100}
)");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->server, "https://cp.example:8443");
  EXPECT_EQ(config->mesh_advertise, "node-1.example:7444");
  EXPECT_EQ(config->log_level, log::Level::debug);
  EXPECT_EQ(config->heartbeat_max.count(), 2000);
  EXPECT_EQ(config->sessions_max, 3);
  EXPECT_EQ(config->restart_window.count(), 10);
}

TEST(Config, DropInsReplaceSingleKeysInOrder) {
  TempDir dir;
  dir.write("agent.d/10-a.yaml", "node_name: a\nmesh: {listen: \"127.0.0.1:1\"}\n");
  dir.write("agent.d/20-b.yaml", "node_name: b\n");
  dir.write("agent.d/ignored.txt", "nonsense: [");
  auto config = load(dir, "node_name: main\nmesh: {advertise: \"x:2\"}\n");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->node_name, "b");
  EXPECT_EQ(config->mesh_listen, "127.0.0.1:1");
  EXPECT_EQ(config->mesh_advertise, "x:2");
}

TEST(Config, VariablesWinAndAreChecked) {
  TempDir dir;
  auto config = load(dir, "node_name: file\n",
                     {{"RAP_NODE_NAME", "variable"}, {"RAP_MESH_LISTEN", "[::]:9"}});
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->node_name, "variable");
  EXPECT_EQ(config->mesh_listen, "[::]:9");
  auto bad = load(dir, "", {{"RAP_STATE_DIR", "relative/path"}});
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().detail.find("/state_dir"), std::string::npos) << bad.error().detail;
}

TEST(Config, NamesAnUnknownKeyAndTheOneThatWasMeant) {
  TempDir dir;
  auto config = load(dir, "mesh: {lisen: \"127.0.0.1:1\"}\n");
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().detail.find("/mesh/lisen: unknown key; did you mean \"listen\"?"),
            std::string::npos)
      << config.error().detail;
}

TEST(Config, DefaultFileMayBeAbsentButNotANamedOne) {
  TempDir dir;
  EXPECT_TRUE(load_config({dir.path() / "none.yaml", false}, environment({})));
  auto missing = load_config({dir.path() / "none.yaml", true}, environment({}));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
}

struct Hostile {
  const char* yaml;
  const char* expected;  // part of the message
};

class HostileConfig : public testing::TestWithParam<Hostile> {};

TEST_P(HostileConfig, IsRefusedWithPlaceAndReason) {
  TempDir dir;
  auto config = load(dir, GetParam().yaml);
  ASSERT_FALSE(config) << GetParam().yaml;
  EXPECT_NE(config.error().detail.find(GetParam().expected), std::string::npos)
      << config.error().detail;
}

INSTANTIATE_TEST_SUITE_P(
    Table, HostileConfig,
    testing::Values(Hostile{"a: [", "agent.yaml:"}, Hostile{"- a\n- b\n", "want keys and values"},
                    Hostile{"just text", "want keys and values"},
                    Hostile{"server: x\n",
                            "/server: want text like https://cp.example:8443, at most 255 "
                            "characters"},
                    Hostile{"server: http://cp\n", "/server"},
                    Hostile{"server: https://user@cp\n", "/server"},
                    Hostile{"state_dir: 7\n", "/state_dir: want text like /var"},
                    Hostile{"node_name: a\nnode_name: b\n", "repeats"},
                    Hostile{"limits: {sessions_max: 0}\n",
                            "/limits/sessions_max: want a whole number from 1 to 10000"},
                    Hostile{"limits: {sessions_max: many}\n", "/limits/sessions_max"},
                    Hostile{"limits: []\n", "/limits: want keys and values"},
                    Hostile{"log_level: loud\n", "/log_level: want one of debug info warn error"},
                    Hostile{"heartbeat: {min_interval_ms: 9000, max_interval_ms: 8000}\n",
                            "/heartbeat/min_interval_ms"},
                    Hostile{"mesh: {listen: \"127.0.0.1:65536\"}\n",
                            "/mesh/listen: want text like 0.0.0.0:7444"},
                    Hostile{"? [a, b]\n: c\n", "a key must be text"},
                    Hostile{"run_dir: /a/very/long/run/directory/that/leaves/no/room/for/the/"
                            "name/of/a/socket/in/it\n",
                            "/run_dir"}));

TEST(Config, AliasesDoNotMultiply) {
  TempDir dir;
  std::string yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 8; ++i) {
    const std::string previous = "*a" + std::to_string(i - 1);
    yaml += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) yaml += (k ? ", " : "") + previous;
    yaml += "]\n";
  }
  auto config = load(dir, yaml);
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().detail.find("too large or too deep"), std::string::npos);
}

TEST(DidYouMean, OnlyNearWords) {
  const std::vector<std::string> keys{"server", "state_dir", "run_dir"};
  EXPECT_EQ(did_you_mean("sever", keys), "server");
  EXPECT_EQ(did_you_mean("state-dir", keys), "state_dir");
  EXPECT_EQ(did_you_mean("password", keys), "");
  EXPECT_EQ(did_you_mean("", keys), "");
}

}  // namespace
}  // namespace rap::agent
