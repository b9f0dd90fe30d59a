#include "dicom/attributes.hpp"

#include <algorithm>
#include <array>

namespace fiducial::dicom {
namespace {

using enum QueryLevel;
using M = Matching;

// tag, keyword, VR, level, matching, multiple, required key, in Request Attributes Sequence
constexpr std::array kQueryAttributes = {
    QueryAttribute{0x00100010, "PatientName", "PN", patient, M::person_name, false, true, false},
    QueryAttribute{0x00100020, "PatientID", "LO", patient, M::exact, false, true, false},
    QueryAttribute{0x00100021, "IssuerOfPatientID", "LO", patient, M::exact, false, false, false},
    QueryAttribute{0x00100030, "PatientBirthDate", "DA", patient, M::date, false, false, false},
    QueryAttribute{0x00100032, "PatientBirthTime", "TM", patient, M::time, false, false, false},
    QueryAttribute{0x00100040, "PatientSex", "CS", patient, M::exact, false, false, false},
    QueryAttribute{0x00101001, "OtherPatientNames", "PN", patient, M::person_name, true, false, false},
    QueryAttribute{0x00102160, "EthnicGroup", "SH", patient, M::text, false, false, false},
    QueryAttribute{0x00104000, "PatientComments", "LT", patient, M::text, false, false, false},

    QueryAttribute{0x00080020, "StudyDate", "DA", study, M::date, false, true, false},
    QueryAttribute{0x00080030, "StudyTime", "TM", study, M::time, false, true, false},
    QueryAttribute{0x00080050, "AccessionNumber", "SH", study, M::exact, false, true, false},
    QueryAttribute{0x00080090, "ReferringPhysicianName", "PN", study, M::person_name, false, true, false},
    QueryAttribute{0x00080201, "TimezoneOffsetFromUTC", "SH", study, M::exact, false, false, false},
    QueryAttribute{0x00081030, "StudyDescription", "LO", study, M::text, false, false, false},
    QueryAttribute{0x00081048, "PhysiciansOfRecord", "PN", study, M::person_name, true, false, false},
    QueryAttribute{0x00081060, "NameOfPhysiciansReadingStudy", "PN", study, M::person_name, true, false, false},
    QueryAttribute{0x00081080, "AdmittingDiagnosesDescription", "LO", study, M::text, true, false, false},
    QueryAttribute{0x00101010, "PatientAge", "AS", study, M::exact, false, false, false},
    QueryAttribute{0x00101020, "PatientSize", "DS", study, M::exact, false, false, false},
    QueryAttribute{0x00101030, "PatientWeight", "DS", study, M::exact, false, false, false},
    QueryAttribute{0x00102180, "Occupation", "SH", study, M::text, false, false, false},
    QueryAttribute{0x001021b0, "AdditionalPatientHistory", "LT", study, M::text, false, false, false},
    QueryAttribute{0x0020000d, "StudyInstanceUID", "UI", study, M::uid, false, true, false},
    QueryAttribute{0x00200010, "StudyID", "SH", study, M::exact, false, true, false},

    QueryAttribute{0x00080021, "SeriesDate", "DA", series, M::date, false, false, false},
    QueryAttribute{0x00080031, "SeriesTime", "TM", series, M::time, false, false, false},
    QueryAttribute{0x00080060, "Modality", "CS", series, M::exact, false, true, false},
    QueryAttribute{0x00080070, "Manufacturer", "LO", series, M::text, false, false, false},
    QueryAttribute{0x00080080, "InstitutionName", "LO", series, M::text, false, false, false},
    QueryAttribute{0x00081010, "StationName", "SH", series, M::text, false, false, false},
    QueryAttribute{0x0008103e, "SeriesDescription", "LO", series, M::text, false, false, false},
    QueryAttribute{0x00081040, "InstitutionalDepartmentName", "LO", series, M::text, false, false, false},
    QueryAttribute{0x00081050, "PerformingPhysicianName", "PN", series, M::person_name, true, false, false},
    QueryAttribute{0x00081070, "OperatorsName", "PN", series, M::person_name, true, false, false},
    QueryAttribute{0x00081090, "ManufacturerModelName", "LO", series, M::text, false, false, false},
    QueryAttribute{0x00180015, "BodyPartExamined", "CS", series, M::exact, false, false, false},
    QueryAttribute{0x00181030, "ProtocolName", "LO", series, M::text, false, false, false},
    QueryAttribute{0x0020000e, "SeriesInstanceUID", "UI", series, M::uid, false, true, false},
    QueryAttribute{0x00200011, "SeriesNumber", "IS", series, M::number, false, true, false},
    QueryAttribute{0x00200052, "FrameOfReferenceUID", "UI", series, M::uid, false, false, false},
    QueryAttribute{0x00200060, "Laterality", "CS", series, M::exact, false, false, false},
    QueryAttribute{0x00400009, "ScheduledProcedureStepID", "SH", series, M::exact, false, true, true},
    QueryAttribute{0x00400244, "PerformedProcedureStepStartDate", "DA", series, M::date, false, true, false},
    QueryAttribute{0x00400245, "PerformedProcedureStepStartTime", "TM", series, M::time, false, true, false},
    QueryAttribute{0x00401001, "RequestedProcedureID", "SH", series, M::exact, false, true, true},

    QueryAttribute{0x00080008, "ImageType", "CS", instance, M::exact, true, false, false},
    QueryAttribute{0x00080016, "SOPClassUID", "UI", instance, M::uid, false, true, false},
    QueryAttribute{0x00080018, "SOPInstanceUID", "UI", instance, M::uid, false, true, false},
    QueryAttribute{0x00080022, "AcquisitionDate", "DA", instance, M::date, false, false, false},
    QueryAttribute{0x00080023, "ContentDate", "DA", instance, M::date, false, false, false},
    QueryAttribute{0x00080032, "AcquisitionTime", "TM", instance, M::time, false, false, false},
    QueryAttribute{0x00080033, "ContentTime", "TM", instance, M::time, false, false, false},
    QueryAttribute{0x00185101, "ViewPosition", "CS", instance, M::exact, false, false, false},
    QueryAttribute{0x00200012, "AcquisitionNumber", "IS", instance, M::number, false, false, false},
    QueryAttribute{0x00200013, "InstanceNumber", "IS", instance, M::number, false, true, false},
    QueryAttribute{0x00200062, "ImageLaterality", "CS", instance, M::exact, false, false, false},
    QueryAttribute{0x00280002, "SamplesPerPixel", "US", instance, M::number, false, false, false},
    QueryAttribute{0x00280004, "PhotometricInterpretation", "CS", instance, M::exact, false, false, false},
    QueryAttribute{0x00280008, "NumberOfFrames", "IS", instance, M::number, false, false, false},
    QueryAttribute{0x00280010, "Rows", "US", instance, M::number, false, false, false},
    QueryAttribute{0x00280011, "Columns", "US", instance, M::number, false, false, false},
    QueryAttribute{0x00280100, "BitsAllocated", "US", instance, M::number, false, false, false},
    QueryAttribute{0x00280301, "BurnedInAnnotation", "CS", instance, M::exact, false, false, false},
    QueryAttribute{0x0040a491, "CompletionFlag", "CS", instance, M::exact, false, false, false},
    QueryAttribute{0x0040a493, "VerificationFlag", "CS", instance, M::exact, false, false, false},
};

}  // namespace

std::span<const std::string> Attributes::all(Tag tag) const {
    const auto found = values_.find(tag);
    if (found == values_.end()) return {};
    return found->second;
}

const std::string& Attributes::first(Tag tag) const {
    static const std::string kEmpty;
    const auto values = all(tag);
    return values.empty() ? kEmpty : values.front();
}

std::string Attributes::joined(Tag tag) const {
    std::string out;
    bool later = false;
    for (const auto& value : all(tag)) {
        if (later) out += '\\';
        out += value;
        later = true;
    }
    return out;
}

std::span<const QueryAttribute> query_attributes() {
    return kQueryAttributes;
}

const QueryAttribute* find_query_attribute(Tag tag) {
    const auto found =
        std::find_if(kQueryAttributes.begin(), kQueryAttributes.end(), [tag](const QueryAttribute& row) { return row.tag == tag; });
    return found == kQueryAttributes.end() ? nullptr : &*found;
}

}  // namespace fiducial::dicom
