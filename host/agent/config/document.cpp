// The only file that includes yaml-cpp. YAML in, one JSON document out.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <regex>
#include <set>
#include <vector>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "host/agent/config/config.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

constexpr std::size_t kFileBytesMax = 64 * 1024;  // a full agent.yaml is about 1 KB
constexpr int kNodesMax = 2'000;                  // aliases may not multiply a small file
constexpr int kDropInsMax = 64;

struct Converter {
  std::string file;
  int nodes = 0;

  tl::unexpected<Error> at(const YAML::Mark& mark, const std::string& what) const {
    std::string where = file;
    if (!mark.is_null()) where += ":" + std::to_string(mark.line + 1);
    return fail(Errc::malformed, where + ": " + what);
  }

  Result<json::value> convert(const YAML::Node& node, int depth) {
    if (++nodes > kNodesMax || depth > 16) return at(node.Mark(), "too large or too deep");
    switch (node.Type()) {
      case YAML::NodeType::Map:
        return convert_map(node, depth);
      case YAML::NodeType::Sequence:
        return convert_sequence(node, depth);
      case YAML::NodeType::Scalar:
        return convert_scalar(node);
      default:
        return json::value(nullptr);
    }
  }

  Result<json::value> convert_map(const YAML::Node& node, int depth) {
    json::object out;
    for (const auto& member : node) {
      if (!member.first.IsScalar()) return at(member.first.Mark(), "a key must be text");
      const std::string key = member.first.Scalar();
      if (out.contains(key)) return at(member.first.Mark(), "key \"" + key + "\" repeats");
      auto value = convert(member.second, depth + 1);
      if (!value) return value;
      out[key] = std::move(*value);
    }
    return json::value(std::move(out));
  }

  Result<json::value> convert_sequence(const YAML::Node& node, int depth) {
    json::array out;
    for (const auto& item : node) {
      auto value = convert(item, depth + 1);
      if (!value) return value;
      out.push_back(std::move(*value));
    }
    return json::value(std::move(out));
  }

  // YAML 1.2 core schema, and no more of it than a configuration needs: "no" and "on" are text.
  Result<json::value> convert_scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return json::value(text);  // quoted
    if (text.empty() || text == "~" || text == "null") return json::value(nullptr);
    if (text == "true" || text == "false") return json::value(text == "true");
    static const std::regex integer("[-+]?[0-9]{1,18}");
    if (std::regex_match(text, integer)) return json::value(std::int64_t(std::stoll(text)));
    return json::value(text);
  }
};

void merge(json::object& into, const json::object& from) {
  for (const auto& member : from) {
    json::value* old = into.if_contains(member.key());
    if (old != nullptr && old->is_object() && member.value().is_object()) {
      merge(old->get_object(), member.value().get_object());
    } else {
      into[member.key()] = member.value();
    }
  }
}

}  // namespace

Result<json::value> read_config_file(const fs::path& path) {
  auto text = read_text_file(path, kFileBytesMax);
  if (!text) return fail(std::move(text.error()));
  Converter converter{path.string()};
  try {
    const YAML::Node root = YAML::Load(*text);
    if (!root || root.IsNull()) return json::value(json::object{});
    if (!root.IsMap()) return fail(Errc::malformed, path.string() + ": want keys and values");
    return converter.convert(root, 0);
  } catch (const YAML::Exception& error) {  // the library's only way to say it
    return converter.at(error.mark, error.msg);
  }
}

Result<std::vector<fs::path>> config_files(const ConfigSource& source) {
  std::vector<fs::path> out;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(source.file.parent_path() / "agent.d", ec)) {
    if (entry.path().extension() == ".yaml") out.push_back(entry.path());
  }
  if (out.size() > kDropInsMax) return fail(Errc::too_large, "agent.d: more than 64 files");
  std::sort(out.begin(), out.end());
  const bool there = fs::symlink_status(source.file, ec).type() != fs::file_type::not_found;
  if (there || source.file_required) out.insert(out.begin(), source.file);
  return out;
}

Result<json::value> read_config_document(const ConfigSource& source) {
  auto files = config_files(source);
  if (!files) return fail(std::move(files.error()));
  json::value document(json::object{});
  for (const fs::path& path : *files) {
    auto part = read_config_file(path);
    if (!part) return part;
    merge(document.get_object(), part->get_object());
  }
  return document;
}

}  // namespace rap::agent
