#include "ethereum/transaction.hpp"

#include <limits>

#include "crypto/hash.hpp"
#include "ethereum/rlp.hpp"

namespace fiducial::ethereum {
namespace {

constexpr std::size_t kMaxRawTransaction = 128 * 1024;  // as nodes' pools
constexpr std::uint64_t kLegacyChainIdOffset = 35;      // EIP-155: v = 35 + 2 * chain id + recovery id
constexpr std::uint64_t kMaxLegacyChainId = (std::numeric_limits<std::uint64_t>::max() - kLegacyChainIdOffset - 1) / 2;

void write_to(rlp::ListWriter& out, const std::optional<Address>& to) {
    out.bytes(to ? ByteView(*to) : ByteView{});
}

rlp::ListWriter dynamic_fee_fields(const Transaction& tx) {
    rlp::ListWriter out;
    out.u64(tx.chain_id).u64(tx.nonce).uint256(tx.max_priority_fee_per_gas).uint256(tx.max_fee_per_gas).u64(tx.gas_limit);
    write_to(out, tx.to);
    out.uint256(tx.value).bytes(tx.data);
    rlp::ListWriter access_list;
    for (const auto& entry : tx.access_list) {
        rlp::ListWriter keys;
        for (const auto& key : entry.storage_keys) keys.bytes(key);
        access_list.list(rlp::ListWriter().bytes(entry.address).list(keys));
    }
    return out.list(access_list);
}

rlp::ListWriter legacy_fields(const Transaction& tx) {
    rlp::ListWriter out;
    out.u64(tx.nonce).uint256(tx.max_fee_per_gas).u64(tx.gas_limit);
    write_to(out, tx.to);
    return out.uint256(tx.value).bytes(tx.data);
}

// The type byte of EIP-2718 before the list; legacy has none.
Bytes typed(TransactionType type, const rlp::ListWriter& list) {
    Bytes out;
    if (type != TransactionType::legacy) out.push_back(static_cast<std::uint8_t>(type));
    append(out, list.finish());
    return out;
}

tl::unexpected<Error> malformed(std::string_view what) {
    return fail(ErrorCode::malformed, "transaction: " + std::string(what));
}

Result<std::optional<Address>> read_to(rlp::ListReader& reader) {
    FID_TRY(const auto bytes, reader.bytes("transaction to"));
    if (bytes.empty()) return std::optional<Address>{};
    FID_TRY(const auto address, fixed<20>(bytes, "transaction to"));
    return std::optional<Address>{address};
}

Result<std::vector<AccessListEntry>> read_access_list(rlp::ListReader& reader) {
    FID_TRY(auto list, reader.list("transaction access list"));
    std::vector<AccessListEntry> out;
    while (!list.at_end()) {
        FID_TRY(auto fields, list.list("access list entry"));
        AccessListEntry entry;
        FID_TRY(entry.address, fields.array<20>("access list address"));
        FID_TRY(auto keys, fields.list("access list keys"));
        while (!keys.at_end()) {
            FID_TRY(const auto key, keys.array<32>("access list key"));
            entry.storage_keys.push_back(key);
        }
        FID_CHECK(fields.finish("access list entry"));
        out.push_back(std::move(entry));
    }
    return out;
}

Result<crypto::RecoverableSignature> read_signature(rlp::ListReader& reader, std::uint8_t recovery_id) {
    FID_TRY(const auto r, reader.uint256("transaction r"));
    FID_TRY(const auto s, reader.uint256("transaction s"));
    crypto::RecoverableSignature signature{r.to_be(), s.to_be(), recovery_id};
    return crypto::RecoverableSignature::parse(signature.serialised());  // ranges and low s
}

Result<SignedTransaction> decode_dynamic_fee(ByteView body) {
    FID_TRY(const auto item, rlp::decode(body));
    FID_TRY(auto reader, item.list("transaction"));
    SignedTransaction out;
    auto& tx = out.transaction;
    FID_TRY(tx.chain_id, reader.u64("transaction chain id"));
    FID_TRY(tx.nonce, reader.u64("transaction nonce"));
    FID_TRY(tx.max_priority_fee_per_gas, reader.uint256("transaction tip"));
    FID_TRY(tx.max_fee_per_gas, reader.uint256("transaction fee cap"));
    FID_TRY(tx.gas_limit, reader.u64("transaction gas limit"));
    FID_TRY(tx.to, read_to(reader));
    FID_TRY(tx.value, reader.uint256("transaction value"));
    FID_TRY(const auto data, reader.bytes("transaction data"));
    tx.data = to_bytes(data);
    FID_TRY(tx.access_list, read_access_list(reader));
    FID_TRY(const auto parity, reader.u64("transaction y parity"));
    if (parity > 1) return malformed("y parity is neither 0 nor 1");
    FID_TRY(out.signature, read_signature(reader, static_cast<std::uint8_t>(parity)));
    FID_CHECK(reader.finish("transaction"));
    return out;
}

Result<SignedTransaction> decode_legacy(ByteView raw) {
    FID_TRY(const auto item, rlp::decode(raw));
    FID_TRY(auto reader, item.list("transaction"));
    SignedTransaction out;
    auto& tx = out.transaction;
    tx.type = TransactionType::legacy;
    FID_TRY(tx.nonce, reader.u64("transaction nonce"));
    FID_TRY(tx.max_fee_per_gas, reader.uint256("transaction gas price"));
    FID_TRY(tx.gas_limit, reader.u64("transaction gas limit"));
    FID_TRY(tx.to, read_to(reader));
    FID_TRY(tx.value, reader.uint256("transaction value"));
    FID_TRY(const auto data, reader.bytes("transaction data"));
    tx.data = to_bytes(data);
    FID_TRY(const auto v, reader.u64("transaction v"));
    std::uint8_t recovery_id = 0;
    if (v == 27 || v == 28) {
        recovery_id = static_cast<std::uint8_t>(v - 27);
    } else if (v >= kLegacyChainIdOffset + 2) {  // chain id 0 is none
        tx.chain_id = (v - kLegacyChainIdOffset) / 2;
        recovery_id = static_cast<std::uint8_t>((v - kLegacyChainIdOffset) % 2);
    } else {
        return malformed("v of " + std::to_string(v));
    }
    FID_TRY(out.signature, read_signature(reader, recovery_id));
    FID_CHECK(reader.finish("transaction"));
    return out;
}

// What every node of London asks of a transaction before it looks at the sender.
Result<void> check_fields(const Transaction& tx) {
    if (tx.nonce == std::numeric_limits<std::uint64_t>::max()) return malformed("the nonce is the last one (EIP-2681)");
    if (tx.type == TransactionType::dynamic_fee && tx.max_priority_fee_per_gas > tx.max_fee_per_gas)
        return malformed("the tip is above the fee cap");
    if (!tx.max_fee_per_gas.times(tx.gas_limit)) return malformed("gas times fee is beyond 256 bits");
    return {};
}

}  // namespace

Hash signing_hash(const Transaction& tx) {
    if (tx.type == TransactionType::dynamic_fee) return crypto::keccak256(typed(tx.type, dynamic_fee_fields(tx)));
    auto fields = legacy_fields(tx);
    if (tx.chain_id != 0) fields.u64(tx.chain_id).u64(0).u64(0);
    return crypto::keccak256(typed(tx.type, fields));
}

Result<SignedTransaction> sign(const Transaction& tx, const crypto::Secret& private_key) {
    if (auto checked = check_fields(tx); !checked) return fail(ErrorCode::invalid_argument, checked.error().message);
    if (tx.type == TransactionType::legacy && (tx.chain_id > kMaxLegacyChainId || !tx.access_list.empty())) {
        return fail(ErrorCode::invalid_argument, "transaction: a legacy one has no access list, and no chain id this large");
    }
    FID_TRY(auto signature, crypto::sign_recoverable(private_key, signing_hash(tx)));
    return SignedTransaction{tx, std::move(signature)};
}

Bytes SignedTransaction::encode() const {
    const auto& tx = transaction;
    const bool legacy = tx.type == TransactionType::legacy;
    auto fields = legacy ? legacy_fields(tx) : dynamic_fee_fields(tx);
    std::uint64_t v = signature.v;
    if (legacy) v += tx.chain_id == 0 ? 27 : kLegacyChainIdOffset + 2 * tx.chain_id;
    fields.u64(v).uint256(Uint256::from_be(signature.r)).uint256(Uint256::from_be(signature.s));
    return typed(tx.type, fields);
}

Hash SignedTransaction::hash() const {
    return crypto::keccak256(encode());
}

Result<Address> SignedTransaction::sender() const {
    return crypto::recover_address(signing_hash(transaction), signature);
}

Result<SignedTransaction> decode_transaction(ByteView raw) {
    if (raw.empty()) return malformed("no bytes");
    if (raw.size() > kMaxRawTransaction) return fail(ErrorCode::limit_exceeded, "transaction: more than 128 KiB");
    if (raw[0] < 0x80 && raw[0] != static_cast<std::uint8_t>(TransactionType::dynamic_fee)) {
        return fail(ErrorCode::unsupported, "transaction: type " + std::to_string(raw[0]));
    }
    auto out = raw[0] < 0x80 ? decode_dynamic_fee(raw.subspan(1)) : decode_legacy(raw);
    if (!out) return out;
    FID_CHECK(check_fields(out->transaction));
    return out;
}

Result<std::uint64_t> intrinsic_gas(const Transaction& tx) {
    std::uint64_t zeros = 0;
    for (const auto byte : tx.data) zeros += byte == 0 ? 1 : 0;
    std::uint64_t keys = 0;
    for (const auto& entry : tx.access_list) keys += entry.storage_keys.size();
    constexpr std::uint64_t kMost = std::uint64_t{1} << 48;  // products of these stay far below 2^64
    if (tx.data.size() > kMost || keys > kMost || tx.access_list.size() > kMost)
        return fail(ErrorCode::limit_exceeded, "transaction: too large");
    return (tx.to ? 21000u : 53000u) + zeros * 4 + (tx.data.size() - zeros) * 16 + tx.access_list.size() * 2400 + keys * 1900;
}

}  // namespace fiducial::ethereum
