#include "archive/people_on_ledger.hpp"

#include "ledger/contracts.hpp"

namespace fiducial::archive {

Result<std::uint64_t> register_person(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator, const Bytes32& person, std::uint32_t roles) {
    ledger::contracts::DirectTransaction transaction;
    transaction.chain_id = facts.chain_id;
    transaction.to = facts.members;
    transaction.data = ledger::contracts::register_person_call(person, facts.institution, {}, roles, ledger::contracts::Custody::kept);
    auto sent = ledger::contracts::send_and_wait(rpc, administrator, transaction);
    if (!sent && sent.error().code == ErrorCode::invalid_argument) return fail(ErrorCode::denied, "the ledger refused it: " + sent.error().message);
    if (!sent) return fail(sent.error());
    return sent->block_number;
}

}  // namespace fiducial::archive
