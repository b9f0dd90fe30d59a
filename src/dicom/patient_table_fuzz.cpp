#include "dicom/attributes.hpp"
#include "dicom/patient_table.hpp"

// Any bytes: rows that come out have a file, a patient id and valid dates.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    const auto rows = dicom::read_patient_table(as_text({data, size}));
    if (!rows) return 0;
    for (const auto& row : *rows) {
        FID_INVARIANT(!row.file.empty() && !row.patient.patient_id.value.empty() && row.line > 1, "a row without what it needs");
        FID_INVARIANT(
            row.patient.birth_date.value.empty() || dicom::normalise_date(row.patient.birth_date.value) == row.patient.birth_date.value,
            "a date that is none");
    }
    return 0;
}
