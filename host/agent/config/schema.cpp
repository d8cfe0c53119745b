// The only file that includes valijson: it is heavy to compile.
#include "host/agent/config/schema.hpp"

#include <algorithm>

#include <boost/json.hpp>
#include <valijson/adapters/boost_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "host/agent/config/schema_text.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string_view as_view(json::string_view text) {
  return {text.data(), text.size()};
}

// Walks document and schema side by side. valijson would say only that an unnamed property is not
// allowed; people need the name and the one they meant.
void find_unknown_keys(const json::value& document, const json::value& schema,
                       const std::string& pointer, std::vector<ConfigProblem>& out) {
  const json::object* object = document.if_object();
  const json::object* rules = schema.if_object();
  if (object == nullptr || rules == nullptr) return;
  const json::value* properties = rules->if_contains("properties");
  if (properties == nullptr) return;

  std::vector<std::string> known;
  for (const auto& property : properties->as_object()) known.emplace_back(property.key());
  for (const auto& member : *object) {
    const std::string here = pointer + "/" + std::string(member.key());
    const json::value* rule = properties->as_object().if_contains(member.key());
    if (rule != nullptr) {
      find_unknown_keys(member.value(), *rule, here, out);
      continue;
    }
    const std::string_view meant = did_you_mean(as_view(member.key()), known);
    std::string detail = "unknown key";
    if (!meant.empty()) {
      detail += "; did you mean \"" + std::string(meant) + "\"?";
    } else {
      detail += "; known here:";
      for (const std::string& name : known) detail += " " + name;
    }
    out.push_back({here, detail});
  }
}

// "<root>[mesh][listen]" in valijson's notation.
std::string pointer_of(const std::vector<std::string>& context) {
  std::string out;
  for (const std::string& part : context) {
    if (part.size() > 2 && part.front() == '[') out += "/" + part.substr(1, part.size() - 2);
  }
  return out.empty() ? "/" : out;
}

}  // namespace

std::string_view config_schema_text() {
  return kAgentConfigSchema;
}

std::string_view did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  std::string_view best;
  std::size_t least = std::min<std::size_t>(2, (word.size() - (word.empty() ? 0 : 1)) / 2) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::vector<ConfigProblem> check_config(const json::value& document) {
  const json::value schema_document = json::parse(kAgentConfigSchema);
  std::vector<ConfigProblem> problems;
  find_unknown_keys(document, schema_document, "", problems);

  valijson::Schema schema;
  valijson::SchemaParser parser;
  valijson::adapters::BoostJsonAdapter schema_adapter(schema_document);
  parser.populateSchema(schema_adapter, schema);
  valijson::Validator validator;
  valijson::ValidationResults results;
  valijson::adapters::BoostJsonAdapter adapter(document);
  if (validator.validate(schema, adapter, &results)) return problems;

  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    // Already reported above, with a better text; and the line that repeats it for each parent.
    if (error.description.find("additional") != std::string::npos) continue;
    if (error.description.find("Failed to validate against schema associated with property") !=
        std::string::npos) {
      continue;
    }
    problems.push_back({pointer_of(error.context), error.description});
  }
  if (problems.empty()) problems.push_back({"/", "does not match the schema"});
  return problems;
}

}  // namespace rap::agent
