#include "audit/witness.hpp"

#include <gtest/gtest.h>

#include <map>

#include "crypto/merkle.hpp"

namespace fiducial::audit {
namespace {

constexpr std::string_view kOrigin = "fiducial/trace/00";

/// A log of leaves that are all known, and a witness that knows it.
struct WitnessTest : ::testing::Test {
    crypto::Secret seed = crypto::random_secret(32);
    Witness witness{"witness", crypto::random_secret(32), {log_key(kOrigin, seed)}};
    std::map<std::string, TraceHead> kept;
    Witness::Memory memory{[this](const std::string& origin) -> Result<TraceHead> { return kept[origin]; },
                           [this](const std::string& origin, const TraceHead& head) -> Result<void> {
                               kept[origin] = head;
                               return {};
                           }};

    static std::vector<Hash> leaves(std::uint64_t size, std::uint8_t salt = 0) {
        std::vector<Hash> out(size);
        for (std::size_t i = 0; i < size; ++i) out[i][0] = static_cast<std::uint8_t>(i), out[i][1] = salt;
        return out;
    }
    ConsistencyProof request(std::uint64_t old_size, std::uint64_t size, std::uint8_t salt = 0) const {
        const auto all = leaves(size, salt);
        ConsistencyProof out;
        out.old_size = old_size;
        if (old_size <= size) out.path = crypto::merkle_consistency_path(all, old_size);
        out.checkpoint = sign_checkpoint({std::string(kOrigin), {size, crypto::merkle_root(all)}}, seed).serialise();
        return out;
    }
    WitnessAnswer ask(const std::string& text) const {
        return witness.add_checkpoint(text, memory, SystemTime(std::chrono::seconds(1679315147))).value();
    }
    WitnessAnswer ask(const ConsistencyProof& proof) const { return ask(proof.text()); }
};

TEST_F(WitnessTest, C2spTlogWitness_ALogThatGrowsIsCosigned) {
    for (const auto& [from, to] : {std::pair<std::uint64_t, std::uint64_t>{0, 3}, {3, 3}, {3, 7}, {7, 64}}) {
        const auto proof = request(from, to);
        const auto answer = ask(proof);
        ASSERT_EQ(answer.status, 200U) << answer.body;
        auto note = Note::parse(proof.checkpoint).value();
        const auto lines = Note::parse_signatures(answer.body);
        ASSERT_TRUE(lines) << lines.error().message;
        note.signatures.insert(note.signatures.end(), lines->begin(), lines->end());
        EXPECT_EQ(note.cosigned_at(witness.key()), 1679315147U);
        EXPECT_TRUE(open_checkpoint(note.serialise(), log_key(kOrigin, seed)));
    }
    EXPECT_EQ(kept[std::string(kOrigin)].size, 64U);
}

TEST_F(WitnessTest, C2spTlogWitness_WhateverElseIsRefusedWithItsStatus) {
    ASSERT_EQ(ask(request(0, 5)).status, 200U);
    EXPECT_EQ(ask("").status, 400U);
    EXPECT_EQ(ask("old 0\n\nnot a note").status, 400U);
    EXPECT_EQ(ask(request(9, 7)).status, 400U);
    const auto stale = ask(request(0, 7));
    EXPECT_EQ(stale.status, 409U);
    EXPECT_EQ(stale.content_type, "text/x.tlog.size");
    EXPECT_EQ(stale.body, "5\n");
    EXPECT_EQ(ask(request(3, 4)).status, 409U);     // cut back
    EXPECT_EQ(ask(request(5, 5, 1)).status, 409U);  // another root for one size
    EXPECT_EQ(ask(request(5, 9, 1)).status, 422U);  // rewritten
    auto unknown = request(5, 7);
    unknown.checkpoint = sign_checkpoint({"another", {7, {}}}, seed).serialise();
    EXPECT_EQ(ask(unknown).status, 404U);
    auto forged = request(5, 7);
    forged.checkpoint = sign_checkpoint({std::string(kOrigin), {7, {}}}, crypto::random_secret(32)).serialise();
    EXPECT_EQ(ask(forged).status, 403U);
    EXPECT_EQ(kept[std::string(kOrigin)].size, 5U);
    EXPECT_EQ(ask(request(5, 7)).status, 200U);
}

TEST_F(WitnessTest, WhatCannotBeKeptIsNotCosigned) {
    memory.keep = [](const std::string&, const TraceHead&) -> Result<void> { return fail(ErrorCode::no_space, "full"); };
    EXPECT_EQ(witness.add_checkpoint(request(0, 3).text(), memory, SystemTime{}).error().code, ErrorCode::no_space);
}

}  // namespace
}  // namespace fiducial::audit
