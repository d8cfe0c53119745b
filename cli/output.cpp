#include "cli/output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cwchar>
#include <optional>
#include <string_view>

#include <boost/json.hpp>

namespace rap::cli {
namespace {

namespace json = boost::json;

// Bytes of the UTF-8 character at the start of `text`; 0: it is none.
std::size_t character_size(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  std::size_t size = 0;
  if (lead < 0x80) size = 1;
  if (lead >= 0xc2 && lead < 0xe0) size = 2;
  if (lead >= 0xe0 && lead < 0xf0) size = 3;
  if (lead >= 0xf0 && lead < 0xf5) size = 4;
  if (size == 0 || size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  if ((lead == 0xe0 && at(1) < 0xa0) || (lead == 0xf0 && at(1) < 0x90)) return 0;  // overlong
  return size;
}

bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

enum class Lines { join, keep };

std::string safe(std::string_view text, Lines lines) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(size, 1));
    if (size == 0) {
      out += '?';
    } else if (is_control(character) && !(lines == Lines::keep && character == "\n")) {
      out += ' ';
    } else {
      out += character;
    }
    text.remove_prefix(character.size());
  }
  return out;
}

// JSON escapes C0 by itself.
std::string json_text(const json::value& value) {
  const std::string text = json::serialize(value);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte == 0x7f) {
      out += "\\u007f";
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      out += fmt::format("\\u{:04x}", next);
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string text_of(const json::value& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) {
    return value.get_string().empty() ? "-" : printable(std::string_view(value.get_string()));
  }
  if (value.is_bool()) return value.get_bool() ? "yes" : "no";
  if (value.is_array()) {
    std::string out;
    for (const auto& item : value.get_array()) {
      if (!out.empty()) out += ",";
      const json::object* named = item.if_object();
      out += named && named->contains("name") ? text_of(named->at("name")) : text_of(item);
    }
    return out.empty() ? "-" : out;
  }
  return printable(json::serialize(value));
}

// Green: works. Yellow: on the way, or nobody is there. Red: does not work.
const char* color_of(const std::string& word) {
  static constexpr std::string_view kGood[] = {"active", "online", "running", "approved", "ready"};
  static constexpr std::string_view kWaiting[] = {"pending",  "opening",  "detached", "closing",
                                                  "degraded", "disabled", "starting"};
  static constexpr std::string_view kBad[] = {"failed", "revoked", "rejected", "offline"};
  const auto in = [&](const auto& list) {
    return std::find(std::begin(list), std::end(list), word) != std::end(list);
  };
  if (in(kGood)) return "\033[32m";
  if (in(kWaiting)) return "\033[33m";
  if (in(kBad)) return "\033[31m";
  return nullptr;
}

std::string colored(const std::string& text) {
  const char* color = color_of(text);
  return color ? color + text + "\033[0m" : text;
}

std::string pretty(const json::value& value, int depth = 0) {
  const std::string indent(static_cast<std::size_t>(depth + 1) * 2, ' ');
  const std::string end_indent(static_cast<std::size_t>(depth) * 2, ' ');
  std::string out;
  if (const json::object* object = value.if_object(); object && !object->empty()) {
    for (const auto& member : *object) {
      out += (out.empty() ? "{\n" : ",\n") + indent + json_text(json::string(member.key())) + ": " +
             pretty(member.value(), depth + 1);
    }
    return out + "\n" + end_indent + "}";
  }
  if (const json::array* array = value.if_array(); array && !array->empty()) {
    for (const auto& item : *array) {
      out += (out.empty() ? "[\n" : ",\n") + indent + pretty(item, depth + 1);
    }
    return out + "\n" + end_indent + "]";
  }
  return json_text(value);
}

std::string pad(const std::string& text, std::size_t width) {
  const std::size_t now = display_width(text);
  return now < width ? std::string(width - now, ' ') : std::string();
}

}  // namespace

std::string printable(std::string_view text) {
  return safe(text, Lines::join);
}

std::string printable_lines(std::string_view text) {
  return safe(text, Lines::keep);
}

std::size_t display_width(const std::string& text) {
  std::size_t width = 0;
  std::mbstate_t state{};
  for (std::size_t at = 0; at < text.size();) {
    wchar_t c = 0;
    const std::size_t used = std::mbrtowc(&c, text.data() + at, text.size() - at, &state);
    if (used == static_cast<std::size_t>(-1) || used == static_cast<std::size_t>(-2) || used == 0) {
      state = {};
      ++at;
      ++width;
      continue;
    }
    at += used;
    width += static_cast<std::size_t>(std::max(0, ::wcwidth(c)));
  }
  return width;
}

std::string text_at(const json::value& value, const std::string& path) {
  const json::value* at = &value;
  for (std::size_t from = 0; from <= path.size();) {
    const std::size_t dot = std::min(path.find('.', from), path.size());
    const json::object* object = at->if_object();
    at = object ? object->if_contains(std::string_view(path).substr(from, dot - from)) : nullptr;
    if (!at) return "-";
    from = dot + 1;
  }
  return text_of(*at);
}

std::string render_list(const json::array& items, const std::vector<Column>& columns,
                        const OutputStyle& style) {
  if (style.format == Format::json) return pretty(items) + "\n";
  std::vector<std::vector<std::string>> rows(1);
  for (const Column& column : columns) rows[0].push_back(column.title);
  for (const auto& item : items) {
    auto& row = rows.emplace_back();
    for (const Column& column : columns) row.push_back(text_at(item, column.path));
  }
  const bool table = style.terminal || style.format == Format::table;
  if (table && items.empty()) return "(none)\n";
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(row[i]));
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string& text = rows[r][i];
      const bool last = i + 1 == columns.size();
      if (!table) {
        out += text + (last ? "" : "\t");
        continue;
      }
      if (!style.terminal) {
        out += text;
      } else {
        out += r == 0 ? "\033[1m" + text + "\033[0m" : colored(text);
      }
      if (!last) out += pad(text, widths[i]) + "  ";
    }
    out += "\n";
  }
  return out;
}

std::string render_one(const json::value& item, const std::vector<Column>& columns,
                       const OutputStyle& style) {
  if (style.format == Format::json) return pretty(item) + "\n";
  std::size_t width = 0;
  for (const Column& column : columns) width = std::max(width, display_width(column.title));
  std::string out;
  for (const Column& column : columns) {
    const std::string text = text_at(item, column.path);
    out += column.title + ":" + pad(column.title, width) + " " +
           (style.terminal ? colored(text) : text) + "\n";
  }
  return out;
}

}  // namespace rap::cli
