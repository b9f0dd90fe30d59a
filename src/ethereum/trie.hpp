#pragma once
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "ethereum/uint256.hpp"

namespace fiducial::ethereum {

/// keccak256(rlp("")): the root of a trie that holds nothing.
extern const Hash kEmptyTrieRoot;
/// keccak256(""): the code hash of an account without code.
extern const Hash kEmptyCodeHash;

/// An account as the state trie holds it.
struct AccountState {
    std::uint64_t nonce = 0;
    Uint256 balance;
    Hash storage_root{};
    Hash code_hash{};
    Bytes encode() const;
    static Result<AccountState> decode(ByteView rlp);
    friend bool operator==(const AccountState&, const AccountState&) = default;
};

/// Follows `key` from `root` through the nodes of a Merkle-Patricia proof, outermost first.
/// Spec: Yellow Paper, appendix D; EIP-1186.
/// Returns: the value, or nothing where the proof shows that the trie holds none.
/// Errors: unverified when a node's hash is not the one asked for, or nodes are missing or left over; malformed for a node not in
///         the one form that a trie could have (short embedding, branch with fewer than two children, empty path …);
///         limit_exceeded beyond 65 nodes of 17 items.
Result<std::optional<Bytes>> verify_trie_proof(const Hash& root, ByteView key, std::span<const Bytes> nodes);

/// The account's state under a state root, or nothing where the proof shows that there is no such account.
Result<std::optional<AccountState>> verify_account_proof(const Hash& state_root, const Address& address, std::span<const Bytes> nodes);
/// The value of a storage slot under an account's storage root; zero where the proof shows that it was never set (or is cleared).
Result<Uint256> verify_storage_proof(const Hash& storage_root, const Bytes32& slot, std::span<const Bytes> nodes);

/// A trie in memory: roots and proofs for golden vectors, lists of transactions, and tests.
/// Not made for large tries: every call to root() or prove() hashes the whole.
class TrieBuilder {
public:
    /// An empty value removes the key.
    void put(ByteView key, ByteView value);
    Hash root() const;
    /// The nodes from the root to where the key is, or would be.
    std::vector<Bytes> prove(ByteView key) const;

private:
    std::map<Bytes, Bytes> values_;
};

}  // namespace fiducial::ethereum
