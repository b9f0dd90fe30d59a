#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/secp256k1.hpp"
#include "crypto/secret.hpp"
#include "ethereum/header.hpp"

namespace fiducial::ethereum {

/// What was established about one block of a checked span.
struct SealedBlock {
    std::uint64_t number = 0;
    Hash hash{};
    Address signer{};
    bool in_turn = false;
};

/// What was established about a span: each block follows the one before it and bears the seal of a signer in the set.
struct SealReport {
    std::vector<SealedBlock> blocks;  // as given, ascending by number
    std::size_t signer_count = 0;     // of the set

    /// Distinct signers on block `index` and its descendants.
    std::size_t distinct_signers_from(std::size_t index) const;
    /// Blocks of the span after block `index`.
    std::size_t depth_of(std::size_t index) const { return blocks.size() - 1 - index; }
};

/// How a chain's blocks are sealed, and when one is settled.
class SealRules {
public:
    virtual ~SealRules() = default;
    virtual std::string_view name() const = 0;
    /// Checks consecutive headers, lowest first, against the set of signers that held over the whole span.
    /// Errors: unverified, naming block and rule; invalid_argument for an empty span or set, or a set with duplicates.
    /// Security: says nothing about whether the first header's parent is on the right chain, nor about rival forks. The rules of
    ///           Clique that need the past (recent signers) are judged with what the span itself shows.
    virtual Result<SealReport> check_span(std::span<const BlockHeader> headers, std::span<const Address> signers) const = 0;
    /// Whether a header may stand in a checked span at all; evidence begins after one that may not.
    virtual bool may_stand_in_span(const BlockHeader&) const { return true; }
    /// Index of the block with which block `index` becomes settled; nothing while the span does not reach it.
    virtual std::optional<std::size_t> settled_with(const SealReport& report, std::size_t index) const = 0;
    bool is_settled(const SealReport& report, std::size_t index) const { return settled_with(report, index).has_value(); }
};

/// Clique proof of authority, as geth 1.13.15 enforces it. Spec: EIP-225.
struct CliqueConfig {
    std::uint64_t period_s = 0;   // least seconds between blocks
    std::uint64_t epoch = 30000;  // blocks between checkpoints
};

inline constexpr std::size_t kCliqueVanitySize = 32;
inline constexpr std::size_t kCliqueSealSize = 65;

/// What the sealer signs: keccak256 of the header without the last 65 bytes of its extra data.
/// Errors: malformed when the extra data is too short, or there are fields of Shanghai or later.
Result<Hash> clique_seal_hash(const BlockHeader& header);
/// Who sealed it. Errors: malformed for short extra data, v not 0/1, a high s; unverified when no key fits.
Result<Address> clique_sealer(const BlockHeader& header);
/// Puts a seal into the last 65 bytes of extra_data. For tests and tools.
Result<void> clique_seal(BlockHeader& header, const crypto::Secret& private_key);
/// The signers listed in a checkpoint's (or the genesis block's) extra data.
/// Errors: malformed when the list is no whole number of addresses, empty, or not strictly ascending.
Result<std::vector<Address>> clique_checkpoint_signers(const BlockHeader& header);

/// floor(N/2) + 1: more than half of the signers; also how many blocks a signer must stay away after sealing one, less one.
constexpr std::size_t clique_majority(std::size_t signer_count) {
    return signer_count / 2 + 1;
}

/// Rules for spans without votes. A header that carries a vote (beneficiary or nonce not zero) is refused: whoever makes the
/// evidence chooses another span.
class CliqueRules final : public SealRules {
public:
    explicit CliqueRules(CliqueConfig config) : config_(config) {}
    std::string_view name() const override { return "clique"; }
    Result<SealReport> check_span(std::span<const BlockHeader> headers, std::span<const Address> signers) const override;
    /// Not one with a vote.
    bool may_stand_in_span(const BlockHeader& header) const override;
    /// N = 1: the block itself. N > 1: first the block with which floor(N/2)+1 distinct signers stand on block `index` or its
    /// descendants, then floor(N/2)+1 blocks more.
    std::optional<std::size_t> settled_with(const SealReport& report, std::size_t index) const override;

private:
    CliqueConfig config_;
};

/// The set of signers as votes change it, followed block by block from a checkpoint. Spec: EIP-225; geth's Snapshot.apply.
class CliqueSnapshot {
public:
    /// From the genesis block or a checkpoint that is trusted. Errors: those of clique_checkpoint_signers; invalid_argument when
    /// its number is no multiple of the epoch.
    static Result<CliqueSnapshot> from_checkpoint(const BlockHeader& header, CliqueConfig config);

    /// Applies the next block. On error nothing has changed.
    /// Errors: unverified, naming the rule that the block breaks.
    Result<void> apply(const BlockHeader& header);

    std::uint64_t number() const { return parent_.number; }
    const Hash& hash() const { return hash_; }
    const std::vector<Address>& signers() const { return signers_; }  // ascending

private:
    struct Vote {
        Address signer;
        Address candidate;
    };
    CliqueSnapshot() = default;
    bool is_signer(const Address& address) const;
    void count_vote(const Address& signer, const BlockHeader& header);
    std::size_t votes_for(const Address& candidate) const;
    CliqueConfig config_;
    BlockHeader parent_;
    Hash hash_{};
    std::vector<Address> signers_;
    std::map<std::uint64_t, Address> recents_;  // block number → signer
    std::vector<Vote> votes_;                   // oldest first
};

}  // namespace fiducial::ethereum
