#include "crypto/merkle.hpp"

#include <bit>

#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

constexpr std::uint8_t kNode = 0x01;

/// Turns one level of the tree into the next: pairs become nodes, an odd last one is carried up.
/// This gives the tree of RFC 6962, whose left subtrees are the largest powers of two.
void climb(std::vector<Hash>& level) {
    const std::size_t pairs = level.size() / 2;
    for (std::size_t i = 0; i < pairs; ++i) level[i] = merkle_node(level[2 * i], level[2 * i + 1]);
    if (level.size() % 2 != 0) level[pairs] = level.back();
    level.resize(pairs + level.size() % 2);
}

/// SUBPROOF(m, D[n], b) of RFC 6962 §2.1.2. Recursion is as deep as the tree, at most 64.
void subproof(std::uint64_t m, std::span<const Hash> leaves, bool whole, std::vector<Hash>& path) {
    if (m == leaves.size()) {
        if (!whole) path.push_back(merkle_root(leaves));
        return;
    }
    const std::uint64_t split = std::bit_floor(leaves.size() - 1);
    if (m <= split) {
        subproof(m, leaves.first(split), whole, path);
        path.push_back(merkle_root(leaves.subspan(split)));
    } else {
        subproof(m - split, leaves.subspan(split), false, path);
        path.push_back(merkle_root(leaves.first(split)));
    }
}

}  // namespace

Hash merkle_node(const Hash& left, const Hash& right) {
    return sha256({ByteView(&kNode, 1), left, right});
}

Hash merkle_empty_root() {
    return sha256(ByteView());
}

Hash merkle_root(std::span<const Hash> leaf_hashes) {
    MerkleAccumulator tree;
    for (const Hash& leaf : leaf_hashes) tree.add(leaf);
    return tree.root();
}

std::vector<Hash> merkle_inclusion_path(std::span<const Hash> leaf_hashes, std::uint64_t index) {
    FID_INVARIANT(index < leaf_hashes.size(), "an inclusion path needs a leaf of the tree");
    std::vector<Hash> level(leaf_hashes.begin(), leaf_hashes.end());
    std::vector<Hash> path;
    for (; level.size() > 1; index /= 2) {
        if ((index ^ 1) < level.size()) path.push_back(level[index ^ 1]);
        climb(level);
    }
    return path;
}

Result<void> merkle_verify_inclusion(const Hash& leaf, std::uint64_t index, std::uint64_t size, std::span<const Hash> path,
                                     const Hash& root) {
    if (index >= size)
        return fail(ErrorCode::unverified,
                    "inclusion proof: index " + std::to_string(index) + " is not below the size " + std::to_string(size));
    std::uint64_t node = index;
    std::uint64_t last = size - 1;
    Hash hash = leaf;
    for (const Hash& sibling : path) {
        if (last == 0) return fail(ErrorCode::unverified, "inclusion proof: path is too long");
        if (node % 2 != 0 || node == last) {
            hash = merkle_node(sibling, hash);
            while (node % 2 == 0 && node != 0) {
                node /= 2;
                last /= 2;
            }
        } else {
            hash = merkle_node(hash, sibling);
        }
        node /= 2;
        last /= 2;
    }
    if (last != 0) return fail(ErrorCode::unverified, "inclusion proof: path is too short");
    if (hash != root) return fail(ErrorCode::unverified, "inclusion proof: leaf and path do not lead to the root");
    return {};
}

std::vector<Hash> merkle_consistency_path(std::span<const Hash> leaf_hashes, std::uint64_t old_size) {
    FID_INVARIANT(old_size <= leaf_hashes.size(), "a consistency path needs an older, smaller tree");
    std::vector<Hash> path;
    if (old_size != 0) subproof(old_size, leaf_hashes, true, path);
    return path;
}

Result<void> merkle_verify_consistency(std::uint64_t old_size, std::uint64_t new_size, const Hash& old_root, const Hash& new_root,
                                       std::span<const Hash> path) {
    const auto refuse = [](std::string_view why) { return fail(ErrorCode::unverified, "consistency proof: " + std::string(why)); };
    if (old_size > new_size) return refuse("the old tree is larger than the new one");
    if (old_size == 0 || old_size == new_size) {
        if (!path.empty()) return refuse("path is too long");
        if (old_size == 0 && old_root != merkle_empty_root()) return refuse("old root is not that of an empty tree");
        if (old_size == new_size && old_root != new_root) return refuse("same size, other root");
        return {};
    }
    if (path.empty()) return refuse("path is too short");
    std::uint64_t node = old_size - 1;
    std::uint64_t last = new_size - 1;
    const int shift = std::countr_one(node);
    node >>= shift;
    last >>= shift;
    const bool complete = std::has_single_bit(old_size);  // the old root is then a node of the new tree and left out of the path
    Hash from_old = complete ? old_root : path.front();
    Hash from_new = from_old;
    for (const Hash& sibling : path.subspan(complete ? 0 : 1)) {
        if (last == 0) return refuse("path is too long");
        if (node % 2 != 0 || node == last) {
            from_old = merkle_node(sibling, from_old);
            from_new = merkle_node(sibling, from_new);
            while (node % 2 == 0 && node != 0) {
                node /= 2;
                last /= 2;
            }
        } else {
            from_new = merkle_node(from_new, sibling);
        }
        node /= 2;
        last /= 2;
    }
    if (last != 0) return refuse("path is too short");
    if (from_old != old_root) return refuse("path does not lead to the old root");
    if (from_new != new_root) return refuse("path does not lead to the new root");
    return {};
}

void MerkleAccumulator::add(const Hash& leaf_hash) {
    Hash hash = leaf_hash;
    for (std::uint64_t rest = size_; rest % 2 != 0; rest /= 2) {
        hash = merkle_node(peaks_.back(), hash);
        peaks_.pop_back();
    }
    peaks_.push_back(hash);
    ++size_;
}

Hash MerkleAccumulator::root() const {
    if (peaks_.empty()) return merkle_empty_root();
    Hash hash = peaks_.back();
    for (std::size_t i = peaks_.size() - 1; i-- > 0;) hash = merkle_node(peaks_[i], hash);
    return hash;
}

Result<MerkleAccumulator> MerkleAccumulator::restore(std::uint64_t size, std::span<const Hash> peaks) {
    if (static_cast<int>(peaks.size()) != std::popcount(size)) {
        return fail(ErrorCode::malformed,
                    "a tree of size " + std::to_string(size) + " does not have " + std::to_string(peaks.size()) + " peaks");
    }
    MerkleAccumulator tree;
    tree.peaks_.assign(peaks.begin(), peaks.end());
    tree.size_ = size;
    return tree;
}

}  // namespace fiducial::crypto
