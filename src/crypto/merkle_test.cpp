#include "crypto/merkle.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

Hash leaf_of(ByteView data) {
    const std::uint8_t zero = 0;
    return sha256({ByteView(&zero, 1), data});
}

std::vector<Hash> leaves_of(std::size_t count) {
    std::vector<Hash> leaves;
    for (std::size_t i = 0; i < count; ++i) {
        Bytes data;
        append_be(data, static_cast<std::uint64_t>(i));
        leaves.push_back(leaf_of(data));
    }
    return leaves;
}

// The definitions of RFC 6962 §2.1, word for word, with no thought of speed.
std::size_t largest_power_below(std::size_t n) {
    std::size_t k = 1;
    while (k * 2 < n) k *= 2;
    return k;
}
Hash mth(std::span<const Hash> d) {
    if (d.empty()) return sha256(ByteView());
    if (d.size() == 1) return d[0];
    const std::size_t k = largest_power_below(d.size());
    const std::uint8_t one = 1;
    return sha256({ByteView(&one, 1), mth(d.first(k)), mth(d.subspan(k))});
}
std::vector<Hash> audit_path(std::size_t m, std::span<const Hash> d) {
    if (d.size() == 1) return {};
    const std::size_t k = largest_power_below(d.size());
    std::vector<Hash> path = m < k ? audit_path(m, d.first(k)) : audit_path(m - k, d.subspan(k));
    path.push_back(m < k ? mth(d.subspan(k)) : mth(d.first(k)));
    return path;
}
std::vector<Hash> sub_proof(std::size_t m, std::span<const Hash> d, bool b) {
    if (m == d.size()) return b ? std::vector<Hash>{} : std::vector<Hash>{mth(d)};
    const std::size_t k = largest_power_below(d.size());
    std::vector<Hash> path = m <= k ? sub_proof(m, d.first(k), b) : sub_proof(m - k, d.subspan(k), false);
    path.push_back(m <= k ? mth(d.subspan(k)) : mth(d.first(k)));
    return path;
}

TEST(Merkle, Rfc6962ReferenceRoots) {  // test data of the reference implementation of Certificate Transparency
    const std::vector<std::string_view> inputs{
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
    const std::vector<std::string_view> roots{"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                              "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                              "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                              "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                              "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                              "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                              "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                              "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                              "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    std::vector<Hash> leaves;
    MerkleAccumulator tree;
    for (std::size_t size = 0; size <= inputs.size(); ++size) {
        EXPECT_EQ(to_hex(merkle_root(leaves)), roots[size]) << size;
        EXPECT_EQ(to_hex(tree.root()), roots[size]) << size;
        if (size == inputs.size()) break;
        leaves.push_back(leaf_of(from_hex(inputs[size]).value()));
        tree.add(leaves.back());
    }
}

TEST(Merkle, RootsAndPathsOfAllSizesTo70FollowRfc6962) {
    const auto all = leaves_of(70);
    MerkleAccumulator tree;
    for (std::size_t size = 0; size <= all.size(); ++size) {
        const std::span<const Hash> leaves = std::span(all).first(size);
        const Hash root = mth(leaves);
        ASSERT_EQ(merkle_root(leaves), root);
        ASSERT_EQ(tree.root(), root);
        ASSERT_EQ(tree.size(), size);
        for (std::size_t i = 0; i < size; ++i) {
            const auto path = merkle_inclusion_path(leaves, i);
            ASSERT_EQ(path, audit_path(i, leaves)) << i << " of " << size;
            ASSERT_TRUE(merkle_verify_inclusion(leaves[i], i, size, path, root));
        }
        for (std::size_t old = 0; old <= size; ++old) {
            const auto path = merkle_consistency_path(leaves, old);
            ASSERT_EQ(path, old == 0 ? std::vector<Hash>{} : sub_proof(old, leaves, true)) << old << " to " << size;
            ASSERT_TRUE(merkle_verify_consistency(old, size, mth(leaves.first(old)), root, path)) << old << " to " << size;
        }
        if (size < all.size()) tree.add(all[size]);
    }
}

TEST(Merkle, Rfc9162InclusionProofRefusesAnyOtherStatement) {
    const auto leaves = leaves_of(37);
    const Hash root = merkle_root(leaves);
    for (std::uint64_t i = 0; i < leaves.size(); ++i) {
        const auto path = merkle_inclusion_path(leaves, i);
        EXPECT_FALSE(merkle_verify_inclusion(leaves[(i + 1) % 37], i, 37, path, root)) << "other leaf";
        for (std::uint64_t other = 0; other < 40; ++other) {
            if (other != i) {
                EXPECT_FALSE(merkle_verify_inclusion(leaves[i], other, 37, path, root)) << "index " << i << " as " << other;
            }
        }
        for (std::size_t p = 0; p < path.size(); ++p) {
            auto changed = path;
            changed[p][31] ^= 1;
            EXPECT_FALSE(merkle_verify_inclusion(leaves[i], i, 37, changed, root));
            auto dropped = path;
            dropped.erase(dropped.begin() + static_cast<std::ptrdiff_t>(p));
            EXPECT_FALSE(merkle_verify_inclusion(leaves[i], i, 37, dropped, root));
        }
        auto longer = path;
        longer.push_back(root);
        EXPECT_FALSE(merkle_verify_inclusion(leaves[i], i, 37, longer, root));
        Hash other_root = root;
        other_root[0] ^= 1;
        const auto refused = merkle_verify_inclusion(leaves[i], i, 37, path, other_root);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::unverified);
    }
    EXPECT_FALSE(merkle_verify_inclusion(root, 0, 0, {}, root)) << "nothing is in an empty tree";
    EXPECT_FALSE(merkle_verify_inclusion(leaves[0], ~std::uint64_t{0}, ~std::uint64_t{0}, {}, root));
    EXPECT_FALSE(merkle_verify_inclusion(leaves[0], ~std::uint64_t{0} - 1, ~std::uint64_t{0}, leaves, root)) << "longest path there can be";
}

TEST(Merkle, Rfc9162ConsistencyProofRefusesAnyOtherStatement) {
    const auto all = leaves_of(33);
    for (std::uint64_t size = 1; size <= all.size(); ++size) {
        const std::span<const Hash> leaves = std::span(all).first(size);
        const Hash new_root = merkle_root(leaves);
        for (std::uint64_t old = 1; old < size; ++old) {
            const Hash old_root = merkle_root(leaves.first(old));
            const auto path = merkle_consistency_path(leaves, old);
            for (std::size_t p = 0; p < path.size(); ++p) {
                auto changed = path;
                changed[p][0] ^= 0x80;
                ASSERT_FALSE(merkle_verify_consistency(old, size, old_root, new_root, changed)) << old << " to " << size;
                auto dropped = path;
                dropped.erase(dropped.begin() + static_cast<std::ptrdiff_t>(p));
                ASSERT_FALSE(merkle_verify_consistency(old, size, old_root, new_root, dropped)) << old << " to " << size;
            }
            auto longer = path;
            longer.push_back(old_root);
            ASSERT_FALSE(merkle_verify_consistency(old, size, old_root, new_root, longer));
            ASSERT_FALSE(merkle_verify_consistency(old, size, new_root, new_root, path));
            ASSERT_FALSE(merkle_verify_consistency(old, size, old_root, old_root, path));
            ASSERT_FALSE(merkle_verify_consistency(size, old, old_root, new_root, path)) << "shrinking";
        }
        EXPECT_FALSE(merkle_verify_consistency(size, size, new_root, merkle_empty_root(), {})) << "same size, other root";
        EXPECT_FALSE(merkle_verify_consistency(size, size, new_root, new_root, leaves.first(1))) << "path where none belongs";
        EXPECT_FALSE(merkle_verify_consistency(0, size, new_root, new_root, {})) << "no tree of size 0 has this root";
        EXPECT_TRUE(merkle_verify_consistency(0, size, merkle_empty_root(), new_root, {}));
    }
}

TEST(Merkle, AccumulatorGoesOnFromItsPeaks) {
    const auto leaves = leaves_of(70);
    for (std::size_t size = 0; size < leaves.size(); ++size) {
        MerkleAccumulator tree;
        for (std::size_t i = 0; i < size; ++i) tree.add(leaves[i]);
        const std::vector<Hash> peaks(tree.peaks().begin(), tree.peaks().end());
        auto restored = MerkleAccumulator::restore(size, peaks);
        ASSERT_TRUE(restored) << size;
        EXPECT_EQ(restored->root(), tree.root());
        restored->add(leaves[size]);
        EXPECT_EQ(restored->root(), merkle_root(std::span(leaves).first(size + 1)));
        auto more = peaks;
        more.push_back(leaves[0]);
        EXPECT_EQ(MerkleAccumulator::restore(size, more).error().code, ErrorCode::malformed);
    }
}

}  // namespace
}  // namespace fiducial::crypto
