#pragma once
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/secp256k1.hpp"
#include "ethereum/address.hpp"
#include "ethereum/uint256.hpp"

namespace fiducial::ethereum {

enum class TransactionType : std::uint8_t { legacy = 0, dynamic_fee = 2 };

struct AccessListEntry {
    Address address{};
    std::vector<Bytes32> storage_keys;
    friend bool operator==(const AccessListEntry&, const AccessListEntry&) = default;
};

/// A transaction before it is signed.
/// Spec: EIP-1559 (dynamic_fee), EIP-155 (legacy). Units: fees in wei a unit of gas, value in wei.
struct Transaction {
    TransactionType type = TransactionType::dynamic_fee;
    std::uint64_t chain_id = 0;  // legacy: 0 means without replay protection
    std::uint64_t nonce = 0;
    Uint256 max_priority_fee_per_gas;  // dynamic_fee only
    Uint256 max_fee_per_gas;           // legacy: the gas price
    std::uint64_t gas_limit = 0;
    std::optional<Address> to;  // none: the transaction creates a contract
    Uint256 value;
    Bytes data;
    std::vector<AccessListEntry> access_list;  // dynamic_fee only
    friend bool operator==(const Transaction&, const Transaction&) = default;
};

struct SignedTransaction {
    Transaction transaction;
    crypto::RecoverableSignature signature;

    /// The bytes that eth_sendRawTransaction takes.
    Bytes encode() const;
    /// keccak256 of encode(): the transaction's hash.
    Hash hash() const;
    /// Errors: unverified when no key fits the signature.
    Result<Address> sender() const;
};

/// What is signed. Spec: EIP-1559, EIP-155.
Hash signing_hash(const Transaction& transaction);
/// Errors: invalid_argument for a key that is none, a tip above the fee cap, or a legacy transaction with an access list or too
///         large a chain id (beyond (2^64-37)/2).
Result<SignedTransaction> sign(const Transaction& transaction, const crypto::Secret& private_key);

/// Decodes what eth_sendRawTransaction takes; refuses what a London node would (sizes, high s, tip above cap).
/// Errors: malformed; unsupported for other types than 0 and 2; limit_exceeded beyond 128 KiB.
Result<SignedTransaction> decode_transaction(ByteView raw);

/// Gas that a transaction costs before a single instruction runs. Spec: Yellow Paper g0; EIP-2028, EIP-2930 (London).
/// Errors: limit_exceeded when it does not fit 64 bits.
Result<std::uint64_t> intrinsic_gas(const Transaction& transaction);

}  // namespace fiducial::ethereum
