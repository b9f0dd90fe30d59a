#include "audit/tiles.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/file.hpp"
#include "crypto/merkle.hpp"

namespace fiducial::audit {
namespace {

namespace fs = std::filesystem;

/// A trace that grows, and its leaf hashes.
class Tiles : public ::testing::Test {
protected:
    ~Tiles() override { fs::remove_all(folder_); }

    void grow(std::uint64_t to) {
        Trace::Ticket last;
        while (leaves_.size() < to) {
            Entry entry;
            entry.block_number = leaves_.size();
            leaves_.push_back(entry_leaf_hash(encode_entry(entry, {}).value()));
            last = trace_->append(entry, {}).value();
        }
        ASSERT_TRUE(trace_->wait_durable(last));
    }
    std::span<const Hash> leaves(std::uint64_t size) const { return std::span(leaves_).first(size); }
    std::vector<std::string> files() const {
        std::vector<std::string> out;
        for (const auto& file : fs::recursive_directory_iterator(tiles_.path())) {
            if (file.is_regular_file()) out.push_back(fs::relative(file.path(), tiles_.path()).string());
        }
        std::sort(out.begin(), out.end());
        return out;
    }

    /// Empty: all files are right.
    std::string difference(std::uint64_t size) const { return tiles_.first_difference(*trace_, size).value().value_or(""); }

    static fs::path make_folder() {
        std::string name = (fs::temp_directory_path() / "fiducial-tiles-XXXXXX").string();
        FID_INVARIANT(::mkdtemp(name.data()) != nullptr, "no folder");
        return name;
    }

    const fs::path folder_ = make_folder();
    std::unique_ptr<Trace> trace_ = *Trace::create(folder_, crypto::Secret(32));
    std::vector<Hash> leaves_;
    TileFolder tiles_{folder_ / "tiles"};
};

TEST(TilePath, C2spTlogTiles) {
    EXPECT_EQ(tile_path(0, 1234067, 256), "tile/0/x001/x234/067");
    EXPECT_EQ(tile_path(2, 0, 1), "tile/2/000.p/1");
    EXPECT_EQ(tile_path(-1, 999, 255), "tile/entries/999.p/255");
    EXPECT_EQ(tile_path(-1, 1000, 256), "tile/entries/x001/000");
}

TEST_F(Tiles, AreTheFilesThatTlogTilesSays) {
    grow(256 * 3 + 5);
    ASSERT_TRUE(tiles_.extend(*trace_, 0, 256 * 3 + 5));
    EXPECT_EQ(files(), (std::vector<std::string>{"tile/0/000", "tile/0/001", "tile/0/002", "tile/0/003.p/5", "tile/1/000.p/3",
                                                 "tile/entries/000", "tile/entries/001", "tile/entries/002", "tile/entries/003.p/5"}));
    EXPECT_EQ(fs::file_size(tiles_.path() / "tile/0/000"), 8192U);
    EXPECT_EQ(fs::file_size(tiles_.path() / "tile/1/000.p/3"), 96U);
}

TEST_F(Tiles, ASizeOf256HasAFullTileAndOneHashAbove) {
    grow(256);
    ASSERT_TRUE(tiles_.extend(*trace_, 0, 256));
    EXPECT_EQ(files(), (std::vector<std::string>{"tile/0/000", "tile/1/000.p/1", "tile/entries/000"}));
}

TEST_F(Tiles, GrownInAnyStepsTheyGiveEveryRoot) {
    const std::uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 512, 700, 1023, 1300};
    std::uint64_t made = 0;
    for (const auto size : sizes) {
        grow(size);
        ASSERT_TRUE(tiles_.extend(*trace_, made, size)) << size;
        made = size;
        const auto root = tiles_.hash(0, size);
        ASSERT_TRUE(root) << root.error().message;
        EXPECT_EQ(*root, crypto::merkle_root(leaves(size))) << size;
        EXPECT_EQ(*root, trace_->root());
        EXPECT_EQ(difference(size), "") << size;
    }
    // Earlier sizes too, and the same whether made in steps or at once.
    for (const auto size : sizes) EXPECT_EQ(tiles_.hash(0, size).value(), crypto::merkle_root(leaves(size))) << size;
}

TEST_F(Tiles, GiveProofsThatHold_RFC6962) {
    constexpr std::uint64_t kSize = 600;
    grow(kSize);
    ASSERT_TRUE(tiles_.extend(*trace_, 0, kSize));
    const auto hash = tiles_.hashes();
    for (const std::uint64_t size : {1, 2, 3, 7, 64, 255, 256, 257, 512, 600}) {
        const auto root = crypto::merkle_root(leaves(size));
        for (std::uint64_t index = 0; index < size; index += 37) {
            EXPECT_EQ(inclusion_path(index, size, hash).value(), crypto::merkle_inclusion_path(leaves(size), index))
                << index << " of " << size;
        }
        for (const std::uint64_t old : {1, 2, 3, 6, 8, 100, 255, 256, 300, 512, 600}) {
            if (old > size) continue;
            const auto path = consistency_path(old, size, hash);
            ASSERT_TRUE(path) << path.error().message;
            EXPECT_EQ(*path, crypto::merkle_consistency_path(leaves(size), old)) << old << " to " << size;
            EXPECT_TRUE(crypto::merkle_verify_consistency(old, size, crypto::merkle_root(leaves(old)), root, *path));
        }
    }
}

TEST_F(Tiles, WhatWasChangedInThemIsNamed) {
    grow(300);
    ASSERT_TRUE(tiles_.extend(*trace_, 0, 300));
    const auto path = tiles_.path() / "tile/0/000";
    auto bytes = read_file(path, 1 << 20).value();
    bytes[77] ^= 1;
    ASSERT_TRUE(write_file_atomically(path, bytes));
    EXPECT_EQ(difference(300), "tile/0/000");
    ASSERT_TRUE(write_file_atomically(path, ByteView(bytes).first(100)));
    EXPECT_EQ(tiles_.hash(0, 3).error().code, ErrorCode::corrupt);
    fs::remove(path);
    EXPECT_EQ(inclusion_path(3, 300, tiles_.hashes()).error().code, ErrorCode::corrupt);
    EXPECT_EQ(difference(300), "tile/0/000");
    ASSERT_TRUE(tiles_.clear());
    ASSERT_TRUE(tiles_.extend(*trace_, 0, 300));
    EXPECT_EQ(difference(300), "");
}

TEST_F(Tiles, ProofFilesHoldWithoutTheLog) {
    constexpr std::uint64_t kOld = 130, kSize = 400, kIndex = 299;
    grow(kOld);
    const TraceHead old = trace_->head();
    grow(kSize);
    ASSERT_TRUE(tiles_.extend(*trace_, 0, kSize));
    const auto seed = crypto::random_secret(32);
    const auto key = log_key("log", seed);
    InclusionProof proof;
    proof.entry = trace_->read(kIndex)->bytes;
    proof.index = kIndex;
    proof.path = inclusion_path(kIndex, kSize, tiles_.hashes()).value();
    proof.checkpoint = sign_checkpoint({"log", trace_->head()}, seed).serialise();
    const auto read = InclusionProof::parse(proof.text());
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->text(), proof.text());
    ASSERT_TRUE(read->verify(key));
    EXPECT_EQ(read->verify(key)->head.size, kSize);
    EXPECT_EQ(read->verify(log_key("log", crypto::random_secret(32))).error().code, ErrorCode::unverified);
    auto changed = *read;
    changed.entry.back() ^= 1;
    EXPECT_EQ(changed.verify(key).error().code, ErrorCode::unverified);
    changed = *read;
    changed.index += 1;
    EXPECT_EQ(changed.verify(key).error().code, ErrorCode::unverified);

    ConsistencyProof growth;
    growth.old_size = kOld;
    growth.path = consistency_path(kOld, kSize, tiles_.hashes()).value();
    growth.checkpoint = proof.checkpoint;
    const auto grown = ConsistencyProof::parse(growth.text());
    ASSERT_TRUE(grown) << grown.error().message;
    EXPECT_EQ(grown->text(), growth.text());
    EXPECT_TRUE(grown->verify(key, old));
    EXPECT_EQ(grown->verify(key, {kOld, {}}).error().code, ErrorCode::unverified);
    EXPECT_EQ(grown->verify(key, {kOld + 1, old.root}).error().code, ErrorCode::unverified);
}

TEST(Proof, WhatIsNoneIsRefused) {
    const std::string head = std::string(InclusionProof::kFirstLine);
    for (const std::string& text :
         {std::string(), head, head + "index 1\n\n", head + "extra AAAA\nindex 01\n\n", head + "extra AAAA\nindex 1\nAAAA\n\n",
          head + "extra AA\nindex 1\n\n", head + "extra AAAA\nindex 1\n", std::string("c2sp.org/tlog-proof@v2\nextra AAAA\nindex 1\n\n")})
        EXPECT_EQ(InclusionProof::parse(text).error().code, ErrorCode::malformed) << text;
    for (const auto& text :
         {std::string(), std::string("old 1\n"), std::string("old x\n\n"), std::string("older 1\n\n"), std::string("old 1\nAAAA\n\n")})
        EXPECT_EQ(ConsistencyProof::parse(text).error().code, ErrorCode::malformed) << text;
    std::string longest = "old 1\n";
    for (int i = 0; i <= 64; ++i) longest += "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    EXPECT_EQ(ConsistencyProof::parse(longest + "\n").error().code, ErrorCode::limit_exceeded);
}

}  // namespace
}  // namespace fiducial::audit
