#include <algorithm>

#include "archive/access/evaluate.hpp"

namespace fiducial::archive {
namespace {

using Answer = AwayDecision::Answer;

/// Columns of the second table in docs/design/rights.md.
enum class Column { treatment, own_trace_administration, store, outsiders_grants, break_glass, needs_the_chain };

Column column_of(Operation operation, Reason reason) {
    switch (reason) {
        case Reason::staff_treatment:
        case Reason::staff_identities: return Column::treatment;
        case Reason::device_listed:
            // A modality that stores goes on storing; what a device may fetch is for treatment.
            return operation == Operation::store ? Column::store : Column::treatment;
        case Reason::institution_itself: return operation == Operation::store ? Column::store : Column::own_trace_administration;
        case Reason::staff_store:
            // A correction is a new version of what is here already; only new objects cannot wait.
            return operation == Operation::store ? Column::store : Column::treatment;
        case Reason::own_record:
        case Reason::guardianship:
        case Reason::staff_trace:
        case Reason::staff_inventory: return Column::own_trace_administration;
        case Reason::custodian: return operation == Operation::store ? Column::store : Column::own_trace_administration;
        case Reason::granted: return Column::outsiders_grants;
        case Reason::emergency_opened:
        case Reason::may_break_glass: return Column::break_glass;
        default: return Column::needs_the_chain;  // asking, and whatever comes later
    }
}

/// Whether the glass was broken by whoever asks, and is still open.
bool is_emergency(const RightsSnapshot& snapshot, const Question& question) {
    if (question.purpose != Purpose::emergency || (snapshot.subject.roles & roles::kDoctor) == 0) return false;
    return std::any_of(snapshot.patient.emergencies.begin(), snapshot.patient.emergencies.end(), [&](const EmergencyFacts& one) {
        return one.person == snapshot.subject_id && one.from <= question.at && question.at < one.until;
    });
}

AwayDecision open_here(const Verdict& decision, bool anchor_later) {
    return {Answer::allowed, decision, true, anchor_later};
}
AwayDecision closed(const Verdict& decision) {
    return {Answer::unavailable, decision, true, false};
}

}  // namespace

AwayDecision decide_while_node_away(const RightsSnapshot& last_settled, const Question& question, ConsentChange change, NodeState state) {
    const Verdict decision = evaluate(last_settled, question);
    if (state == NodeState::answering) return {decision.allowed ? Answer::allowed : Answer::denied, decision, false, false};
    if (!decision.allowed) {
        // A denial of a state a day old is still one; after that, and for what only the chain could tell, nothing is known.
        const bool standing = decision.reason == Reason::subject_inactive || decision.reason == Reason::institution_inactive ||
                              decision.reason == Reason::holder_inactive || decision.reason == Reason::locally_denied;
        if (state == NodeState::away || standing) return {Answer::denied, decision, true, false};
        return closed(decision);
    }
    if (question.operation == Operation::consent) {
        // To take away is possible at once and sent later; to give waits for the chain.
        return change == ConsentChange::revoke_or_restrict ? open_here(decision, true) : closed(decision);
    }
    switch (column_of(question.operation, decision.reason)) {
        case Column::store:
        case Column::break_glass: return open_here(decision, true);
        case Column::treatment:
            // The rule names the role first; the lists of a patient whose images are open are open, too.
            if (question.operation == Operation::identify && is_emergency(last_settled, question)) return open_here(decision, true);
            return state == NodeState::away ? open_here(decision, false) : closed(decision);
        case Column::own_trace_administration: {
            // What no ledger will speak of again, the custodian takes to a new site.
            const bool moving_out = state == NodeState::gone && decision.reason == Reason::custodian;
            return state == NodeState::away || moving_out ? open_here(decision, false) : closed(decision);
        }
        case Column::outsiders_grants:
        case Column::needs_the_chain: break;
    }
    return closed(decision);
}

}  // namespace fiducial::archive
