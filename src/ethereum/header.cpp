#include "ethereum/header.hpp"

#include <algorithm>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/rlp.hpp"

namespace fiducial::ethereum {

const Hash kEmptyOmmersHash = *fixed_from_hex<32>("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347", "hash");

bool BlockHeader::fields_in_order() const {
    const std::array<bool, 6> set{base_fee_per_gas.has_value(), withdrawals_root.has_value(),         blob_gas_used.has_value(),
                                  excess_blob_gas.has_value(),  parent_beacon_block_root.has_value(), requests_hash.has_value()};
    return std::is_sorted(set.begin(), set.end(), std::greater<>());
}

Bytes BlockHeader::encode() const {
    FID_INVARIANT(fields_in_order(), "a header's optional fields are set in order");
    rlp::ListWriter out;
    out.bytes(parent_hash).bytes(ommers_hash).bytes(beneficiary).bytes(state_root).bytes(transactions_root).bytes(receipts_root);
    out.bytes(logs_bloom).uint256(difficulty).u64(number).u64(gas_limit).u64(gas_used).u64(timestamp).bytes(extra_data);
    out.bytes(mix_hash).bytes(nonce);
    if (base_fee_per_gas) out.uint256(*base_fee_per_gas);
    if (withdrawals_root) out.bytes(*withdrawals_root);
    if (blob_gas_used) out.u64(*blob_gas_used);
    if (excess_blob_gas) out.u64(*excess_blob_gas);
    if (parent_beacon_block_root) out.bytes(*parent_beacon_block_root);
    if (requests_hash) out.bytes(*requests_hash);
    return out.finish();
}

Hash BlockHeader::hash() const {
    return crypto::keccak256(encode());
}

namespace {

Result<void> read_later_fields(rlp::ListReader& reader, BlockHeader& out) {
    if (!reader.at_end()) {
        FID_TRY(out.withdrawals_root, reader.array<32>("header withdrawals root"));
    }
    if (!reader.at_end()) {
        FID_TRY(out.blob_gas_used, reader.u64("header blob gas used"));
    }
    if (!reader.at_end()) {
        FID_TRY(out.excess_blob_gas, reader.u64("header excess blob gas"));
    }
    if (!reader.at_end()) {
        FID_TRY(out.parent_beacon_block_root, reader.array<32>("header parent beacon block root"));
    }
    if (!reader.at_end()) {
        FID_TRY(out.requests_hash, reader.array<32>("header requests hash"));
    }
    return {};
}

}  // namespace

Result<BlockHeader> decode_header(ByteView bytes, const HeaderRules& rules) {
    constexpr std::size_t kRoomForFields = 1024;  // all but extra_data, with room to spare
    FID_TRY(const auto item, rlp::decode(bytes, {.max_bytes = kRoomForFields + rules.max_extra_data, .max_depth = 1, .max_items = 32}));
    FID_TRY(auto reader, item.list("header"));
    BlockHeader out;
    FID_TRY(out.parent_hash, reader.array<32>("header parent hash"));
    FID_TRY(out.ommers_hash, reader.array<32>("header ommers hash"));
    FID_TRY(out.beneficiary, reader.array<20>("header beneficiary"));
    FID_TRY(out.state_root, reader.array<32>("header state root"));
    FID_TRY(out.transactions_root, reader.array<32>("header transactions root"));
    FID_TRY(out.receipts_root, reader.array<32>("header receipts root"));
    FID_TRY(out.logs_bloom, reader.array<256>("header logs bloom"));
    FID_TRY(out.difficulty, reader.uint256("header difficulty"));
    FID_TRY(out.number, reader.u64("header number"));
    FID_TRY(out.gas_limit, reader.u64("header gas limit"));
    FID_TRY(out.gas_used, reader.u64("header gas used"));
    FID_TRY(out.timestamp, reader.u64("header timestamp"));
    FID_TRY(const auto extra_data, reader.bytes("header extra data"));
    if (extra_data.size() > rules.max_extra_data) return fail(ErrorCode::limit_exceeded, "header extra data: too long");
    out.extra_data = to_bytes(extra_data);
    FID_TRY(out.mix_hash, reader.array<32>("header mix hash"));
    FID_TRY(out.nonce, reader.array<8>("header nonce"));
    if (rules.require_base_fee || !reader.at_end()) {
        FID_TRY(out.base_fee_per_gas, reader.uint256("header base fee"));
    }
    if (!reader.at_end() && !rules.allow_later_fields) return fail(ErrorCode::unsupported, "header: fields of a fork after London");
    FID_CHECK(read_later_fields(reader, out));
    FID_CHECK(reader.finish("header"));
    return out;
}

Result<Uint256> next_base_fee(const BlockHeader& parent) {
    FID_INVARIANT(parent.base_fee_per_gas.has_value(), "the parent has a base fee");
    constexpr std::uint64_t kElasticity = 2;
    constexpr std::uint64_t kChangeDenominator = 8;
    const auto& fee = *parent.base_fee_per_gas;
    const std::uint64_t target = parent.gas_limit / kElasticity;
    if (parent.gas_used == target) return fee;
    const bool above = parent.gas_used > target;
    FID_TRY(const auto weighted, fee.times(above ? parent.gas_used - target : target - parent.gas_used));
    FID_TRY(const auto by_target, weighted.divided_by(target));
    FID_TRY(const auto delta, by_target.quotient.divided_by(kChangeDenominator));
    if (above) return fee.plus(std::max(delta.quotient, Uint256(1)));
    return delta.quotient > fee ? Uint256{} : fee.minus(delta.quotient);
}

}  // namespace fiducial::ethereum
