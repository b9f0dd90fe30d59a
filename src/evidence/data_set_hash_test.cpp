#include "evidence/data_set_hash.hpp"

#include <gtest/gtest.h>

#include "crypto/merkle.hpp"
#include "evidence/evidence_test_support.hpp"

namespace fiducial::evidence {
namespace {

TEST(DataSetHash, PiecesOfAnySizeGiveTheSameFingerprint) {
    const Bytes data = filler("pieces", 40 * kChunkSize + 17);
    const auto whole = fingerprint_of(data);
    EXPECT_EQ(whole.chunk_hashes.size(), 41u);
    for (std::size_t piece : {std::size_t{1000}, kChunkSize - 1, kChunkSize, kChunkSize + 1, 16 * kChunkSize, 17 * kChunkSize + 3}) {
        DataSetHasher hasher;
        for (std::size_t at = 0; at < data.size(); at += piece)
            hasher.update(ByteView(data).subspan(at, std::min(piece, data.size() - at)));
        EXPECT_EQ(hasher.size(), data.size());
        EXPECT_EQ(hasher.finish().value(), whole) << piece;
    }
}

TEST(DataSetHash, EveryChunkAndItsPlaceCount) {
    const Bytes data = filler("places", 3 * kChunkSize);
    Bytes swapped(data.begin() + kChunkSize, data.begin() + 2 * kChunkSize);
    append(swapped, ByteView(data).first(kChunkSize));
    append(swapped, ByteView(data).subspan(2 * kChunkSize));
    EXPECT_NE(fingerprint_of(data).chunk_root, fingerprint_of(swapped).chunk_root);
    const auto found = fingerprint_of(data);
    std::vector<Hash> leaves;
    for (std::uint32_t i = 0; i < 3; ++i) {
        EXPECT_EQ(found.chunk_hashes[i], crypto::sha256(ByteView(data).subspan(i * kChunkSize, kChunkSize)));
        leaves.push_back(chunk_leaf(i, found.chunk_hashes[i]));
    }
    EXPECT_EQ(found.chunk_root, crypto::merkle_root(leaves));
}

TEST(DataSetHash, AHasherStartsAnewAfterFinishAndRefusesNoBytes) {
    DataSetHasher hasher;
    EXPECT_EQ(hasher.finish().error().code, ErrorCode::invalid_argument);
    hasher.update(as_bytes("abc"));
    const auto first = hasher.finish().value();
    hasher.update(as_bytes("abc"));
    EXPECT_EQ(hasher.finish().value(), first);
    EXPECT_EQ(hasher.finish().error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(chunk_root({}).error().code, ErrorCode::invalid_argument);
}

TEST(DataSetHash, ChunkCount) {
    EXPECT_EQ(chunk_count(0), 0u);
    EXPECT_EQ(chunk_count(1), 1u);
    EXPECT_EQ(chunk_count(32768), 1u);
    EXPECT_EQ(chunk_count(32769), 2u);
    EXPECT_EQ(chunk_count(UINT64_MAX), (std::uint64_t{1} << 49));
}

}  // namespace
}  // namespace fiducial::evidence
