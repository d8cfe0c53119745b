#include "fabric/routing/json_reader.hpp"

#include <algorithm>

#include <boost/json.hpp>

namespace rap::routing {

namespace json = boost::json;

JsonReader::JsonReader(const json::object& object, std::string where)
    : object_(object), where_(std::move(where)) {
  asked_.reserve(24);
}

const json::value* JsonReader::find(std::string_view key) {
  if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) asked_.push_back(key);
  return object_.if_contains(json::string_view(key.data(), key.size()));
}

bool JsonReader::has(std::string_view key) {
  const json::value* value = find(key);
  return value != nullptr && !value->is_null();
}

std::string JsonReader::text(std::string_view key, std::size_t chars_max) {
  const json::value* value = find(key);
  if (value == nullptr || !value->is_string()) {
    wrong(Errc::invalid, key, "want a string");
    return {};
  }
  const json::string& text = value->get_string();
  if (text.size() > chars_max) {
    wrong(Errc::too_large, key, "more than " + std::to_string(chars_max) + " characters");
    return {};
  }
  return std::string(text.data(), text.size());
}

std::int64_t JsonReader::number(std::string_view key, std::int64_t least, std::int64_t most) {
  const json::value* value = find(key);
  if (value == nullptr || !value->is_int64()) {
    wrong(Errc::invalid, key, "want an integer");
    return least;
  }
  const std::int64_t number = value->get_int64();
  if (number < least || number > most) {
    wrong(Errc::invalid, key,
          "want " + std::to_string(least) + ".." + std::to_string(most) + ", not " +
              std::to_string(number));
    return least;
  }
  return number;
}

bool JsonReader::flag(std::string_view key) {
  const json::value* value = find(key);
  if (value == nullptr || !value->is_bool()) {
    wrong(Errc::invalid, key, "want true or false");
    return false;
  }
  return value->get_bool();
}

const json::array* JsonReader::array(std::string_view key, std::size_t items_max) {
  const json::value* value = find(key);
  if (value == nullptr || !value->is_array()) {
    wrong(Errc::invalid, key, "want an array");
    return nullptr;
  }
  if (value->get_array().size() > items_max) {
    wrong(Errc::too_large, key, "more than " + std::to_string(items_max) + " items");
    return nullptr;
  }
  return &value->get_array();
}

const json::object* JsonReader::object(std::string_view key) {
  const json::value* value = find(key);
  if (value == nullptr || !value->is_object()) {
    wrong(Errc::invalid, key, "want an object");
    return nullptr;
  }
  return &value->get_object();
}

std::vector<std::string> JsonReader::texts(std::string_view key, std::size_t items_max,
                                           std::size_t chars_max) {
  std::vector<std::string> out;
  const json::array* items = array(key, items_max);
  if (items == nullptr) return out;
  out.reserve(items->size());
  for (const json::value& item : *items) {
    if (!item.is_string() || item.get_string().size() > chars_max) {
      wrong(Errc::invalid, key,
            "want strings of at most " + std::to_string(chars_max) + " characters");
      return {};
    }
    out.emplace_back(item.get_string().data(), item.get_string().size());
  }
  return out;
}

std::size_t JsonReader::one_of(std::string_view key, const std::string_view* names,
                               std::size_t count) {
  const std::string value = text(key, 64);
  for (std::size_t i = 0; i < count; ++i) {
    if (names[i] == value) return i;
  }
  wrong(Errc::invalid, key, "unknown value");
  return 0;
}

void JsonReader::wrong(Errc code, std::string_view key, std::string_view what) {
  if (failed_) return;
  failed_ = true;
  error_ = Error{code, where_ + std::string(key) + ": " + std::string(what)};
}

void JsonReader::wrong(const Error& error) {
  if (failed_) return;
  failed_ = true;
  error_ = error;
}

Status JsonReader::done() {
  if (!failed_) {
    for (const auto& member : object_) {
      const std::string_view key(member.key().data(), member.key().size());
      if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) {
        wrong(Errc::invalid, key.substr(0, 40), "unknown member");
        break;
      }
    }
  }
  if (failed_) return fail(error_);
  return {};
}

}  // namespace rap::routing
