#include "dicom/impl/csv_reader.hpp"

namespace fiducial::dicom::impl {
namespace {

constexpr std::size_t kMaxFields = 100;
constexpr std::size_t kMaxField = 1024;

char separator_of(std::string_view text) {
    const auto line = text.substr(0, text.find_first_of("\r\n"));
    for (const char c : {'\t', ';', ','}) {
        if (line.find(c) != std::string_view::npos) return c;
    }
    return ',';
}

}  // namespace

CsvReader::CsvReader(std::string_view text, std::string_view subject) : text_(text), subject_(subject), separator_(separator_of(text)) {}

tl::unexpected<Error> CsvReader::at_line(std::size_t line, std::string what) const {
    return fail(ErrorCode::malformed, "line " + std::to_string(line) + " of " + std::string(subject_) + ": " + std::move(what));
}

Result<std::vector<std::string>> CsvReader::record() {
    std::vector<std::string> fields;
    for (;;) {
        FID_TRY(auto text, field());
        fields.push_back(std::move(text));
        if (fields.size() > kMaxFields) return at_line(line_, "more than 100 fields");
        if (at_end()) return fields;
        const char c = text_[at_++];
        if (c == separator_) continue;
        if (c == '\r' && !at_end() && text_[at_] == '\n') ++at_;
        return fields;
    }
}

Result<std::string> CsvReader::field() {
    std::string out;
    if (!at_end() && text_[at_] == '"') {
        FID_TRY(out, quoted());
    } else {
        while (!at_end() && !ends_field(text_[at_])) {
            if (text_[at_] == '"') return at_line(line_, "a quotation mark inside a field without quotation marks");
            out += text_[at_++];
        }
    }
    if (out.size() > kMaxField) return at_line(line_, "a field longer than " + std::to_string(kMaxField) + " bytes");
    return out;
}

Result<std::string> CsvReader::quoted() {
    const auto opened = line_;
    std::string out;
    for (++at_; !at_end(); ++at_) {
        const char c = text_[at_];
        if (c == '\n') ++line_;
        if (c != '"') {
            out += c;
        } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
            out += '"';
            ++at_;
        } else {
            ++at_;
            if (!at_end() && !ends_field(text_[at_])) return at_line(line_, "something follows a closing quotation mark");
            return out;
        }
    }
    return at_line(opened, "a quotation mark is not closed");
}

}  // namespace fiducial::dicom::impl
