#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "ethereum/clique.hpp"
#include "evidence/trust_file.hpp"
#include "ledger/rpc.hpp"

namespace fiducial::ledger {

/// What to prove: that a version's slot holds a record, and what the next version's slot holds.
struct ProofQuestion {
    Address contract{};
    std::uint64_t mapping_slot = 0;
    Hash slot_key{};       // of version v
    Hash next_slot_key{};  // of version v + 1
    Hash record{};         // what slot v must hold
    std::uint64_t from_block =
        0;  // at or after the anchor's; the first header is of this block, or of the first later one without votes in the way
    const ethereum::SealRules* seals = nullptr;  // none: a development chain, one header
    std::span<const evidence::SignerSet> signer_sets;
    std::uint64_t max_headers = 512;
};

/// The chain's part of an evidence bundle.
struct ProofParts {
    std::vector<Bytes> headers;        // raw RLP, consecutive, until the rule of seals and depth is met
    std::vector<Bytes> account_proof;  // these three against the first header
    std::vector<Bytes> storage_proof;
    std::vector<Bytes> next_storage_proof;
    bool is_latest = false;  // slot v + 1 is empty at the first header
};

/// Asks the node for it, and checks all of it before returning: headers by hash, seals, and proofs against the state root.
/// Errors: unavailable when the chain has not yet grown far enough (or the node is away); conflict when the slot does not
///         hold the record; unverified when what the node says does not prove what it claims.
Result<ProofParts> gather_proof(Rpc& rpc, const ProofQuestion& question);

}  // namespace fiducial::ledger
