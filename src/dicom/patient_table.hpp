#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "dicom/image_import.hpp"

namespace fiducial::dicom {

struct PatientRow {
    std::string file;  // relative to the table's folder, '/' or '\' between components turned to '/'
    ImportedPatient patient;
    std::size_t line = 0;
};

/// Reads a table that says whose images are whose. First line: column names, in any order and case; "file" and "patient id"
/// are needed, known besides: issuer, name, birth date, sex, accession number, study description, study date, study time,
/// study, laterality, view, body part. '_' and '-' count as spaces. Unknown columns are refused by name.
/// Spec: RFC 4180, with comma, semicolon or tab (whichever the first line has), UTF-8 with or without byte order mark.
/// Dates YYYYMMDD, YYYY-MM-DD or DD.MM.YYYY; sex M, F, O, or empty.
/// Errors: malformed, naming the line; limit_exceeded beyond 64 MiB or 1,000,000 rows.
Result<std::vector<PatientRow>> read_patient_table(std::string_view csv);

}  // namespace fiducial::dicom
