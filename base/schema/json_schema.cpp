// The only file that includes valijson: it is heavy to compile.

// Without it the library ends the process over a schema that is none.
#define VALIJSON_USE_EXCEPTIONS 1

#include "base/schema/json_schema.hpp"

#include <algorithm>

#include <boost/json.hpp>
#include <valijson/adapters/boost_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "base/json.hpp"

namespace rap {
namespace {

namespace json = boost::json;

constexpr std::size_t kSchemaBytesMax = std::size_t{256} << 10;  // of a plugin's descriptor
constexpr std::size_t kSchemaDepthMax = 64;
constexpr int kRefsMax = 256;            // followed; an honest schema has a handful
constexpr std::size_t kProblemsMax = 8;  // in a text: people repair one after the other

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

bool closed(const json::object& rules) {
  const json::value* additional = rules.if_contains("additionalProperties");
  return additional != nullptr && additional->is_bool() && !additional->get_bool();
}

// What "$ref" names; null when `rules` has none or it names nothing.
const json::value* referred(const json::value& root, const json::object& rules) {
  const json::value* ref = rules.if_contains("$ref");
  if (ref == nullptr || !ref->is_string() || !ref->get_string().starts_with('#')) return nullptr;
  json::error_code error;
  return root.find_pointer(ref->get_string().subview(1), error);
}

// Walks document and schema side by side. valijson would say only that an unnamed property is not
// allowed; people need the name and the one they meant. After check_refs(), which ends it.
void find_unknown_keys(const json::value& root, const json::value& document,
                       const json::value& schema, const std::string& pointer,
                       std::vector<SchemaProblem>& out) {
  const json::object* rules = schema.if_object();
  if (rules == nullptr) return;
  if (const json::value* target = referred(root, *rules)) {
    return find_unknown_keys(root, document, *target, pointer, out);
  }
  if (const json::array* list = document.if_array()) {
    const json::value* items = rules->if_contains("items");
    for (std::size_t i = 0; items != nullptr && i < list->size(); ++i) {
      find_unknown_keys(root, (*list)[i], *items, pointer + "/" + std::to_string(i), out);
    }
    return;
  }
  const json::object* object = document.if_object();
  if (object == nullptr) return;
  const json::value* properties = rules->if_contains("properties");
  if (properties == nullptr || !properties->is_object()) return;
  // Patterns decide there; the validator does.
  const bool all_named = closed(*rules) && !rules->contains("patternProperties");

  std::vector<std::string> known;
  for (const auto& property : properties->get_object()) known.emplace_back(property.key());
  for (const auto& member : *object) {
    const std::string here = pointer + "/" + std::string(member.key());
    const json::value* rule = properties->get_object().if_contains(member.key());
    if (rule != nullptr) {
      find_unknown_keys(root, member.value(), *rule, here, out);
      continue;
    }
    if (!all_named) continue;
    const std::string_view meant = did_you_mean(as_view(member.key()), known);
    std::string detail = "unknown key";
    if (!meant.empty()) {
      detail += "; did you mean \"" + std::string(meant) + "\"?";
    } else if (known.empty()) {
      detail += "; no key is known here";
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

// The rule for what `pointer` names, where plain properties lead to it. After check_refs().
const json::object* rule_at(const json::value& root, std::string_view pointer) {
  const json::value* here = &root;
  for (;;) {
    const json::object* rules = here->if_object();
    while (rules != nullptr) {
      const json::value* target = referred(root, *rules);
      if (target == nullptr) break;
      rules = target->if_object();
    }
    if (rules == nullptr || pointer.size() < 2) return rules;
    const auto end = std::min(pointer.find('/', 1), pointer.size());
    const json::value* properties = rules->if_contains("properties");
    if (properties == nullptr || !properties->is_object()) return nullptr;
    here = properties->get_object().if_contains(pointer.substr(1, end - 1));
    if (here == nullptr) return nullptr;
    pointer.remove_prefix(end);
  }
}

std::string as_word(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

std::string wanted_text(const json::object& rule) {
  std::string out = "want text";
  const json::value* examples = rule.if_contains("examples");
  const bool shown = examples != nullptr && examples->is_array() && !examples->get_array().empty();
  if (rule.contains("pattern") && !shown) return {};
  if (shown) out += " like " + as_word(examples->get_array().front());
  if (const json::value* least = rule.if_contains("minLength")) {
    out += ", at least " + as_word(*least) + " characters";
  }
  if (const json::value* most = rule.if_contains("maxLength")) {
    out += ", at most " + as_word(*most) + " characters";
  }
  return out;
}

// What the rule asks for, in words: a regular expression, or that a value is not among those that
// are allowed, helps nobody. Empty where the library's own words are as good. The value is never
// repeated: it may be a secret.
std::string wanted(const json::object& rule, const std::string& description) {
  if (const json::value* words = rule.if_contains("enum"); words != nullptr && words->is_array()) {
    std::string out = "want one of";
    for (const json::value& word : words->get_array()) out += " " + as_word(word);
    return out;
  }
  const json::value* named = rule.if_contains("type");
  if (named == nullptr || !named->is_string()) return {};
  const json::string_view type = named->get_string();
  if (type == "string") return wanted_text(rule);
  if (type == "integer" || type == "number") {
    std::string out = type == "integer" ? "want a whole number" : "want a number";
    if (const json::value* least = rule.if_contains("minimum")) out += " from " + as_word(*least);
    if (const json::value* most = rule.if_contains("maximum")) out += " to " + as_word(*most);
    return out;
  }
  if (description.find("'type' constraint") == std::string::npos) return {};
  return type == "object" ? "want keys and values" : type == "boolean" ? "want true or false" : "";
}

// valijson follows references without counting: one that leads to itself would never end, and
// recursive ones let a document choose the depth of the stack.
Status check_refs(const json::value& root, const json::value& part, int& refs_left) {
  if (const json::array* list = part.if_array()) {
    for (const json::value& item : *list) {
      if (auto good = check_refs(root, item, refs_left); !good) return good;
    }
    return {};
  }
  const json::object* object = part.if_object();
  if (object == nullptr) return {};
  for (const auto& member : *object) {
    if (member.key() != "$ref" || !member.value().is_string()) {
      if (auto good = check_refs(root, member.value(), refs_left); !good) return good;
      continue;
    }
    const std::string where(member.value().get_string());
    if (--refs_left < 0) {
      return fail(Errc::invalid,
                  "schema: $ref " + where + " leads to itself, or there are too many");
    }
    if (where.empty() || where.front() != '#') {
      return fail(Errc::invalid, "schema: $ref " + where + " leads out of the schema");
    }
    const json::value* target = referred(root, *object);
    if (target == nullptr) return fail(Errc::invalid, "schema: $ref " + where + " leads nowhere");
    if (auto good = check_refs(root, *target, refs_left); !good) return good;
  }
  return {};
}

bool repeats_another(const std::string& description) {
  // Told with a better text already; and the line that says it again for each parent.
  return description.find("additional") != std::string::npos ||
         description.find("Failed to validate against schema associated with property") !=
             std::string::npos;
}

}  // namespace

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

Result<std::vector<SchemaProblem>> check_against_schema(const json::value& document,
                                                        const json::value& schema_document) {
  if (!schema_document.is_object()) return fail(Errc::invalid, "schema: not a JSON object");
  int refs_left = kRefsMax;
  if (auto good = check_refs(schema_document, schema_document, refs_left); !good) {
    return fail(good.error());
  }
  std::vector<SchemaProblem> problems;
  valijson::Schema schema;
  // The library's way to say that the schema is wrong is to throw.
  try {
    valijson::SchemaParser parser;
    valijson::adapters::BoostJsonAdapter schema_adapter(schema_document);
    parser.populateSchema(schema_adapter, schema);
  } catch (const std::exception& wrong) {
    return fail(Errc::invalid, std::string("schema: ") + wrong.what());
  }
  find_unknown_keys(schema_document, document, schema_document, "", problems);
  valijson::Validator validator;
  valijson::ValidationResults results;
  valijson::adapters::BoostJsonAdapter adapter(document);
  try {
    if (validator.validate(schema, adapter, &results)) return problems;
  } catch (const std::exception& wrong) {  // a pattern that is no regular expression
    return fail(Errc::invalid, std::string("schema: ") + wrong.what());
  }
  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    if (repeats_another(error.description)) continue;
    SchemaProblem problem{pointer_of(error.context), error.description};
    if (const json::object* rule = rule_at(schema_document, problem.pointer)) {
      if (std::string text = wanted(*rule, error.description); !text.empty()) problem.detail = text;
    }
    const bool told = std::ranges::any_of(problems, [&](const SchemaProblem& other) {
      return other.pointer == problem.pointer && other.detail == problem.detail;
    });
    if (!told) problems.push_back(std::move(problem));
  }
  if (problems.empty()) problems.push_back({"/", "does not match the schema"});
  return problems;
}

Result<std::string> check_against_schema(const json::value& document,
                                         std::string_view schema_text) {
  auto schema =
      parse_json(schema_text, {.bytes_max = kSchemaBytesMax, .depth_max = kSchemaDepthMax});
  if (!schema) return fail(schema.error(), "schema");
  auto problems = check_against_schema(document, *schema);
  if (!problems) return fail(problems.error());
  return text_of(*problems);
}

std::string text_of(const std::vector<SchemaProblem>& problems) {
  std::string out;
  for (std::size_t i = 0; i < problems.size() && i < kProblemsMax; ++i) {
    if (i > 0) out += "; ";
    out += problems[i].pointer + ": " + problems[i].detail;
  }
  return out;
}

}  // namespace rap
