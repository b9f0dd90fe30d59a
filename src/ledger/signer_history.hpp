#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ethereum/clique.hpp"
#include "evidence/trust_file.hpp"
#include "ledger/rpc.hpp"

namespace fiducial::ledger {

/// What is known of a Clique chain beforehand: from genesis hash and trust file.
struct KnownSigners {
    Hash genesis_hash{};
    ethereum::CliqueConfig clique;
    std::span<const evidence::SignerSet> sets;  // as a trust file lists them
};

/// The signers after block `until`, followed by their votes (EIP-225) from the newest checkpoint at or before `from` that genesis hash
/// or trust file vouch for. Each block is checked: that it follows the one before it, seal, turn, vote.
/// `each`: before a block is applied, its number and the signers who may seal it; false ends the reading (cancelled).
/// Errors: unverified when a block breaks a rule, or nothing vouches for the chain's start; unavailable when the node has no such block;
///         cancelled.
using EachBlock = std::function<bool(std::uint64_t number, std::span<const Address> signers)>;
Result<ethereum::CliqueSnapshot> follow_votes(Rpc& rpc, const KnownSigners& known, std::uint64_t from, std::uint64_t until,
                                              const EachBlock& each = {});

/// The sets of signers from the known ones up to block `until`: the last known one ends where the votes ended it, and those that followed.
/// Requires: known.sets is not empty; `until` is settled and has the hash `until_hash`.
/// Units:    reads each header from the last known set's first block on: some thousand a second.
/// Errors:   those of follow_votes; unverified when the votes contradict a known set.
Result<std::vector<evidence::SignerSet>> follow_signer_sets(Rpc& rpc, const KnownSigners& known, std::uint64_t until,
                                                            const Hash& until_hash, const EachBlock& each = {});

/// Whether two lists say the same of every block up to `until` that both speak of.
/// Errors: unverified, naming the first block of which they say different things.
Result<void> check_same_signers(std::span<const evidence::SignerSet> ours, std::span<const evidence::SignerSet> theirs,
                                std::uint64_t until);

}  // namespace fiducial::ledger
