#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "archive/requester.hpp"
#include "base/result.hpp"
#include "dicom/attributes.hpp"
#include "dicom/worklist.hpp"

namespace fiducial::archive {

/// An entry as it is shown.
struct WorklistEntry {
    dicom::Attributes attributes;  // flat; Scheduled Procedure Step Status says SCHEDULED or STARTED while it is open
    std::string state;             // store::StepState, as a word
    std::string source;            // that it came from
};

/// Entries added, changed, and those that were the same already.
struct ScheduleOutcome {
    std::uint64_t added = 0, changed = 0, same = 0;
};

/// What a modality says of a step that it performs.
struct PerformedReport {
    std::string sop_uid;
    std::string document;  // a DICOM JSON object
};

/// What is to be done at the modalities, and what they say that they did.
/// Blocking; threads: safe. What changes something is durable when it returns.
class Worklist {
public:
    virtual ~Worklist() = default;

    /// The open entries, or all, that fit, by their start. Each patient whose entries are shown is decided and traced, durably before this
    /// returns: what may not be known is not in the list.
    /// Errors: denied; limit_exceeded: more than dicom::kMostWorklistEntries start in the range asked for.
    virtual Result<std::vector<WorklistEntry>> find(const Requester& who, const dicom::WorklistCriteria& criteria, bool only_open) = 0;

    /// Adds entries, or changes those with the same accession number and step. All of them or, after an error, none. What an entry may
    /// leave out is made here: step and requested procedure are those of the accession number, the study gets a UID. Who may: whoever may
    /// store; with purpose *administration* whoever may identify. Errors: denied; invalid_argument; conflict: the step was begun already.
    virtual Result<ScheduleOutcome> schedule(const Requester& who, std::vector<dicom::Attributes> entries, std::string_view source) = 0;

    /// Takes a step off the list, or without a step all of the order's. What is cancelled already stays so.
    /// Who may: as schedule(). Errors: denied; not_found; conflict: one was begun already.
    virtual Result<std::uint64_t> cancel(const Requester& who, std::string_view accession_number, std::string_view step_id) = 0;

    /// A step is begun. Spec: PS3.4 §F.7.2.1, table F.7.2-1. Who may, here and below: whoever may store.
    /// Errors: denied; conflict: there is one of this UID already; malformed: an attribute is missing; invalid_argument: one's value.
    virtual Result<void> begin_performed(const Requester& who, const PerformedReport& report) = 0;
    /// More is said of a step, and perhaps that it is over: its entries leave the list, and exams that are complete here get their record.
    /// Spec: PS3.4 §F.7.2.2. Errors: denied; not_found; conflict: it is over already; malformed, invalid_argument: as begin_performed().
    virtual Result<void> change_performed(const Requester& who, const PerformedReport& report) = 0;
};

}  // namespace fiducial::archive
