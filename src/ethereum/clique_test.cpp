#include "ethereum/clique.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/hash.hpp"
#include "ethereum/test_support.hpp"
#include "ethereum/trie.hpp"

namespace fiducial::ethereum {
namespace {

constexpr std::array<std::uint8_t, 8> kAuthorise{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

Address address_named(const std::string& name) {
    return name.empty() ? Address{} : crypto::address_of(test::key_named(name)).value();
}

std::vector<Address> addresses_named(const std::vector<std::string>& names) {
    std::vector<Address> out;
    for (const auto& name : names) out.push_back(address_named(name));
    std::sort(out.begin(), out.end());
    return out;
}

Bytes checkpoint_extra(const std::vector<Address>& signers) {
    Bytes out(kCliqueVanitySize);
    for (const auto& signer : signers) append(out, signer);
    out.resize(out.size() + kCliqueSealSize);
    return out;
}

BlockHeader genesis(const std::vector<Address>& signers) {
    BlockHeader out;
    out.ommers_hash = kEmptyOmmersHash;
    out.state_root = kEmptyTrieRoot;
    out.transactions_root = kEmptyTrieRoot;
    out.receipts_root = kEmptyTrieRoot;
    out.difficulty = Uint256(1);
    out.gas_limit = 30'000'000;
    out.timestamp = 1'000'000;
    out.extra_data = checkpoint_extra(signers);
    out.base_fee_per_gas = Uint256(1'000'000'000);
    return out;
}

// An unsealed block after `parent`, as a sealer would prepare it.
BlockHeader next(const BlockHeader& parent, const std::string& signer, const std::vector<Address>& signers) {
    auto out = parent;
    out.parent_hash = parent.hash();
    out.number = parent.number + 1;
    out.timestamp = parent.timestamp + 1;
    out.beneficiary = {};
    out.nonce = {};
    out.base_fee_per_gas = next_base_fee(parent).value();
    out.extra_data = Bytes(kCliqueVanitySize + kCliqueSealSize);
    const auto place = std::find(signers.begin(), signers.end(), address_named(signer)) - signers.begin();
    out.difficulty = Uint256(!signers.empty() && out.number % signers.size() == static_cast<std::uint64_t>(place) ? 2 : 1);
    return out;
}

void seal(BlockHeader& header, const std::string& signer) {
    ASSERT_TRUE(clique_seal(header, test::key_named(signer)));
}

// The cases of the snapshot tests of geth 1.13.15's consensus/clique.
struct Vote {
    std::string signer;
    std::string voted = {};
    bool authorise = false;
    std::vector<std::string> checkpoint = {};
};
struct Case {
    std::string name;
    std::vector<std::string> signers;
    std::vector<Vote> votes;
    std::vector<std::string> results;
    std::string failure = {};  // a part of the last block's refusal
    std::uint64_t epoch = 30000;
};

std::vector<Case> addition_cases() {
    return {
        {"single signer, no votes", {"A"}, {{"A"}}, {"A"}},
        {"one adds two, the second needs two votes", {"A"}, {{"A", "B", true}, {"B"}, {"A", "C", true}}, {"A", "B"}},
        {"two add three, the third needs three votes",
         {"A", "B"},
         {{"A", "C", true}, {"B", "C", true}, {"A", "D", true}, {"B", "D", true}, {"C"}, {"A", "E", true}, {"B", "E", true}},
         {"A", "B", "C", "D"}},
        {"counted once a signer and target", {"A", "B"}, {{"A", "C", true}, {"B"}, {"A", "C", true}, {"B"}, {"A", "C", true}}, {"A", "B"}},
        {"several at the same time",
         {"A", "B"},
         {{"A", "C", true}, {"B"}, {"A", "D", true}, {"B"}, {"A"}, {"B", "D", true}, {"A"}, {"B", "C", true}},
         {"A", "B", "C", "D"}},
        {"an epoch resets the votes",
         {"A", "B"},
         {{"A", "C", true}, {"B"}, {"A", "", false, {"A", "B"}}, {"B", "C", true}},
         {"A", "B"},
         "",
         3},
    };
}

std::vector<Case> removal_cases() {
    return {
        {"one drops itself", {"A"}, {{"A", "A", false}}, {}},
        {"two need both to drop one, not met", {"A", "B"}, {{"A", "B", false}}, {"A", "B"}},
        {"two need both to drop one, met", {"A", "B"}, {{"A", "B", false}, {"B", "B", false}}, {"A"}},
        {"two of three drop the third", {"A", "B", "C"}, {{"A", "C", false}, {"B", "C", false}}, {"A", "B"}},
        {"two of four drop nobody", {"A", "B", "C", "D"}, {{"A", "C", false}, {"B", "C", false}}, {"A", "B", "C", "D"}},
        {"three of four drop one", {"A", "B", "C", "D"}, {{"A", "D", false}, {"B", "D", false}, {"C", "D", false}}, {"A", "B", "C"}},
        {"counted once a signer and target",
         {"A", "B"},
         {{"A", "B", false}, {"B"}, {"A", "B", false}, {"B"}, {"A", "B", false}},
         {"A", "B"}},
        {"several at the same time",
         {"A", "B", "C", "D"},
         {{"A", "C", false},
          {"B"},
          {"C"},
          {"A", "D", false},
          {"B"},
          {"C"},
          {"A"},
          {"B", "D", false},
          {"C", "D", false},
          {"A"},
          {"B", "C", false}},
         {"A", "B"}},
        {"a dropped signer's votes to drop go",
         {"A", "B", "C"},
         {{"C", "B", false}, {"A", "C", false}, {"B", "C", false}, {"A", "B", false}},
         {"A", "B"}},
        {"a dropped signer's votes to add go",
         {"A", "B", "C"},
         {{"C", "D", true}, {"A", "C", false}, {"B", "C", false}, {"A", "D", true}},
         {"A", "B"}},
    };
}

std::vector<Case> corner_cases() {
    const std::vector<Vote> cascade{{"A", "C", false}, {"B"}, {"C"}, {"A", "D", false}, {"B", "C", false}, {"C"}, {"A"}, {"B", "D", false},
                                    {"C", "D", false}};
    auto on_touch = cascade;
    on_touch.insert(on_touch.end(), {{"A"}, {"C", "C", true}});
    auto out_of_consensus = cascade;
    out_of_consensus.insert(out_of_consensus.end(), {{"A"}, {"B", "C", true}});
    return {
        {"no cascading changes", {"A", "B", "C", "D"}, cascade, {"A", "B", "C"}},
        {"changes reached out of bounds happen on touch", {"A", "B", "C", "D"}, on_touch, {"A", "B"}},
        {"changes reached out of bounds may go on first touch", {"A", "B", "C", "D"}, out_of_consensus, {"A", "B", "C"}},
        {"pending votes do not outlive a change",
         {"A", "B", "C", "D", "E"},
         {{"A", "F", true},
          {"B", "F", true},
          {"C", "F", true},
          {"D", "F", false},
          {"E", "F", false},
          {"B", "F", false},
          {"C", "F", false},
          {"D", "F", true},
          {"E", "F", true},
          {"B", "A", false},
          {"C", "A", false},
          {"D", "A", false},
          {"B", "F", true}},
         {"B", "C", "D", "E", "F"}},
    };
}

std::vector<Case> failing_cases() {
    return {
        {"not a signer", {"A"}, {{"B"}}, {}, "no signer"},
        {"sealed recently", {"A", "B"}, {{"A"}, {"A"}}, {}, "too recently"},
        {"recents live on over a checkpoint",
         {"A", "B", "C"},
         {{"A"}, {"B"}, {"A", "", false, {"A", "B", "C"}}, {"A"}},
         {},
         "too recently",
         3},
    };
}

void run(const Case& test) {
    SCOPED_TRACE(test.name);
    auto parent = genesis(addresses_named(test.signers));
    auto snapshot = CliqueSnapshot::from_checkpoint(parent, {.period_s = 1, .epoch = test.epoch}).value();
    for (std::size_t i = 0; i < test.votes.size(); ++i) {
        const auto& vote = test.votes[i];
        auto header = next(parent, vote.signer, snapshot.signers());
        header.beneficiary = address_named(vote.voted);
        if (vote.authorise) header.nonce = kAuthorise;
        if (!vote.checkpoint.empty()) header.extra_data = checkpoint_extra(addresses_named(vote.checkpoint));
        seal(header, vote.signer);
        const auto applied = snapshot.apply(header);
        if (!test.failure.empty() && i + 1 == test.votes.size()) {
            ASSERT_FALSE(applied);
            EXPECT_EQ(applied.error().code, ErrorCode::unverified);
            EXPECT_NE(applied.error().message.find(test.failure), std::string::npos) << applied.error().message;
            EXPECT_EQ(snapshot.hash(), parent.hash()) << "nothing has changed";
            return;
        }
        ASSERT_TRUE(applied) << applied.error().message;
        EXPECT_EQ(snapshot.hash(), header.hash());
        parent = header;
    }
    EXPECT_EQ(snapshot.signers(), addresses_named(test.results));
    EXPECT_EQ(snapshot.number(), test.votes.size());
}

TEST(CliqueSnapshot, GethCasesOfAddition) {
    for (const auto& test : addition_cases()) run(test);
}
TEST(CliqueSnapshot, GethCasesOfRemoval) {
    for (const auto& test : removal_cases()) run(test);
}
TEST(CliqueSnapshot, GethCasesOfCorners) {
    for (const auto& test : corner_cases()) run(test);
}
TEST(CliqueSnapshot, GethCasesOfFailure) {
    for (const auto& test : failing_cases()) run(test);
}

TEST(CliqueSnapshot, StartsFromACheckpointOnly) {
    auto header = genesis(addresses_named({"A"}));
    header.number = 7;
    EXPECT_EQ(CliqueSnapshot::from_checkpoint(header, {}).error().code, ErrorCode::invalid_argument);
    header.number = 0;
    header.extra_data = checkpoint_extra({});
    EXPECT_EQ(CliqueSnapshot::from_checkpoint(header, {}).error().code, ErrorCode::malformed);
    EXPECT_EQ(CliqueSnapshot::from_checkpoint(genesis({}), {.epoch = 0}).error().code, ErrorCode::invalid_argument);
}

TEST(CliqueSnapshot, NobodyLeftSealsNothing) {
    const auto start = genesis(addresses_named({"A"}));
    auto snapshot = CliqueSnapshot::from_checkpoint(start, {}).value();
    auto drop = next(start, "A", snapshot.signers());
    drop.beneficiary = address_named("A");
    seal(drop, "A");
    ASSERT_TRUE(snapshot.apply(drop));
    EXPECT_TRUE(snapshot.signers().empty());
    auto after = next(drop, "A", {});
    seal(after, "A");
    EXPECT_EQ(snapshot.apply(after).error().code, ErrorCode::unverified);
}

// A chain sealed in turns, as a healthy network makes it.
class Span : public ::testing::Test {
protected:
    std::vector<BlockHeader> chain(const std::vector<std::string>& names, std::size_t count) {
        names_ = names;
        std::sort(names_.begin(), names_.end(), [](const auto& a, const auto& b) { return address_named(a) < address_named(b); });
        signers_ = addresses_named(names);
        std::vector<BlockHeader> out;
        auto parent = genesis(signers_);
        for (std::size_t i = 1; i <= count; ++i) {
            const auto& signer = names_[i % names_.size()];
            auto header = next(parent, signer, signers_);
            seal(header, signer);
            out.push_back(header);
            parent = header;
        }
        return out;
    }
    // Changes a header, seals it again by who sealed it, and links those after it anew.
    std::vector<BlockHeader> changed(std::vector<BlockHeader> headers, std::size_t index, const std::function<void(BlockHeader&)>& change) {
        change(headers[index]);
        for (std::size_t i = index; i < headers.size(); ++i) {
            if (i > index) headers[i].parent_hash = headers[i - 1].hash();
            seal(headers[i], names_[headers[i].number % names_.size()]);
        }
        return headers;
    }
    void expect_broken(const std::vector<BlockHeader>& headers, std::string_view rule) {
        const auto report = rules_.check_span(headers, signers_);
        ASSERT_FALSE(report) << rule;
        EXPECT_EQ(report.error().code, ErrorCode::unverified);
        EXPECT_NE(report.error().message.find(rule), std::string::npos) << report.error().message;
    }
    std::vector<std::string> names_;
    std::vector<Address> signers_;
    CliqueRules rules_{CliqueConfig{.period_s = 1, .epoch = 10}};
};

TEST_F(Span, OfAHealthyChainIsTaken) {
    const auto headers = chain({"A", "B", "C"}, 9);
    const auto report = rules_.check_span(headers, signers_);
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_EQ(report->blocks.size(), 9u);
    EXPECT_EQ(report->signer_count, 3u);
    for (std::size_t i = 0; i < 9; ++i) {
        EXPECT_EQ(report->blocks[i].hash, headers[i].hash());
        EXPECT_TRUE(report->blocks[i].in_turn);
    }
    EXPECT_EQ(report->distinct_signers_from(0), 3u);
    EXPECT_EQ(report->distinct_signers_from(7), 2u);
    EXPECT_EQ(report->depth_of(7), 1u);
    auto shuffled = signers_;
    std::reverse(shuffled.begin(), shuffled.end());
    EXPECT_TRUE(rules_.check_span(headers, shuffled)) << "a set has no order";
}

TEST_F(Span, MayContainACheckpoint) {
    auto headers = chain({"A", "B", "C"}, 12);
    expect_broken(headers, "the checkpoint lists other signers");
    headers = changed(headers, 9, [&](BlockHeader& h) { h.extra_data = checkpoint_extra(signers_); });
    EXPECT_TRUE(rules_.check_span(headers, signers_));
    expect_broken(changed(headers, 9,
                          [&](BlockHeader& h) {
                              h.extra_data = checkpoint_extra({signers_[0], signers_[2]});
                          }),
                  "other signers");
    expect_broken(changed(headers, 9,
                          [&](BlockHeader& h) {
                              h.extra_data = checkpoint_extra({signers_[1], signers_[0], signers_[2]});
                          }),
                  "other signers");
}

TEST_F(Span, WithAVoteIsRefused) {
    const auto headers = chain({"A", "B", "C"}, 5);
    expect_broken(changed(headers, 2, [](BlockHeader& h) { h.beneficiary = address_named("D"); }), "vote");
    expect_broken(changed(headers, 2, [](BlockHeader& h) { h.nonce = kAuthorise; }), "vote");
    expect_broken(changed(headers, 2, [](BlockHeader& h) { h.nonce[3] = 1; }), "vote");
}

TEST_F(Span, BrokenRulesOfOneHeaderAreNamed) {
    const auto headers = chain({"A", "B", "C"}, 4);
    const auto with = [&](const std::function<void(BlockHeader&)>& change) { return changed(headers, 1, change); };
    expect_broken(with([](BlockHeader& h) { h.mix_hash[0] = 1; }), "mix hash");
    expect_broken(with([](BlockHeader& h) { h.ommers_hash[0] = 1; }), "ommers");
    expect_broken(with([](BlockHeader& h) { h.difficulty = Uint256(3); }), "neither 1 nor 2");
    expect_broken(with([](BlockHeader& h) { h.difficulty = Uint256(1); }), "turn");
    expect_broken(with([](BlockHeader& h) { h.gas_limit = std::uint64_t{1} << 63; }), "too high");
    expect_broken(with([](BlockHeader& h) { h.gas_used = h.gas_limit + 1; }), "more gas");
    expect_broken(with([](BlockHeader& h) { h.base_fee_per_gas.reset(); }), "no base fee");
    expect_broken(with([](BlockHeader& h) { h.extra_data.resize(117); }), "no checkpoint");
    auto short_extra = headers;
    short_extra[1].extra_data.resize(96);
    expect_broken(short_extra, "too short");
    auto later = headers;
    later[1].withdrawals_root = Hash{};
    expect_broken(later, "does not know");
    later[1].withdrawals_root.reset();
    later[1].requests_hash = Hash{};
    expect_broken(later, "does not know");
    expect_broken({genesis(signers_)}, "genesis");
}

TEST_F(Span, BrokenLinksAreNamed) {
    const auto headers = chain({"A", "B", "C"}, 4);
    const auto with = [&](const std::function<void(BlockHeader&)>& change) { return changed(headers, 1, change); };
    expect_broken(with([](BlockHeader& h) { h.parent_hash[0] ^= 1; }), "parent is another");
    expect_broken(with([](BlockHeader& h) { h.timestamp -= 1; }), "before its time");
    expect_broken(with([](BlockHeader& h) { h.timestamp = 0; }), "before its time");
    expect_broken(with([](BlockHeader& h) { h.gas_limit += h.gas_limit / 1024; }), "moved too far");
    expect_broken(with([](BlockHeader& h) { h.base_fee_per_gas = Uint256(1); }), "base fee is not");
    expect_broken({headers[0], headers[2]}, "does not follow");
    expect_broken({headers[1], headers[0]}, "does not follow");
    expect_broken({headers[0], headers[0]}, "does not follow");
}

TEST_F(Span, SealsOfOthersOrInAnotherFormAreRefused) {
    const auto headers = chain({"A", "B", "C"}, 4);
    auto stranger = headers;
    seal(stranger[3], "X");
    expect_broken(stranger, "no signer");
    auto v27 = headers;
    v27[3].extra_data.back() = static_cast<std::uint8_t>(v27[3].extra_data.back() + 27);
    expect_broken(v27, "v is neither");
    auto high = headers;
    auto& extra = high[3].extra_data;
    const auto order = Uint256::parse("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").value();
    const auto s = order.minus(Uint256::from_be_view(ByteView(extra).subspan(64, 32)).value())->to_be();
    std::copy(s.begin(), s.end(), extra.begin() + 64);
    extra.back() ^= 1;
    expect_broken(high, "upper half");
    auto zero = headers;
    std::fill(zero[3].extra_data.begin() + 32, zero[3].extra_data.end(), std::uint8_t{0});
    expect_broken(zero, "signature");
}

TEST_F(Span, EveryChangedFieldBreaksTheSealOrTheLink) {
    const auto headers = chain({"A", "B", "C"}, 2);
    const auto encoded = headers[1].encode();
    for (std::size_t i = 0; i < encoded.size(); ++i) {
        auto bytes = encoded;
        bytes[i] ^= 1;
        const auto header = decode_header(bytes);
        if (!header) continue;
        const std::vector<BlockHeader> span{headers[0], *header};
        EXPECT_FALSE(rules_.check_span(span, signers_)) << i;
    }
}

TEST_F(Span, RecentSignersStayAway) {
    // Four signers: two others must seal in between.
    const auto headers = chain({"A", "B", "C", "D"}, 4);
    const auto sealed_by = [&](std::size_t back) {
        auto out = headers;
        auto header = next(out.back(), names_[out[out.size() - back].number % 4], signers_);
        seal(header, names_[out[out.size() - back].number % 4]);
        out.push_back(header);
        return out;
    };
    expect_broken(sealed_by(1), "too recently");
    expect_broken(sealed_by(2), "too recently");
    const auto taken = rules_.check_span(sealed_by(3), signers_);
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_FALSE(taken->blocks.back().in_turn);
}

TEST_F(Span, RefusesSetsThatAreNone) {
    const auto headers = chain({"A"}, 2);
    EXPECT_EQ(rules_.check_span(headers, {}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(rules_.check_span({}, signers_).error().code, ErrorCode::invalid_argument);
    const std::vector<Address> twice{signers_[0], signers_[0]};
    EXPECT_EQ(rules_.check_span(headers, twice).error().code, ErrorCode::invalid_argument);
}

// The rule of settled, with the sealers given by letters.
std::optional<std::size_t> settled(std::string_view sealers, std::size_t index, std::size_t signer_count) {
    SealReport report;
    report.signer_count = signer_count;
    for (const char sealer : sealers) {
        Address address{};
        address[0] = static_cast<std::uint8_t>(sealer);
        report.blocks.push_back({report.blocks.size() + 1, {}, address, false});
    }
    return CliqueRules(CliqueConfig{}).settled_with(report, index);
}

TEST(Settled, OneSignerAtInclusion) {
    EXPECT_EQ(settled("A", 0, 1), 0u);
    EXPECT_EQ(settled("AAA", 2, 1), 2u);
    EXPECT_EQ(settled("A", 1, 1), std::nullopt) << "outside of the span";
}

TEST(Settled, MoreSignersNeedDistinctSealsAndAsManyBlocksMore) {
    EXPECT_EQ(settled("ABC", 0, 3), std::nullopt);
    EXPECT_EQ(settled("ABCA", 0, 3), 3u);  // A and B are two of three, then two blocks more
    EXPECT_EQ(settled("ABCABC", 1, 3), 4u);
    EXPECT_EQ(settled("ABAB", 0, 3), 3u);
    EXPECT_EQ(settled("ABAB", 0, 2), 3u);  // both of two, then two more
    EXPECT_EQ(settled("ABCDE", 0, 5), std::nullopt);
    EXPECT_EQ(settled("ABCDEA", 0, 5), 5u);  // three of five, then three more
    EXPECT_EQ(settled("AAAAAAAA", 0, 3), std::nullopt) << "one sealer is never two";
    EXPECT_EQ(settled("ABC", 0, 0), std::nullopt);
}

}  // namespace
}  // namespace fiducial::ethereum
