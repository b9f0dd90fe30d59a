#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.hpp"

namespace fiducial::crypto {

/// node = H(0x01 ‖ left ‖ right). Spec: RFC 6962 §2.1.
Hash merkle_node(const Hash& left, const Hash& right);
/// H(""). The root of no leaves.
Hash merkle_empty_root();
/// Root over leaf hashes (not hashed again).
Hash merkle_root(std::span<const Hash> leaf_hashes);
/// Sibling hashes, lowest first. Requires: index < leaf_hashes.size(). Spec: RFC 6962 §2.1.1.
std::vector<Hash> merkle_inclusion_path(std::span<const Hash> leaf_hashes, std::uint64_t index);
/// Errors: unverified when the path does not lead from leaf to root, or has the wrong length for (index, size). Spec: RFC 9162 §2.1.3.2.
Result<void> merkle_verify_inclusion(const Hash& leaf, std::uint64_t index, std::uint64_t size, std::span<const Hash> path,
                                     const Hash& root);
/// Spec: RFC 6962 §2.1.2. Requires: old_size <= leaf_hashes.size().
std::vector<Hash> merkle_consistency_path(std::span<const Hash> leaf_hashes, std::uint64_t old_size);
Result<void> merkle_verify_consistency(std::uint64_t old_size, std::uint64_t new_size, const Hash& old_root, const Hash& new_root,
                                       std::span<const Hash> path);

/// Root of a growing list in O(log n) memory.
class MerkleAccumulator {
public:
    void add(const Hash& leaf_hash);
    std::uint64_t size() const { return size_; }
    Hash root() const;
    /// Roots of the complete subtrees, largest first, one for each bit of the size: all that is needed to go on later.
    std::span<const Hash> peaks() const { return peaks_; }
    /// Errors: malformed when the number of peaks does not fit the size.
    static Result<MerkleAccumulator> restore(std::uint64_t size, std::span<const Hash> peaks);

private:
    std::vector<Hash> peaks_;
    std::uint64_t size_ = 0;
};

}  // namespace fiducial::crypto
