#include "ethereum/clique.hpp"

#include <algorithm>
#include <set>

#include "crypto/hash.hpp"

namespace fiducial::ethereum {
namespace {

constexpr std::array<std::uint8_t, 8> kDropNonce{};
constexpr std::array<std::uint8_t, 8> kAuthoriseNonce{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr std::uint64_t kGasLimitBoundDivisor = 1024;
constexpr std::uint64_t kMinGasLimit = 5000;
constexpr std::uint64_t kMaxGasLimit = 0x7fffffffffffffff;

tl::unexpected<Error> broken(const BlockHeader& header, std::string_view rule) {
    return fail(ErrorCode::unverified, "block " + std::to_string(header.number) + ": " + std::string(rule));
}

// Rules that a header keeps or breaks by itself.
Result<void> check_alone(const BlockHeader& header, const CliqueConfig& config) {
    const bool checkpoint = header.number % config.epoch == 0;
    if (header.nonce != kDropNonce && header.nonce != kAuthoriseNonce) return broken(header, "its nonce is no vote");
    if (checkpoint && header.beneficiary != Address{}) return broken(header, "a checkpoint names a beneficiary");
    if (checkpoint && header.nonce != kDropNonce) return broken(header, "a checkpoint carries a vote");
    if (header.extra_data.size() < kCliqueVanitySize + kCliqueSealSize) return broken(header, "its extra data are too short for a seal");
    const auto listed = header.extra_data.size() - kCliqueVanitySize - kCliqueSealSize;
    if (!checkpoint && listed != 0) return broken(header, "it lists signers and is no checkpoint");
    if (header.mix_hash != Hash{}) return broken(header, "its mix hash is not zero");
    if (header.ommers_hash != kEmptyOmmersHash) return broken(header, "it names ommers");
    if (header.difficulty != Uint256(1) && header.difficulty != Uint256(2)) return broken(header, "its difficulty is neither 1 nor 2");
    if (header.gas_limit > kMaxGasLimit) return broken(header, "its gas limit is too high");
    if (header.gas_used > header.gas_limit) return broken(header, "it used more gas than its limit");
    if (!header.base_fee_per_gas) return broken(header, "it has no base fee");
    if (header.withdrawals_root || !header.fields_in_order()) return broken(header, "it has fields of a fork that Clique does not know");
    return {};
}

// Rules between a header and the one before it.
Result<void> check_link(const BlockHeader& parent, const Hash& parent_hash, const BlockHeader& header, const CliqueConfig& config) {
    if (header.number == 0 || header.number - 1 != parent.number) return broken(header, "it does not follow the block before it");
    if (header.parent_hash != parent_hash) return broken(header, "its parent is another block");
    if (header.timestamp < parent.timestamp || header.timestamp - parent.timestamp < config.period_s)
        return broken(header, "it came before its time");
    const auto change = std::max(parent.gas_limit, header.gas_limit) - std::min(parent.gas_limit, header.gas_limit);
    if (header.gas_limit < kMinGasLimit || change >= parent.gas_limit / kGasLimitBoundDivisor)
        return broken(header, "its gas limit moved too far");
    if (!parent.base_fee_per_gas) return broken(header, "the block before it has no base fee");
    const auto base_fee = next_base_fee(parent);
    if (!base_fee || *base_fee != *header.base_fee_per_gas)
        return broken(header, "its base fee is not what follows from the block before it");
    return {};
}

// The rules that tie a sealer to the set. Returns: whether it was its turn. `signers` ascending.
Result<bool> check_turn(const BlockHeader& header, const Address& signer, std::span<const Address> signers) {
    const auto place = std::lower_bound(signers.begin(), signers.end(), signer);
    if (place == signers.end() || *place != signer) return broken(header, "it is sealed by an account that is no signer");
    const bool in_turn = header.number % signers.size() == static_cast<std::uint64_t>(place - signers.begin());
    if (header.difficulty != Uint256(in_turn ? 2 : 1)) return broken(header, "its difficulty does not fit its sealer's turn");
    return in_turn;
}

Result<Address> sealer_of(const BlockHeader& header) {
    auto signer = clique_sealer(header);
    if (!signer) return broken(header, signer.error().message);
    return signer;
}

Result<void> check_checkpoint_list(const BlockHeader& header, std::span<const Address> signers, const CliqueConfig& config) {
    if (header.number % config.epoch != 0) return {};
    const auto listed = clique_checkpoint_signers(header);
    if (!listed || !std::equal(listed->begin(), listed->end(), signers.begin(), signers.end()))
        return broken(header, "the checkpoint lists other signers");
    return {};
}

Result<std::vector<Address>> sorted_set(std::span<const Address> signers) {
    std::vector<Address> out(signers.begin(), signers.end());
    std::sort(out.begin(), out.end());
    if (out.empty()) return fail(ErrorCode::invalid_argument, "a set of signers that is empty");
    if (std::adjacent_find(out.begin(), out.end()) != out.end())
        return fail(ErrorCode::invalid_argument, "a set that names a signer twice");
    return out;
}

}  // namespace

std::size_t SealReport::distinct_signers_from(std::size_t index) const {
    std::set<Address> seen;
    for (std::size_t i = index; i < blocks.size(); ++i) seen.insert(blocks[i].signer);
    return seen.size();
}

Result<Hash> clique_seal_hash(const BlockHeader& header) {
    if (header.extra_data.size() < kCliqueVanitySize + kCliqueSealSize)
        return fail(ErrorCode::malformed, "extra data too short for a seal");
    if (header.withdrawals_root || !header.fields_in_order())
        return fail(ErrorCode::malformed, "a header with fields that Clique does not know");
    BlockHeader unsealed = header;
    unsealed.extra_data.resize(header.extra_data.size() - kCliqueSealSize);
    return unsealed.hash();
}

Result<Address> clique_sealer(const BlockHeader& header) {
    FID_TRY(const auto digest, clique_seal_hash(header));
    const auto seal = ByteView(header.extra_data).last(kCliqueSealSize);
    if (seal.back() > 1) return fail(ErrorCode::malformed, "a seal whose v is neither 0 nor 1");
    FID_TRY(const auto signature, crypto::RecoverableSignature::parse(seal));
    return crypto::recover_address(digest, signature);
}

Result<void> clique_seal(BlockHeader& header, const crypto::Secret& private_key) {
    FID_TRY(const auto digest, clique_seal_hash(header));
    FID_TRY(const auto signature, crypto::sign_recoverable(private_key, digest));
    const auto seal = signature.serialised();
    std::copy(seal.begin(), seal.end(), header.extra_data.end() - static_cast<std::ptrdiff_t>(kCliqueSealSize));
    return {};
}

Result<std::vector<Address>> clique_checkpoint_signers(const BlockHeader& header) {
    if (header.extra_data.size() < kCliqueVanitySize + kCliqueSealSize)
        return fail(ErrorCode::malformed, "extra data too short for a checkpoint");
    const auto list =
        ByteView(header.extra_data).subspan(kCliqueVanitySize, header.extra_data.size() - kCliqueVanitySize - kCliqueSealSize);
    if (list.empty() || list.size() % 20 != 0) return fail(ErrorCode::malformed, "a list of signers that is empty or cut off");
    std::vector<Address> out;
    for (std::size_t i = 0; i < list.size(); i += 20) {
        FID_TRY(const auto address, fixed<20>(list.subspan(i, 20), "a signer"));
        if (!out.empty() && out.back() >= address) return fail(ErrorCode::malformed, "a list of signers that is not ascending");
        out.push_back(address);
    }
    return out;
}

Result<SealReport> CliqueRules::check_span(std::span<const BlockHeader> headers, std::span<const Address> signers) const {
    if (headers.empty()) return fail(ErrorCode::invalid_argument, "a span without headers");
    if (config_.epoch == 0) return fail(ErrorCode::invalid_argument, "an epoch of no blocks");
    FID_TRY(const auto set, sorted_set(signers));
    const std::size_t away = clique_majority(set.size()) - 1;  // blocks that a signer leaves to others after its own
    SealReport report;
    report.signer_count = set.size();
    for (std::size_t i = 0; i < headers.size(); ++i) {
        const auto& header = headers[i];
        if (header.number == 0) return broken(header, "the genesis block bears no seal");
        if (!may_stand_in_span(header)) return broken(header, "it carries a vote");
        FID_CHECK(check_alone(header, config_));
        FID_CHECK(check_checkpoint_list(header, set, config_));
        if (i > 0) FID_CHECK(check_link(headers[i - 1], report.blocks.back().hash, header, config_));
        FID_TRY(const auto signer, sealer_of(header));
        FID_TRY(const bool in_turn, check_turn(header, signer, set));
        for (std::size_t back = 1; back <= std::min(away, i); ++back) {
            if (report.blocks[i - back].signer == signer) return broken(header, "its sealer sealed too recently");
        }
        report.blocks.push_back({header.number, header.hash(), signer, in_turn});
    }
    return report;
}

bool CliqueRules::may_stand_in_span(const BlockHeader& header) const {
    return header.beneficiary == Address{} && header.nonce == kDropNonce;
}

std::optional<std::size_t> CliqueRules::settled_with(const SealReport& report, std::size_t index) const {
    if (index >= report.blocks.size() || report.signer_count == 0) return std::nullopt;
    if (report.signer_count == 1) return index;
    const auto needed = clique_majority(report.signer_count);
    std::set<Address> seen;
    for (std::size_t i = index; i < report.blocks.size(); ++i) {
        seen.insert(report.blocks[i].signer);
        if (seen.size() < needed) continue;
        const auto settled = i + needed;
        if (settled < report.blocks.size()) return settled;
        return std::nullopt;
    }
    return std::nullopt;
}

Result<CliqueSnapshot> CliqueSnapshot::from_checkpoint(const BlockHeader& header, CliqueConfig config) {
    if (config.epoch == 0 || header.number % config.epoch != 0) return fail(ErrorCode::invalid_argument, "a block that is no checkpoint");
    if (!header.fields_in_order()) return fail(ErrorCode::malformed, "a header with a field missing");
    CliqueSnapshot out;
    FID_TRY(out.signers_, clique_checkpoint_signers(header));
    out.config_ = config;
    out.parent_ = header;
    out.hash_ = header.hash();
    return out;
}

bool CliqueSnapshot::is_signer(const Address& address) const {
    return std::binary_search(signers_.begin(), signers_.end(), address);
}

std::size_t CliqueSnapshot::votes_for(const Address& candidate) const {
    return static_cast<std::size_t>(
        std::count_if(votes_.begin(), votes_.end(), [&](const Vote& vote) { return vote.candidate == candidate; }));
}

// All votes for a candidate go one way: a vote counts only when it would change the set, and a change drops them all.
void CliqueSnapshot::count_vote(const Address& signer, const BlockHeader& header) {
    const auto& candidate = header.beneficiary;
    std::erase_if(votes_, [&](const Vote& vote) { return vote.signer == signer && vote.candidate == candidate; });
    const bool authorise = header.nonce == kAuthoriseNonce;
    if (authorise != is_signer(candidate)) votes_.push_back({signer, candidate});
    if (votes_for(candidate) <= signers_.size() / 2) return;
    if (!is_signer(candidate)) {
        signers_.insert(std::lower_bound(signers_.begin(), signers_.end(), candidate), candidate);
    } else {
        signers_.erase(std::lower_bound(signers_.begin(), signers_.end(), candidate));
        const auto limit = clique_majority(signers_.size());  // the set shrank, and with it the time to stay away
        if (header.number >= limit) recents_.erase(header.number - limit);
        std::erase_if(votes_, [&](const Vote& vote) { return vote.signer == candidate; });
    }
    std::erase_if(votes_, [&](const Vote& vote) { return vote.candidate == candidate; });
}

Result<void> CliqueSnapshot::apply(const BlockHeader& header) {
    if (signers_.empty()) return broken(header, "nobody is left to seal it");
    FID_CHECK(check_alone(header, config_));
    FID_CHECK(check_link(parent_, hash_, header, config_));
    FID_CHECK(check_checkpoint_list(header, signers_, config_));
    FID_TRY(const auto signer, sealer_of(header));
    FID_CHECK(check_turn(header, signer, signers_));
    const auto limit = clique_majority(signers_.size());
    for (const auto& [number, recent] : recents_) {
        const bool leaves_now = header.number >= limit && number == header.number - limit;
        if (recent == signer && !leaves_now) return broken(header, "its sealer sealed too recently");
    }
    if (header.number % config_.epoch == 0) votes_.clear();
    if (header.number >= limit) recents_.erase(header.number - limit);
    recents_[header.number] = signer;
    count_vote(signer, header);
    parent_ = header;
    hash_ = header.hash();
    return {};
}

}  // namespace fiducial::ethereum
