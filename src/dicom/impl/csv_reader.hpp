#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace fiducial::dicom::impl {

/// Takes records of fields out of RFC 4180 text. The separator is a tab, a semicolon or a comma, whichever the first line has.
/// Requires: text and subject outlive it. Errors: malformed, with "line N of " and the subject: more than 100 fields, one of more than
/// 1 KiB, quotation marks that do not fit.
class CsvReader {
public:
    CsvReader(std::string_view text, std::string_view subject);
    bool at_end() const { return at_ >= text_.size(); }
    std::size_t line() const { return line_; }
    Result<std::vector<std::string>> record();
    void next_line() { ++line_; }

private:
    bool ends_field(char c) const { return c == separator_ || c == '\n' || c == '\r'; }
    Result<std::string> field();
    Result<std::string> quoted();
    tl::unexpected<Error> at_line(std::size_t line, std::string what) const;

    std::string_view text_, subject_;
    char separator_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
};

}  // namespace fiducial::dicom::impl
