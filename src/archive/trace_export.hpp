#pragma once
#include <string>
#include <string_view>

#include "archive/trace_reader.hpp"

namespace fiducial::archive {

/// Who reports.
struct AuditSource {
    std::string site;         // the institution's name
    std::string application;  // "Fiducial 0.1", an AE title
    Bytes32 log_id{};         // of the trace
};

/// Spec: PS3.15 A.5 (schema A.5.1; DICOM Instances Accessed, Query, Audit Log Used, Security Alert, DICOM Study Deleted, as the action).
/// Returns: UTF-8, without line breaks.
std::string dicom_audit_message(const ReadEntry& entry, const AuditSource& source);
/// Spec: HL7 FHIR R4 AuditEvent; codes as in dicom_audit_message.
/// Returns: one JSON object in one line.
std::string fhir_audit_event(const ReadEntry& entry, const AuditSource& source);

}  // namespace fiducial::archive
