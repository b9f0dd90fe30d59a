#include "ledger/signer_history.hpp"

#include <algorithm>

#include "base/hex.hpp"

namespace fiducial::ledger {
namespace {

constexpr std::uint64_t kHeadersAtOnce = 100;

Result<std::optional<ethereum::CliqueSnapshot>> checkpoint_vouched_for(Rpc& rpc, const KnownSigners& known, std::uint64_t number) {
    FID_TRY(const auto block, rpc.block(number));
    if (!block) return fail(ErrorCode::unavailable, "the node has no block " + std::to_string(number));
    FID_TRY(auto found, ethereum::CliqueSnapshot::from_checkpoint(block->header, known.clique));
    if (number == 0) {
        if (block->hash != known.genesis_hash) return fail(ErrorCode::unverified, "the node's genesis block is not the site's");
        return std::optional(std::move(found));
    }
    // A checkpoint lists who seals the block after it, and carries no vote: the same who seal it.
    const auto* set = evidence::signers_at(known.sets, number);
    if (set == nullptr) set = evidence::signers_at(known.sets, number + 1);
    if (set == nullptr || set->signers != found.signers()) return std::optional<ethereum::CliqueSnapshot>();
    return std::optional(std::move(found));
}

}  // namespace

Result<ethereum::CliqueSnapshot> follow_votes(Rpc& rpc, const KnownSigners& known, std::uint64_t from, std::uint64_t until,
                                              const EachBlock& each) {
    const auto epoch = known.clique.epoch;
    if (epoch == 0) return fail(ErrorCode::invalid_argument, "an epoch of no blocks");
    std::optional<ethereum::CliqueSnapshot> signers;
    for (auto start = from - from % epoch; !signers; start -= epoch) {  // block 0 is vouched for, or an error
        FID_TRY(signers, checkpoint_vouched_for(rpc, known, start));
    }
    while (signers->number() < until) {
        const auto first = signers->number() + 1;
        FID_TRY(const auto blocks, rpc.blocks(first, std::min<std::uint64_t>(kHeadersAtOnce, until - first + 1)));
        if (blocks.empty()) return fail(ErrorCode::unavailable, "the node has no block " + std::to_string(first));
        for (const auto& block : blocks) {
            if (each && !each(block.number(), signers->signers()))
                return fail(ErrorCode::cancelled, "ended before block " + std::to_string(block.number()) + " was read");
            FID_CHECK(signers->apply(block.header));
        }
    }
    return std::move(*signers);
}

Result<std::vector<evidence::SignerSet>> follow_signer_sets(Rpc& rpc, const KnownSigners& known, std::uint64_t until,
                                                            const Hash& until_hash, const EachBlock& each) {
    if (known.sets.empty()) return fail(ErrorCode::invalid_argument, "no signers are known to begin with");
    std::vector<evidence::SignerSet> sets(known.sets.begin(), known.sets.end());
    const auto begin = sets.back().first_block;
    if (until < begin) return sets;
    std::optional<Error> contradiction;
    const auto note = [&](std::uint64_t number, std::span<const Address> signers) {
        if (number < begin || std::equal(signers.begin(), signers.end(), sets.back().signers.begin(), sets.back().signers.end())) return;
        if (number <= std::max<std::uint64_t>(begin, 1)) {
            contradiction = Error{ErrorCode::unverified,
                                  "by the chain's votes other signers than the trust file's seal block " + std::to_string(number)};
            return;
        }
        sets.back().last_block = number - 1;
        sets.push_back({number, std::nullopt, {signers.begin(), signers.end()}});
    };
    const auto signers =
        follow_votes(rpc, known, begin == 0 ? 0 : begin - 1, until, [&](std::uint64_t number, std::span<const Address> who) {
            note(number, who);
            return !contradiction && (!each || each(number, who));
        });
    if (contradiction) return fail(*contradiction);
    FID_CHECK(signers);
    if (signers->hash() != until_hash) return fail(ErrorCode::unavailable, "the chain changed while it was read");
    note(until + 1, signers->signers());
    return sets;
}

Result<void> check_same_signers(std::span<const evidence::SignerSet> ours, std::span<const evidence::SignerSet> theirs,
                                std::uint64_t until) {
    for (const auto& mine : ours) {
        for (const auto& other : theirs) {
            const auto first = std::max(mine.first_block, other.first_block);
            const auto last = std::min({mine.last_block.value_or(until), other.last_block.value_or(until), until});
            if (first > last || mine.signers == other.signers) continue;
            return fail(ErrorCode::unverified, "block " + std::to_string(first) + " is sealed by other signers than the trust file says");
        }
    }
    return {};
}

}  // namespace fiducial::ledger
