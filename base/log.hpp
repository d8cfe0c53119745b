// Log lines: a constant sentence, data in fields. One JSON object a line on standard error.
// Field names come from the list in docs/logging.md. No secrets, no payloads.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace rap::log {

enum class Level { debug, info, warn, error };

using Value = std::variant<std::string, std::int64_t, bool, double>;

struct Field {
  std::string_view name;
  Value value;

  Field(std::string_view field_name, std::string text) : name(field_name), value(std::move(text)) {}
  Field(std::string_view field_name, std::string_view text)
      : name(field_name), value(std::string(text)) {}
  Field(std::string_view field_name, const char* text)
      : name(field_name), value(std::string(text)) {}
  Field(std::string_view field_name, bool flag) : name(field_name), value(flag) {}
  Field(std::string_view field_name, double number) : name(field_name), value(number) {}
  template <typename T>
  requires std::integral<T> &&(!std::same_as<T, bool>)Field(std::string_view field_name, T number)
      : name(field_name), value(static_cast<std::int64_t>(number)) {}
};

// Call once in main, before threads. `program` goes into every line as "program".
void init(std::string_view program, Level least);
// Any thread, at any time.
void set_level(Level least);
// "debug", "info", "warn", "error"; info for anything else.
Level level_from_name(std::string_view name);

// One write(2) per line, so lines of several threads and processes do not mix.
void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void debug(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::debug, message, fields);
}
inline void info(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::info, message, fields);
}
inline void warn(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::warn, message, fields);
}
inline void error(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::error, message, fields);
}

}  // namespace rap::log
