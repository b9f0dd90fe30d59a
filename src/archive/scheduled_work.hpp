#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/access.hpp"
#include "archive/exams.hpp"
#include "archive/retrieve.hpp"
#include "archive/worklist.hpp"
#include "store/store.hpp"
#include "store/worklist.hpp"

namespace fiducial::archive {

/// The worklist of a site. Requires: what is referred to outlives it. `permit`: decides on nothing in particular, and traces a denial.
class ScheduledWork final : public Worklist {
public:
    using Permit = std::function<Result<Decision>(const Requester& who, Operation operation)>;
    ScheduledWork(store::Store& store, Access& access, Tracer& tracer, Exams& exams, Permit permit)
        : store_(store), access_(access), tracer_(tracer), exams_(exams), permit_(std::move(permit)), rows_(store.keyring()) {}

    Result<std::vector<WorklistEntry>> find(const Requester& who, const dicom::WorklistCriteria& criteria, bool only_open) override;
    Result<ScheduleOutcome> schedule(const Requester& who, std::vector<dicom::Attributes> entries, std::string_view source) override;
    Result<std::uint64_t> cancel(const Requester& who, std::string_view accession_number, std::string_view step_id) override;
    Result<void> begin_performed(const Requester& who, const PerformedReport& report) override;
    Result<void> change_performed(const Requester& who, const PerformedReport& report) override;

    /// Forgets what began so many days ago, and what modalities said and did not change since. Returns: how many rows.
    Result<std::uint64_t> forget(std::chrono::days after);

private:
    struct Patient;
    Result<Patient> patient_of(const Requester& who, const Decision& in_general, const dicom::Attributes& entry);
    Result<void> permit_change(const Requester& who);
    Result<void> complete(database::Transaction& transaction, dicom::Attributes& entry) const;
    Result<void> schedule_one(database::Transaction& transaction, dicom::Attributes entry, std::string_view source,
                              ScheduleOutcome& outcome);
    Result<void> move_entries(database::Transaction& transaction, const std::string& document, store::StepState state);

    store::Store& store_;
    Access& access_;
    Tracer& tracer_;
    Exams& exams_;
    const Permit permit_;
    store::Worklist rows_;
};

}  // namespace fiducial::archive
