#include "archive/members_on_ledger.hpp"

#include "ethereum/abi.hpp"
#include "ledger/contracts.hpp"

namespace fiducial::archive {

namespace {

Result<std::uint64_t> send(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator, Bytes call) {
    ledger::contracts::DirectTransaction transaction;
    transaction.chain_id = facts.chain_id;
    transaction.to = facts.members;
    transaction.data = std::move(call);
    auto sent = ledger::contracts::send_and_wait(rpc, administrator, transaction);
    if (!sent && sent.error().code == ErrorCode::invalid_argument)
        return fail(ErrorCode::denied, "the ledger refused it: " + sent.error().message);
    if (!sent) return fail(sent.error());
    return sent->block_number;
}

}  // namespace

Result<std::uint64_t> register_person(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator, const Bytes32& person,
                                      std::uint32_t roles, const Address& account) {
    return send(rpc, facts, administrator,
                ledger::contracts::register_person_call(person, facts.institution, account, roles, ledger::contracts::Custody::kept));
}

Result<std::uint64_t> set_person_active(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator,
                                        const Bytes32& person, bool active) {
    return send(rpc, facts, administrator, ledger::contracts::set_person_active_call(person, active));
}

Result<std::uint64_t> set_wallet(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator, const Bytes32& person,
                                 const Address& wallet) {
    return send(rpc, facts, administrator, ledger::contracts::recover_account_call(person, wallet, ledger::contracts::Custody::wallet));
}

Result<Bytes32> person_at(ledger::Rpc& rpc, const SiteFacts& facts, const Address& account) {
    const ledger::CallRequest request{
        facts.members, ethereum::AbiWriter().bytes32(facts.institution).address(account).call("personAt(bytes32,address)"), std::nullopt};
    FID_TRY(const auto answer, rpc.call(request));
    if (answer.reverted) return fail(ErrorCode::malformed, "Members does not say whose an account is");
    return ethereum::AbiReader(answer.data).bytes32("personAt");
}

Result<std::uint64_t> register_device(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator, const Bytes32& device,
                                      std::uint32_t operations) {
    return send(rpc, facts, administrator, ledger::contracts::register_device_call(device, facts.institution, operations, {}));
}

Result<std::uint64_t> remove_device(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator, const Bytes32& device) {
    return send(rpc, facts, administrator, ledger::contracts::remove_device_call(device));
}

}  // namespace fiducial::archive
