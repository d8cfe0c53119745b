#include "plugins/ssh/options.hpp"

#include <gtest/gtest.h>

#include <string>

#include <rap/rap.hpp>

namespace rap::ssh {
namespace {

const std::string kKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA";

std::string pointer_of_refusal(const std::string& json) {
  try {
    parse_options(json);
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code, RAP_E_CONFIG);
    const std::string text = failure.what();
    return text.substr(0, text.find(':'));
  }
  return "accepted";
}

TEST(SshOptions, AcceptsWhatTheContractShows) {
  const Options options = parse_options(R"({"user":"demo","auth":"publickey","known_hosts":[")" +
                                        kKey + R"("],"host_ca":[],"keepalive_s":5})");
  EXPECT_EQ(options.user, "demo");
  EXPECT_EQ(options.auth, AuthMethod::public_key);
  EXPECT_EQ(options.known_hosts, std::vector<std::string>{kKey});
  EXPECT_EQ(options.keepalive_s, 5u);
}

TEST(SshOptions, RefusesNamingThePlace) {
  const std::string good = R"("user":"demo","auth":"password","known_hosts":[")" + kKey + R"("])";
  const std::pair<std::string, std::string> rows[] = {
      {"", ""},
      {"[]", ""},
      {"null", ""},
      {"{", ""},
      {"{" + good + "} x", ""},
      {std::string(70'000, ' ') + "{" + good + "}", ""},
      {std::string(40, '[') + std::string(40, ']'), ""},
      {"{" + good + R"(,"identity":"/root/.ssh/id"})", "/identity"},
      {"{" + good + R"(,"keepalive_s":-1})", "/keepalive_s"},
      {"{" + good + R"(,"keepalive_s":3601})", "/keepalive_s"},
      {"{" + good + R"(,"keepalive_s":1.5})", "/keepalive_s"},
      {"{" + good + R"(,"keepalive_s":"30"})", "/keepalive_s"},
      {"{" + good + R"(,"host_ca":["ssh-ed25519 AAAA"]})", "/host_ca"},
      {"{" + good + R"(,"host_ca":"x"})", "/host_ca"},
      {R"({"auth":"password","known_hosts":["k"]})", "/user"},
      {R"({"user":"","auth":"password","known_hosts":["k"]})", "/user"},
      {R"({"user":7,"auth":"password","known_hosts":["k"]})", "/user"},
      {R"({"user":"a\nb","auth":"password","known_hosts":["k"]})", "/user"},
      {R"({"user":")" + std::string(65, 'u') + R"(","auth":"password","known_hosts":["k"]})",
       "/user"},
      {R"({"user":"a","known_hosts":["k"]})", "/auth"},
      {R"({"user":"a","auth":"none","known_hosts":["k"]})", "/auth"},
      {R"({"user":"a","auth":"password"})", "/known_hosts"},
      {R"({"user":"a","auth":"password","known_hosts":[]})", "/known_hosts"},
      {R"({"user":"a","auth":"password","known_hosts":"k"})", "/known_hosts"},
      {R"({"user":"a","auth":"password","known_hosts":["k",1]})", "/known_hosts/1"},
      {R"({"user":"a","auth":"password","known_hosts":["a\u0000b"]})", "/known_hosts/0"},
  };
  for (const auto& [json, pointer] : rows) EXPECT_EQ(pointer_of_refusal(json), pointer) << json;
}

}  // namespace
}  // namespace rap::ssh
