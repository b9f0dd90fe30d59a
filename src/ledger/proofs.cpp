#include "ledger/proofs.hpp"

#include <algorithm>

#include "base/hex.hpp"
#include "ethereum/trie.hpp"
#include "evidence/study_record.hpp"

namespace fiducial::ledger {
namespace {

constexpr std::size_t kHeadersAtOnce = 32;
constexpr std::uint64_t kMostSearched = 10'000;

// Consecutive blocks until the first of them is settled. They begin at the first block asked for, or at a later one where a vote or
// a change of signers stands in the way: a version's slot is written once, so that any later block proves it too.
Result<std::vector<Block>> settled_span(Rpc& rpc, const ProofQuestion& question) {
    std::vector<Block> blocks;
    if (question.seals == nullptr) {
        FID_TRY(blocks, rpc.blocks(question.from_block, 1));
        if (blocks.empty()) return fail(ErrorCode::unavailable, "the chain has no block " + std::to_string(question.from_block) + " yet");
        return blocks;
    }
    std::vector<ethereum::BlockHeader> headers;
    const evidence::SignerSet* set = nullptr;
    std::optional<Hash> parent;
    auto next = question.from_block;
    while (blocks.size() < question.max_headers) {
        if (next - question.from_block > kMostSearched) {
            return fail(ErrorCode::limit_exceeded, "no " + std::to_string(kMostSearched) + " blocks from " +
                                                       std::to_string(question.from_block) + " on settle without a vote among them");
        }
        std::size_t wanted = kHeadersAtOnce;
        if (blocks.empty()) {
            set = evidence::signers_at(question.signer_sets, next);
            if (set == nullptr)
                return fail(ErrorCode::unverified,
                            "no signers are known for block " + std::to_string(next) + "; a newer trust file is needed");
            // One signer settles at once; more need at least their majority and as many again.
            wanted = set->signers.size() == 1 ? 1 : 2 * ethereum::clique_majority(set->signers.size()) + 1;
        }
        FID_TRY(auto more, rpc.blocks(next, std::min(wanted, question.max_headers - blocks.size())));
        if (more.empty()) break;
        for (auto& block : more) {
            if (parent && block.header.parent_hash != *parent) return fail(ErrorCode::unavailable, "the chain changed while it was read");
            parent = block.hash;
            next = block.number() + 1;
            const auto* here = evidence::signers_at(question.signer_sets, block.number());
            const bool fits = question.seals->may_stand_in_span(block.header);
            if (here != set || !fits) {
                blocks.clear();
                headers.clear();
                set = here;
            }
            if (!fits || here == nullptr) continue;
            headers.push_back(block.header);
            blocks.push_back(std::move(block));
        }
        if (blocks.empty()) continue;
        FID_TRY(const auto report, question.seals->check_span(headers, set->signers));
        if (const auto last = question.seals->settled_with(report, 0)) {
            blocks.resize(*last + 1);
            return blocks;
        }
    }
    if (blocks.size() >= question.max_headers)
        return fail(ErrorCode::limit_exceeded,
                    "block " + std::to_string(question.from_block) + " is not settled within the headers that a bundle may hold");
    return fail(ErrorCode::unavailable, "block " + std::to_string(question.from_block) + " is not settled yet");
}

Result<ethereum::Uint256> checked_value(const Hash& storage_root, const StorageProof& proof, const Bytes32& key) {
    if (proof.key != key) return fail(ErrorCode::unverified, "the node proves another slot than the one asked for");
    FID_TRY(const auto value, ethereum::verify_storage_proof(storage_root, key, proof.nodes));
    if (value.to_be() != proof.value) return fail(ErrorCode::unverified, "the node's proof is of another value than it says");
    return value;
}

}  // namespace

Result<ProofParts> gather_proof(Rpc& rpc, const ProofQuestion& question) {
    FID_TRY(const auto blocks, settled_span(rpc, question));
    const auto& first = blocks.front();
    const Bytes32 keys[] = {evidence::storage_key(question.slot_key, question.mapping_slot),
                            evidence::storage_key(question.next_slot_key, question.mapping_slot)};
    FID_TRY(auto proof, rpc.proof(question.contract, keys, first.number()));
    if (proof.storage.size() != 2)
        return fail(ErrorCode::unverified, "the node proves " + std::to_string(proof.storage.size()) + " slots instead of two");

    FID_TRY(const auto account, ethereum::verify_account_proof(first.header.state_root, question.contract, proof.nodes));
    if (!account)
        return fail(ErrorCode::not_found,
                    "there is no contract at " + to_0x(question.contract) + " in block " + std::to_string(first.number()));
    FID_TRY(const auto held, checked_value(account->storage_root, proof.storage[0], keys[0]));
    FID_TRY(const auto next, checked_value(account->storage_root, proof.storage[1], keys[1]));
    if (held.to_be() != question.record) {
        return fail(held.is_zero() ? ErrorCode::unavailable : ErrorCode::conflict,
                    held.is_zero() ? "block " + std::to_string(first.number()) + " does not hold the record yet"
                                   : "the slot holds another record: " + to_0x(held.to_be()));
    }
    ProofParts out;
    for (const auto& block : blocks) out.headers.push_back(block.header.encode());
    out.account_proof = std::move(proof.nodes);
    out.storage_proof = std::move(proof.storage[0].nodes);
    out.next_storage_proof = std::move(proof.storage[1].nodes);
    out.is_latest = next.is_zero();
    return out;
}

}  // namespace fiducial::ledger
