#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "ethereum/header.hpp"

namespace fiducial::ledger {

/// A block as its node gave it: the header's own hash has been compared with the one the node names.
struct Block {
    ethereum::BlockHeader header;
    Hash hash{};
    std::uint64_t number() const { return header.number; }
};

struct Log {
    Address address{};
    std::vector<Hash> topics;  // at most 4
    Bytes data;
    std::uint64_t block_number = 0;
    Hash block_hash{};
    Hash transaction_hash{};
    std::uint64_t index = 0;  // within the block
};

struct Receipt {
    Hash transaction_hash{};
    Hash block_hash{};
    std::uint64_t block_number = 0;
    bool success = false;
    std::uint64_t gas_used = 0;
    std::optional<Address> created;
    std::vector<Log> logs;
};

struct StorageProof {
    Bytes32 key{};
    Bytes32 value{};
    std::vector<Bytes> nodes;
};
/// As eth_getProof gives it; unchecked.
struct AccountProof {
    Address address{};
    Hash code_hash{};
    Hash storage_root{};
    std::vector<Bytes> nodes;
    std::vector<StorageProof> storage;
};

}  // namespace fiducial::ledger
