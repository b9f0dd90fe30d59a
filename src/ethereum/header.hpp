#pragma once
#include <optional>

#include "base/bytes.hpp"
#include "ethereum/uint256.hpp"

namespace fiducial::ethereum {

/// keccak256(rlp([])): the ommers' hash of a block without ommers.
extern const Hash kEmptyOmmersHash;

/// A block's header, with the fields in the order in which they are encoded.
/// Spec: Yellow Paper §4.3; EIP-1559; EIP-4895, EIP-4844, EIP-4788, EIP-7685 for the later ones.
struct BlockHeader {
    Hash parent_hash{};
    Hash ommers_hash{};
    Address beneficiary{};
    Hash state_root{};
    Hash transactions_root{};
    Hash receipts_root{};
    std::array<std::uint8_t, 256> logs_bloom{};
    Uint256 difficulty;
    std::uint64_t number = 0;
    std::uint64_t gas_limit = 0;
    std::uint64_t gas_used = 0;
    std::uint64_t timestamp = 0;  // seconds since 1970
    Bytes extra_data;
    Hash mix_hash{};
    std::array<std::uint8_t, 8> nonce{};
    std::optional<Uint256> base_fee_per_gas;  // from London on
    // Development chains only. Each one requires those before it.
    std::optional<Hash> withdrawals_root;        // Shanghai
    std::optional<std::uint64_t> blob_gas_used;  // Cancun
    std::optional<std::uint64_t> excess_blob_gas;
    std::optional<Hash> parent_beacon_block_root;
    std::optional<Hash> requests_hash;  // Prague

    friend bool operator==(const BlockHeader&, const BlockHeader&) = default;
    /// The header's RLP. Requires: no optional field set after one that is not.
    Bytes encode() const;
    /// keccak256 of encode().
    Hash hash() const;
    /// True when no optional field is set after one that is not.
    bool fields_in_order() const;
};

struct HeaderRules {
    bool require_base_fee = true;     // London or later
    bool allow_later_fields = false;  // Shanghai and later, as development chains have
    std::size_t max_extra_data = 32 + 65 + 20 * 256;
};

/// Errors: malformed, naming the field; unsupported for later fields where they are not allowed; limit_exceeded for too much extra data.
Result<BlockHeader> decode_header(ByteView rlp, const HeaderRules& rules = {});

/// The base fee that a child of `parent` must have. Spec: EIP-1559. Requires: parent.base_fee_per_gas.
Result<Uint256> next_base_fee(const BlockHeader& parent);

}  // namespace fiducial::ethereum
