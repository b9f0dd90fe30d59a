#pragma once
#include "archive/site.hpp"
#include "ledger/rpc.hpp"

namespace fiducial::archive {

/// Registers a person in `Members` by an administrator's account, and waits until it is in a block.
/// `account`: whose key the site keeps for this person; zeros: none. Returns: the block.
/// Errors: denied when the administrator may not (with the contract's reason); unavailable; timeout.
Result<std::uint64_t> register_person(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator, const Bytes32& person,
                                      std::uint32_t roles, const Address& account = {});
/// Takes a person's rights away, or gives them back. Errors: as register_person.
Result<std::uint64_t> set_person_active(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator,
                                        const Bytes32& person, bool active);

/// Puts a wallet in the place of the account that the site keeps for a person. Where the contract gives the wallet seven days, it is only
/// proposed. Errors: as register_person.
Result<std::uint64_t> set_wallet(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator, const Bytes32& person,
                                 const Address& wallet);
/// Whose account this is at our institution, by the newest block. Zeros: nobody's. Errors: unavailable; malformed.
Result<Bytes32> person_at(ledger::Rpc& rpc, const SiteFacts& facts, const Address& account);

/// `operations`: bit n for Operation n. Errors: as register_person.
Result<std::uint64_t> register_device(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator, const Bytes32& device,
                                      std::uint32_t operations);
/// For ever. Errors: as register_person.
Result<std::uint64_t> remove_device(ledger::Rpc& rpc, const SiteFacts& facts, const crypto::Secret& administrator, const Bytes32& device);

}  // namespace fiducial::archive
