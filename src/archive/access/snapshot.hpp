#pragma once
#include <span>

#include "archive/access/evaluate.hpp"
#include "database/database.hpp"
#include "store/rights.hpp"

namespace fiducial::archive {

/// What `Members.subjectOf` answers, but for `institution_active`, which is another id's. Pure.
SubjectFacts subject_facts(const Bytes32& id, std::span<const store::RightsChange> changes);
/// What `Consents` holds for a patient. Pure.
PatientFacts patient_facts(std::span<const store::RightsChange> changes);

/// All that a decision depends on, as the chain stood after a block, from the table of rights. `locally_denied` is left to the caller.
/// Requires: the table is complete up to that block.
/// Errors:   corrupt; unavailable when an event up to that block could not be read.
Result<RightsSnapshot> rights_snapshot(database::Transaction& transaction, const store::Rights& rights, const Bytes32& subject,
                                       const Bytes32& holder, const Hash& patient_key, std::uint64_t block);

}  // namespace fiducial::archive
