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

/// What the chain told of, and behind it what was decided here and it has not told of yet, as far as that counts at once: what takes away,
/// and emergencies. Grants and the lifting of a restriction wait for the chain. Pure.
std::vector<store::RightsChange> with_local_changes(std::vector<store::RightsChange> told, std::span<const store::RightsChange> waiting);

/// All that a decision depends on, as the chain stood after a block, from the table of rights, with what waits here about the patient.
/// `locally_denied` is left to the caller.
/// Requires: the table is complete up to that block.
/// Errors:   corrupt; unavailable when an event up to that block could not be read.
Result<RightsSnapshot> rights_snapshot(database::Transaction& transaction, const store::Rights& rights, const Bytes32& subject,
                                       const Bytes32& holder, const Hash& patient_key, std::uint64_t block,
                                       std::span<const store::RightsChange> waiting = {});

}  // namespace fiducial::archive
