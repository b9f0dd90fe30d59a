#pragma once
#include <string>
#include <string_view>

namespace fiducial {

/// Text as it stands in HTML, between tags or in an attribute's quotes.
std::string escape_html(std::string_view text);
/// A cell of a table of comma-separated values, in quotes. Spec: RFC 4180
/// Security: what a spreadsheet would take for a formula begins with an apostrophe, so that nobody's name is computed.
std::string csv_cell(std::string_view text);

}  // namespace fiducial
