// What commands print: tables for people, plain lines for pipes, JSON for programs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

namespace rap::cli {

enum class Format { automatic, table, json };

// "target.host" looks into objects. Absent and null show as "-".
struct Column {
  std::string title;
  std::string path;
};

struct OutputStyle {
  Format format = Format::automatic;
  bool terminal = false;  // standard output is one: aligned columns and colours
};

// One row per item. On a terminal aligned, with states in colour; otherwise tab-separated with the
// titles in the first line. Control characters of values never reach the terminal.
std::string render_list(const boost::json::array& items, const std::vector<Column>& columns,
                        const OutputStyle& style);
// "Title: value" lines.
std::string render_one(const boost::json::value& item, const std::vector<Column>& columns,
                       const OutputStyle& style);

// What a text of others may be on a terminal: control characters (C0, DEL, C1) become spaces, bytes
// that are no UTF-8 a '?'. The second keeps line ends.
std::string printable(std::string_view text);
std::string printable_lines(std::string_view text);

// Text of the value at `path`; "-" when there is none.
std::string text_at(const boost::json::value& value, const std::string& path);

// Columns that a UTF-8 text takes on a terminal.
std::size_t display_width(const std::string& text);

}  // namespace rap::cli
