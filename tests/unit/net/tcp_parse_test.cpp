#include <gtest/gtest.h>

#include "base/net/http_client.hpp"
#include "base/net/tcp.hpp"

namespace rap::net {
namespace {

TEST(HostPort, TakesTheFormsOfTheContract) {
  EXPECT_EQ(parse_host_port("node-1.example:443")->host, "node-1.example");
  EXPECT_EQ(parse_host_port("192.0.2.1:0")->port, 0);
  EXPECT_EQ(parse_host_port("[2001:db8::1]:65535")->host, "2001:db8::1");
  EXPECT_EQ(parse_host_port("[2001:db8::1]:65535")->text(), "[2001:db8::1]:65535");
}

TEST(HostPort, RefusesEverythingElse) {
  const std::string_view cases[] = {
      "",
      ":",
      "host",
      ":1",
      "host:",
      "host:65536",
      "host:-1",
      "host:+1",
      "host: 1",
      "host:1 ",
      "host:0x10",
      "::1:80",
      "[::1]",
      "[::1]80",
      "[host]:1",
      "[::1:80",
      "ho st:1",
      "host:1:2",
      "a/b:1",
      "user@h:1",
      "h\n:1",
      "h:00000000000001",
      "[::1%eth0]:1",
      "[]:1",
      "[127.0.0.1]:1",
  };
  for (const auto text : cases) EXPECT_FALSE(parse_host_port(text)) << text;
  EXPECT_FALSE(parse_host_port(std::string(254, 'a') + ":1"));
  EXPECT_FALSE(parse_host_port(std::string("h\0:1", 4)));
}

TEST(UrlTest, TakesAndRefuses) {
  const auto url = parse_url("https://cp.example/base/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->address.port, 443);
  EXPECT_EQ(url->path, "/base/");
  EXPECT_EQ(parse_url("http://127.0.0.1:8080")->address.port, 8080);
  EXPECT_EQ(parse_url("https://[::1]")->address.host, "::1");
  EXPECT_EQ(parse_url("https://[::1]:9")->address.port, 9);
  const std::string_view bad[] = {
      "",
      "cp.example",
      "ftp://x",
      "https://",
      "https://u@h/",
      "https://h/?q",
      "https://h/#f",
      "https://h:0/",
      "https://h:99999",
      "https://h /",
      "https:///x",
      "https://h:/",
      "https://[::1",
      "HTTPS://h",
      "https://h\\x",
  };
  for (const auto text : bad) EXPECT_FALSE(parse_url(text)) << text;
}

}  // namespace
}  // namespace rap::net
