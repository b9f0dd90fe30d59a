#include "dicom/patient_table.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "base/utf8.hpp"
#include "dicom/attributes.hpp"
#include "dicom/impl/csv_reader.hpp"
#include "dicom/impl/text.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::size_t kMaxBytes = 64u << 20;
constexpr std::size_t kMaxRows = 1'000'000;

enum class Column : std::uint8_t {
    file,
    patient_id,
    issuer,
    name,
    birth_date,
    sex,
    accession_number,
    study_description,
    study_date,
    study_time,
    study,
    laterality,
    view,
    body_part
};

constexpr std::array<std::pair<std::string_view, Column>, 15> kColumns = {{
    {"file", Column::file},
    {"patient id", Column::patient_id},
    {"issuer", Column::issuer},
    {"name", Column::name},
    {"patient name", Column::name},
    {"birth date", Column::birth_date},
    {"sex", Column::sex},
    {"accession number", Column::accession_number},
    {"study description", Column::study_description},
    {"study date", Column::study_date},
    {"study time", Column::study_time},
    {"study", Column::study},
    {"laterality", Column::laterality},
    {"view", Column::view},
    {"body part", Column::body_part},
}};

tl::unexpected<Error> at_line(std::size_t line, std::string what) {
    return fail(ErrorCode::malformed, "line " + std::to_string(line) + " of the patient table: " + std::move(what));
}

Result<std::vector<Column>> read_columns(const std::vector<std::string>& names) {
    std::vector<Column> columns;
    for (const auto& name : names) {
        std::string key = normalise_text(name);
        std::replace_if(
            key.begin(), key.end(), [](char c) { return c == '_' || c == '-'; }, ' ');
        const auto found = std::find_if(kColumns.begin(), kColumns.end(), [&](const auto& row) { return row.first == key; });
        if (found == kColumns.end()) return at_line(1, "the column \"" + key.substr(0, 40) + "\" is not known");
        if (std::find(columns.begin(), columns.end(), found->second) != columns.end())
            return at_line(1, "the column \"" + key + "\" occurs twice");
        columns.push_back(found->second);
    }
    for (const auto needed : {Column::file, Column::patient_id}) {
        if (std::find(columns.begin(), columns.end(), needed) == columns.end())
            return at_line(1, needed == Column::file ? "the column \"file\" is missing" : "the column \"patient id\" is missing");
    }
    return columns;
}

// YYYYMMDD, YYYY-MM-DD or DD.MM.YYYY.
Result<std::string> read_date(std::string_view text, std::string_view column, std::size_t line) {
    if (text.empty()) return std::string{};
    if (auto date = normalise_date(text)) return *date;
    if (text.size() == 10 && text[2] == '.' && text[5] == '.') {
        auto date = normalise_date(std::string(text.substr(6)) + std::string(text.substr(3, 2)) + std::string(text.substr(0, 2)));
        if (date) return *date;
    }
    return at_line(line, "the " + std::string(column) + " is not a date (YYYYMMDD, YYYY-MM-DD or DD.MM.YYYY)");
}

Result<void> set_field(PatientRow& row, Column column, std::string text) {
    auto& patient = row.patient;
    switch (column) {
        case Column::file:
            std::replace(text.begin(), text.end(), '\\', '/');
            row.file = std::move(text);
            break;
        case Column::patient_id: patient.patient_id.value = std::move(text); break;
        case Column::issuer: patient.issuer.value = std::move(text); break;
        case Column::name: patient.name.value = std::move(text); break;
        case Column::birth_date: {
            FID_TRY(patient.birth_date.value, read_date(text, "birth date", row.line));
            break;
        }
        case Column::sex: {
            std::string sex = normalise_text(text);
            if (sex == "m" || sex == "male")
                patient.sex = "M";
            else if (sex == "f" || sex == "female")
                patient.sex = "F";
            else if (sex == "o" || sex == "other")
                patient.sex = "O";
            else if (!sex.empty())
                return at_line(row.line, "the sex is none of M, F, O");
            break;
        }
        case Column::accession_number: patient.accession_number.value = std::move(text); break;
        case Column::study_description: patient.study_description.value = std::move(text); break;
        case Column::study_date: {
            FID_TRY(patient.study_date, read_date(text, "study date", row.line));
            break;
        }
        case Column::study_time: {
            const auto time = normalise_time(text);
            if (!text.empty() && !time) return at_line(row.line, "the study time is not a time (HHMMSS or HH:MM:SS)");
            if (time) patient.study_time = time->substr(0, 6);
            break;
        }
        case Column::study: patient.study_key = std::move(text); break;
        case Column::laterality: patient.laterality = std::move(text); break;
        case Column::view: patient.view_position = std::move(text); break;
        case Column::body_part: patient.body_part = std::move(text); break;
    }
    return {};
}

}  // namespace

Result<std::vector<PatientRow>> read_patient_table(std::string_view csv) {
    if (csv.size() > kMaxBytes) return fail(ErrorCode::limit_exceeded, "the patient table is larger than 64 MiB");
    if (csv.starts_with("\xef\xbb\xbf")) csv.remove_prefix(3);
    if (!is_utf8(csv)) return fail(ErrorCode::malformed, "the patient table is not UTF-8");
    impl::CsvReader reader(csv, "the patient table");
    if (reader.at_end()) return at_line(1, "it is empty");
    FID_TRY(const auto names, reader.record());
    FID_TRY(const auto columns, read_columns(names));
    std::vector<PatientRow> rows;
    for (reader.next_line(); !reader.at_end(); reader.next_line()) {
        const auto line = reader.line();
        FID_TRY(auto fields, reader.record());
        if (fields.size() == 1 && fields[0].empty()) continue;
        if (fields.size() != columns.size())
            return at_line(line, std::to_string(fields.size()) + " fields instead of " + std::to_string(columns.size()));
        if (rows.size() >= kMaxRows) return fail(ErrorCode::limit_exceeded, "the patient table has more than 1,000,000 rows");
        PatientRow row;
        row.line = line;
        for (std::size_t i = 0; i < columns.size(); ++i) FID_CHECK(set_field(row, columns[i], std::string(impl::trim(fields[i]))));
        if (row.file.empty()) return at_line(line, "no file is named");
        if (row.patient.patient_id.value.empty()) return at_line(line, "no patient id is given");
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace fiducial::dicom
