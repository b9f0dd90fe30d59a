#include "ledger/follower.hpp"

#include <gtest/gtest.h>

#include <soci/soci.h>

#include <boost/json.hpp>

#include "base/hex.hpp"
#include "ledger/ledger_test_support.hpp"
#include "ledger/node/network.hpp"
#include "ledger/proofs.hpp"
#include "ledger/signer_history.hpp"
#include "net/client.hpp"

namespace fiducial::ledger {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::must;
using testing::NodeKind;
using testing::Site;
using testing::TemporaryFolder;

// What a sink is told, in order.
class Journal final : public LedgerChanges {
public:
    Result<void> apply(database::Transaction&, const Block& block, std::span<const Log>) override {
        if (fail_at && block.number() == *fail_at) return fail(ErrorCode::internal, "the sink does not take it");
        lines.push_back("+" + std::to_string(block.number()));
        return {};
    }
    Result<void> undo(database::Transaction&, const Block& block, bool was_settled) override {
        lines.push_back((was_settled ? "-!" : "-") + std::to_string(block.number()));
        return {};
    }
    Result<void> settle(database::Transaction&, const Block& block) override {
        lines.push_back("s" + std::to_string(block.number()));
        return {};
    }
    void answered(SystemTime) override { ++answers; }
    std::string text() const {
        std::string out;
        for (const auto& line : lines) out += (out.empty() ? "" : " ") + line;
        return out;
    }
    std::vector<std::string> lines;
    std::optional<std::uint64_t> fail_at;
    int answers = 0;
};

void follow(Follower& follower) {
    while (must(follower.step())) {
    }
}

// A development chain without contracts, and a follower on it.
struct Bare {
    Bare() {
        chain = testing::TestChain::start(NodeKind::anvil, skip);
        if (!chain) return;
        rpc = chain->rpc();
        settings.chain_id = chain->chain_id;
        settings.genesis_hash = chain->genesis_hash;
        settings.from_block = 1;
        settings.filter.addresses = {Address{1}};
        database = must(database::Database::open({.path = folder.path() / "index.db"}, migrations()));
    }
    std::unique_ptr<Follower> make() {
        return std::make_unique<Follower>(*database, *rpc, settings, std::vector<LedgerChanges*>{&journal}, clock);
    }
    void mine(int blocks = 1) {
        for (int i = 0; i < blocks; ++i) must(rpc->raw("evm_mine", "[]"));
    }
    // The newest blocks are replaced by as many others.
    void fork(int depth) {
        must(rpc->raw("anvil_rollback", "[" + std::to_string(depth) + "]"));
        must(rpc->raw("evm_increaseTime", "[100]"));
        mine(depth);
    }
    std::string skip;
    TemporaryFolder folder;
    std::unique_ptr<testing::TestChain> chain;
    std::shared_ptr<Rpc> rpc;
    FollowerSettings settings;
    std::unique_ptr<database::Database> database;
    Journal journal;
    testing::SetClock clock;
};

TEST(Follower, EachBlockIsToldOnceAlsoAcrossARestart) {
    Bare bare;
    FID_SKIP_WITHOUT(bare);
    bare.settings.blocks_at_once = 2;
    auto follower = bare.make();
    must(follower->load());
    follow(*follower);
    EXPECT_FALSE(follower->status().any);
    EXPECT_TRUE(follower->status().reachable);
    EXPECT_EQ(must(newest_block_time(*bare.database)), std::nullopt);
    bare.mine(3);
    follow(*follower);
    EXPECT_EQ(must(newest_block_time(*bare.database)), follower->status().head_time);
    EXPECT_EQ(bare.journal.text(), "+1 +2 s1 s2 +3 s3");
    follower = bare.make();
    must(follower->load());
    EXPECT_EQ(follower->status().head, 3U);
    EXPECT_EQ(follower->status().settled, 3U);
    follow(*follower);
    EXPECT_EQ(bare.journal.lines.size(), 6U);
    bare.mine();
    follow(*follower);
    EXPECT_EQ(bare.journal.text(), "+1 +2 s1 s2 +3 s3 +4 s4");
}

TEST(Follower, WhatASinkRefusesIsToldAgain) {
    Bare bare;
    FID_SKIP_WITHOUT(bare);
    auto follower = bare.make();
    must(follower->load());
    bare.mine(3);
    bare.journal.fail_at = 2;
    EXPECT_FALSE(follower->step().has_value());
    EXPECT_EQ(follower->status().head, 0U);
    EXPECT_FALSE(follower->status().problem.empty());
    bare.journal.fail_at.reset();
    bare.journal.lines.clear();
    follow(*follower);
    EXPECT_EQ(bare.journal.text(), "+1 +2 +3 s1 s2 s3");
    EXPECT_TRUE(follower->status().problem.empty());
}

TEST(Follower, WhoseSinkRefusesABlockIsBehindThoughTheNodeAnswers) {
    Bare bare;
    FID_SKIP_WITHOUT(bare);
    auto follower = bare.make();
    must(follower->load());
    bare.mine();
    follow(*follower);
    EXPECT_TRUE(follower->status().current);
    const auto answers = bare.journal.answers;
    bare.mine();
    bare.journal.fail_at = 2;
    EXPECT_FALSE(follower->step().has_value());
    EXPECT_FALSE(follower->status().current);
    EXPECT_FALSE(follower->status().behind);
    bare.clock.ahead += seconds(11);
    EXPECT_FALSE(follower->step().has_value());
    EXPECT_TRUE(follower->status().behind);
    EXPECT_EQ(bare.journal.answers, answers);
    bare.journal.fail_at.reset();
    follow(*follower);
    EXPECT_TRUE(follower->status().current);
}

TEST(Follower, IsNotCurrentWhileItCatchesUp) {
    Bare bare;
    FID_SKIP_WITHOUT(bare);
    bare.settings.blocks_at_once = 2;
    auto follower = bare.make();
    must(follower->load());
    bare.mine(6);
    must(follower->step());
    EXPECT_TRUE(follower->status().behind);
    EXPECT_FALSE(follower->status().current);
    EXPECT_FALSE(follower->status().problem.empty());
    EXPECT_FALSE(follower->status().last_answer);
    EXPECT_EQ(bare.journal.answers, 0);  // nobody may take what stands at an old block for the node's word of now
    must(follower->step());
    EXPECT_TRUE(follower->status().problem.empty());  // one poll takes the rest
    EXPECT_TRUE(follower->status().behind);
    EXPECT_EQ(bare.journal.answers, 0);
    must(follower->step());
    EXPECT_TRUE(follower->status().current);
    EXPECT_EQ(bare.journal.answers, 1);
}

TEST(Follower, WhatIsDamagedInTheDatabaseIsFollowedAgain) {
    Bare bare;
    FID_SKIP_WITHOUT(bare);
    auto follower = bare.make();
    must(follower->load());
    bare.mine(3);
    follow(*follower);
    const std::string again = "+1 +2 +3 s1 s2 s3";
    // Nobody is told anything twice while the newest block and one that is settled are sound.
    for (const auto& [damage, told] : std::vector<std::pair<std::string, std::string>>{
             {"update ledger_blocks set header = 'zz' where number = 3", again},
             {"update ledger_blocks set hash = '00' where number = 1", ""},
             {"update ledger_blocks set hash = '00' where number = 2", ""},
             {"update ledger_blocks set number = 9 where number = 3", again},
             {"delete from ledger_blocks where number = 2", ""},
             {"update ledger_blocks set header = ''", again},
             {"update ledger_blocks set settled = 0, hash = case when number = 1 then '00' else hash end", again}}) {
        must(bare.database->write(database::Durability::full,
                                  [&](database::Transaction& t) { return database::attempt("damage", [&] { t.sql() << damage; }); }));
        bare.journal.lines.clear();
        must(newest_block_time(*bare.database));
        follower = bare.make();
        must(follower->load());
        follow(*follower);
        EXPECT_EQ(bare.journal.text(), told) << damage;
        EXPECT_EQ(follower->status().settled, 3U);
    }
}

TEST(Follower, AReorganisationIsUndoneNewestFirstAndFollowedAnew) {
    Bare bare;
    FID_SKIP_WITHOUT(bare);
    bare.settings.development_depth = 2;
    auto follower = bare.make();
    must(follower->load());
    bare.mine(4);
    follow(*follower);
    EXPECT_EQ(bare.journal.text(), "+1 +2 +3 +4 s1 s2");
    bare.journal.lines.clear();
    bare.fork(2);
    follow(*follower);
    EXPECT_EQ(bare.journal.text(), "-4 -3 +3 +4");
    EXPECT_EQ(follower->status().deepest_reorganisation, 2U);
    EXPECT_EQ(follower->status().incidents, 0U);
    bare.journal.lines.clear();
    bare.fork(3);
    follow(*follower);
    EXPECT_EQ(bare.journal.text(), "-4 -3 -!2 +2 +3 +4 s2");
    EXPECT_EQ(follower->status().incidents, 1U);
    EXPECT_EQ(follower->status().reorganisations, 2U);
    // It stays one over a restart, until a person has looked into it.
    follower = bare.make();
    must(follower->load());
    EXPECT_EQ(follower->status().unacknowledged, 1U);
    EXPECT_EQ(follower->status().lowest_undone, 2U);
    // What is undone after a person looked is not acknowledged with the rest.
    const auto looked = follower->status();
    bare.mine();
    follow(*follower);
    bare.fork(3);
    follow(*follower);
    EXPECT_EQ(follower->status().unacknowledged, 2U);
    EXPECT_EQ(follower->acknowledge_undone(looked).error().code, ErrorCode::conflict);
    EXPECT_EQ(follower->status().unacknowledged, 2U);
    follower = bare.make();
    must(follower->load());
    EXPECT_EQ(follower->status().unacknowledged, 2U);
    must(follower->acknowledge_undone(follower->status()));
    EXPECT_EQ(follower->status().unacknowledged, 0U);
    follower = bare.make();
    must(follower->load());
    EXPECT_EQ(follower->status().unacknowledged, 0U);
}

TEST(Follower, ANodeOnAnotherChainIsNotFollowed) {
    Bare bare;
    FID_SKIP_WITHOUT(bare);
    bare.mine();
    auto wrong = bare.settings;
    wrong.chain_id += 1;
    Follower other_id(*bare.database, *bare.rpc, wrong, {&bare.journal});
    must(other_id.load());
    EXPECT_EQ(other_id.step().error().code, ErrorCode::conflict);
    EXPECT_FALSE(other_id.status().reachable);
    EXPECT_TRUE(other_id.status().behind);
    EXPECT_TRUE(bare.journal.lines.empty());
    // The database remembers whose chain it followed.
    EXPECT_EQ(bare.make()->load().error().code, ErrorCode::conflict);
}

TEST(Follower, BehindCountsFromTheLastAnswerAndNotFromTheLastBlock) {
    Bare bare;
    FID_SKIP_WITHOUT(bare);
    auto follower = bare.make();
    must(follower->load());
    EXPECT_TRUE(follower->status().behind);  // never answered
    bare.mine();
    follow(*follower);
    EXPECT_FALSE(follower->status().behind);
    bare.clock.ahead += seconds(3600);  // an idle chain: no block for an hour
    EXPECT_TRUE(follower->status().behind);
    must(follower->step());  // but it answers
    EXPECT_FALSE(follower->status().behind);
    bare.clock.ahead += seconds(9);
    EXPECT_FALSE(follower->status().behind);
    bare.clock.ahead += seconds(2);
    EXPECT_TRUE(follower->status().behind);
    EXPECT_FALSE(follower->status().stalled);  // period 0: no block is due
}

TEST(Follower, WithAPeriodAMissingBlockIsAStall) {
    Bare bare;
    FID_SKIP_WITHOUT(bare);
    bare.settings.period = 5;
    auto follower = bare.make();
    must(follower->load());
    bare.mine();
    follow(*follower);
    EXPECT_FALSE(follower->status().stalled);
    bare.clock.ahead += seconds(31);
    must(follower->step());
    EXPECT_TRUE(follower->status().stalled);
    EXPECT_FALSE(follower->status().behind);  // max(3 periods, 10 s) since an answer
    bare.mine();
    follow(*follower);
    EXPECT_FALSE(follower->status().stalled);
    bare.clock.ahead += seconds(14);
    EXPECT_FALSE(follower->status().behind);
    bare.clock.ahead += seconds(2);
    EXPECT_TRUE(follower->status().behind);
}

TEST(Follower, HeadersBelowTheWindowGo) {
    Bare bare;
    FID_SKIP_WITHOUT(bare);
    bare.settings.kept_blocks = 4;
    auto follower = bare.make();
    must(follower->load());
    bare.mine(20);
    follow(*follower);
    bare.mine(1);
    follow(*follower);
    follower = bare.make();
    must(follower->load());
    EXPECT_EQ(follower->status().head, 21U);
    bare.fork(3);
    follow(*follower);
    EXPECT_EQ(follower->status().deepest_reorganisation, 3U);
    bare.fork(12);  // deeper than what is kept: nobody guesses
    const auto deep = follower->step();
    ASSERT_FALSE(deep.has_value());
    EXPECT_EQ(deep.error().code, ErrorCode::corrupt);
}

// Three real signers on one machine: blocks count as settled by the rule, not at inclusion.
class ThreeSigners {
public:
    explicit ThreeSigners(std::string& why) {
        const auto geth = find_geth({});
        if (!geth) {
            why = geth.error().message;
            return;
        }
        NetworkSettings settings;
        settings.geth = *geth;
        settings.folder = folder_.path() / "net";
        settings.period = 1;
        network = must(create_network(settings));
        for (std::size_t i = 0; i < network.sockets.size(); ++i) {
            const auto node = network.sockets[i].parent_path();
            ProcessSpec spec{.program = *geth};
            spec.arguments = network_arguments({node.string(), network.sockets[i].string(), to_0x(network.signers[i]),
                                                (node / "password").string(), network.chain_id, 64});
            nodes_.push_back(must(Process::start(spec)));
            rpcs.push_back(std::make_shared<Rpc>(std::make_shared<net::UnixSocketJson>(network.sockets[i]),
                                                 RpcSettings{.first_backoff = milliseconds(0)}));
        }
        for (auto& rpc : rpcs) {
            for (int tries = 0; tries < 3000 && !rpc->chain_id(); ++tries) std::this_thread::sleep_for(milliseconds(10));
        }
        genesis_hash = must(rpcs[0]->block(std::uint64_t{0}))->hash;
    }
    /// What each node has, for a test that waited in vain.
    std::string seen() const {
        std::string text;
        for (const auto& rpc : rpcs) {
            for (const auto* method : {"eth_blockNumber", "net_peerCount", "eth_syncing"}) {
                const auto answer = rpc->raw(method, "[]");
                text += std::string(method) + " " + (answer ? boost::json::serialize(*answer) : answer.error().message) + "; ";
            }
            text += "\n";
        }
        return text;
    }
    NetworkReport network;
    std::vector<std::shared_ptr<Rpc>> rpcs;
    Hash genesis_hash{};

private:
    TemporaryFolder folder_;
    std::vector<Process> nodes_;
};

TEST(Follower, ThreeSignersSettleAfterTheirMajorityAndAsManyBlocksMore) {
    std::string why;
    ThreeSigners signers(why);
    if (!why.empty()) {
        FID_SKIP(why);
    }
    TemporaryFolder folder;
    const auto database = must(database::Database::open({.path = folder.path() / "index.db"}, migrations()));
    FollowerSettings settings;
    settings.chain_id = signers.network.chain_id;
    settings.genesis_hash = signers.genesis_hash;
    settings.period = 1;
    settings.filter.addresses = {Address{1}};
    settings.poll = milliseconds(50);
    settings.seals = std::make_shared<ethereum::CliqueRules>(ethereum::CliqueConfig{.period_s = 1});
    settings.signer_sets = {{0, std::nullopt, signers.network.signers}};
    std::sort(settings.signer_sets[0].signers.begin(), settings.signer_sets[0].signers.end());
    Journal journal;
    Follower follower(*database, *signers.rpcs[0], settings, {&journal});
    must(follower.start());
    ASSERT_TRUE(follower.wait_until([](const FollowerStatus& status) { return status.settled >= 4; }, seconds(120)))
        << follower.status().problem << "; head " << follower.status().head << "\n"
        << signers.seen();
    follower.stop();
    const auto status = follower.status();
    // Two distinct signers stand on a block with its child at the earliest, then two more blocks.
    EXPECT_GE(status.head, status.settled + 3);
    EXPECT_FALSE(status.behind);
    EXPECT_EQ(status.incidents, 0U);
    // Not one that is not a signer: then nothing is followed.
    auto others = settings;
    others.signer_sets[0].signers = {Address{1}, Address{2}, Address{3}};
    TemporaryFolder other_folder;
    const auto other_database = must(database::Database::open({.path = other_folder.path() / "index.db"}, migrations()));
    Follower distrustful(*other_database, *signers.rpcs[0], others, {&journal});
    must(distrustful.load());
    EXPECT_EQ(distrustful.step().error().code, ErrorCode::unverified);
    EXPECT_FALSE(distrustful.status().any);

    // A fourth is voted in while nobody looks, and then while it is followed: neither stops the following.
    settings.clique = ethereum::CliqueConfig{.period_s = 1};
    const auto signer_count = [&](std::uint64_t block) {
        return must(signers.rpcs[0]->raw("clique_getSigners", "[\"" + ethereum::Uint256(block).to_quantity() + "\"]")).as_array().size();
    };
    for (const auto added : {std::uint8_t{1}, std::uint8_t{2}}) {
        const auto candidate = to_0x(Address{added});
        for (const auto& rpc : signers.rpcs) must(rpc->raw("clique_propose", "[\"" + candidate + "\", true]"));
        const auto head = follower.status().head;
        Follower voting(*database, *signers.rpcs[0], settings, {&journal});
        must(voting.start());
        ASSERT_TRUE(voting.wait_until(
            [&](const FollowerStatus& now) { return now.settled > head + 1 && signer_count(now.settled - 1) >= 3U + added; }, seconds(120)))
            << voting.status().problem;
        voting.stop();
        const auto now = voting.status();
        EXPECT_EQ(now.voted_signers.size(), 3U + added);
        const KnownSigners known{settings.genesis_hash, *settings.clique, settings.signer_sets};
        const auto found = must(follow_signer_sets(*signers.rpcs[0], known, now.settled, now.settled_hash));
        ASSERT_EQ(found.size(), 1U + added);
        EXPECT_EQ(found[0].first_block, 0U);
        for (std::size_t i = 1; i < found.size(); ++i) {
            EXPECT_EQ(found[i].signers.size(), 3 + i);
            EXPECT_EQ(signer_count(found[i].first_block - 1), 3 + i);  // whom the node counts after a block seal the next
            EXPECT_EQ(signer_count(found[i].first_block - 2), 2 + i);
            EXPECT_EQ(found[i - 1].last_block, found[i].first_block - 1);
        }
        EXPECT_TRUE(check_same_signers(found, found, now.settled));
        EXPECT_EQ(check_same_signers(found, settings.signer_sets, now.settled).error().code, ErrorCode::unverified);
        EXPECT_TRUE(check_same_signers(found, settings.signer_sets, found[1].first_block - 1));
        EXPECT_EQ(follow_signer_sets(*signers.rpcs[0], known, now.settled, Hash{}).error().code, ErrorCode::unavailable);
        EXPECT_EQ(follow_signer_sets(*signers.rpcs[0], known, now.settled, now.settled_hash,
                                     [](std::uint64_t number, auto) { return number < 2; })
                      .error()
                      .code,
                  ErrorCode::cancelled);
        if (added == 2) break;
        auto first = head;
        while (signer_count(first) == 3) ++first;
        // Evidence of a block with a vote begins after it, under the signers of then.
        ProofQuestion question;
        question.contract = Address{1};
        question.seals = settings.seals.get();
        question.from_block = first;  // it carries the vote that decided
        auto four = settings.signer_sets[0];
        four.first_block = first + 1;
        four.signers.push_back(Address{added});
        auto three = settings.signer_sets[0];
        three.last_block = first;
        const std::vector<evidence::SignerSet> sets{three, four};
        question.signer_sets = sets;
        ASSERT_TRUE(voting.status().settled > first);
        EXPECT_EQ(gather_proof(*signers.rpcs[0], question).error().code,
                  ErrorCode::not_found);  // a settled span was found; the contract was not
    }
}

}  // namespace
}  // namespace fiducial::ledger
