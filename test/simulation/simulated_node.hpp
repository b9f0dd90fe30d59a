#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/json.hpp"
#include "crypto/secret.hpp"
#include "ethereum/header.hpp"
#include "ethereum/transaction.hpp"
#include "fate.hpp"
#include "journal.hpp"
#include "ledger/chain_types.hpp"
#include "net/client.hpp"
#include "random.hpp"
#include "simulated_clock.hpp"

namespace fiducial::simulation {

/// An Ethereum node of a Clique chain, as the ledger room sees one: blocks that hash, seals that fit, a pool, the contract Studies. Held to
/// a real node by simulated_node_test.cpp. Not there: gas prices, the state as a trie (state roots are hashes of it, nothing can be
/// proved), other contracts.
/// Threads: one.
class SimulatedNode {
public:
    struct Settings {
        std::uint64_t chain_id = 0;
        std::vector<crypto::Secret> signers;
        std::uint64_t period = 0;
        std::uint64_t genesis_time = 0;
        Address studies{};
        Bytes32 institution{};
        Address gateway{};  // its account
    };
    SimulatedNode(Settings settings, SimulatedClock& clock);

    const std::vector<Address>& signers() const { return signers_; }  // ascending
    const Hash& genesis_hash() const { return chain_.front()->hash; }

    /// What a JSON-RPC request, or a batch, is answered.
    std::string answer(std::string_view request);

    // What happens to it and its network.
    bool away = false;
    bool syncing = false;
    bool indexing = false;         // its index of transactions is behind: no receipts
    bool count_is_behind = false;  // counts of transactions are those of the block before

    /// Seals a block of up to so many transactions of the pool. Returns: whether there is one (in a chain without a period an empty one is
    /// not made).
    bool seal(std::size_t most = 1000);
    /// A heavier chain branches off `depth` blocks below the head; what was undone is sealed again there, elsewhere, or goes back to
    /// the pool, as `where` says (0: in the same order, 1: anew, 2: lost) for each transaction.
    void fork(std::uint64_t depth, const std::function<unsigned()>& where);
    /// Its last blocks were not on its disk.
    void fall_back(std::uint64_t depth, bool keep_transactions);
    void lose_pool() { pool_.clear(); }

    std::uint64_t head() const { return chain_.size() - 1; }
    std::size_t pooled() const { return pool_.size(); }
    bool on_chain(const Hash& block) const;
    /// What the contract holds in a version's slot at the head; zeros: nothing.
    Hash record_at(const Hash& slot_key) const;
    std::size_t records() const { return chain_.back()->state->anchors.size(); }
    /// A nonce of the gateway's account that was seen with two different contents; since when is up to forget_contents.
    std::optional<std::uint64_t> nonce_with_two_contents() const { return two_contents_; }
    /// From this nonce on others may come: a settled block that held them was undone.
    void forget_contents(std::uint64_t from_nonce);
    std::uint64_t gateway_nonce() const { return chain_.back()->state->nonce; }

private:
    struct Pooled {
        ethereum::SignedTransaction transaction;
        Hash hash{};
    };
    struct State {
        std::map<Hash, Hash> anchors;  // by slot key
        std::uint64_t nonce = 0;       // of the gateway's account
    };
    struct Block {
        ethereum::BlockHeader header;
        Hash hash{};
        std::vector<Pooled> transactions;
        std::vector<ledger::Receipt> receipts;
        std::shared_ptr<const State> state;
        std::uint64_t weight = 0;  // total difficulty
    };
    using Chain = std::vector<std::shared_ptr<const Block>>;

    boost::json::value answer_one(const boost::json::value& request);
    boost::json::value result_of(std::string_view method, const boost::json::array& params);
    boost::json::value send(const boost::json::array& params);
    boost::json::value logs(const boost::json::array& params) const;
    boost::json::value call(const boost::json::array& params) const;
    std::shared_ptr<const Block> block_named(const boost::json::value& name) const;
    std::optional<std::pair<std::shared_ptr<const Block>, std::size_t>> find_transaction(const Hash& hash) const;
    std::shared_ptr<const Block> make_block(const Chain& before, std::vector<Pooled> transactions) const;
    const crypto::Secret& next_signer(const Chain& before, bool& in_turn) const;
    ledger::Receipt execute(State& state, const Pooled& transaction) const;
    std::vector<Pooled> executable(const State& state, std::size_t most) const;
    void take_to_pool(const Pooled& transaction);
    void drop_included();

    Settings settings_;
    SimulatedClock& clock_;
    std::vector<Address> signers_;
    Chain chain_;
    std::map<std::uint64_t, Pooled> pool_;  // of the gateway's account, by nonce
    std::map<std::uint64_t, Hash> contents_;
    std::optional<std::uint64_t> two_contents_;
};

/// The way to the node: what is asked may get lost, and so may the answer to what was carried out.
class SimulatedNetwork final : public net::JsonTransport {
public:
    struct Faults {
        unsigned lost_requests = 0, lost_answers = 0;  // one in so many; 0: never
    };
    SimulatedNetwork(SimulatedNode& node, SimulatedClock& clock, Fate& fate, Random random, Journal& journal)
        : node_(node), clock_(clock), fate_(fate), random_(random), journal_(journal) {}
    Result<std::string> exchange(std::string_view request, std::chrono::milliseconds timeout) override;

    Faults faults;

private:
    SimulatedNode& node_;
    SimulatedClock& clock_;
    Fate& fate_;
    Random random_;
    Journal& journal_;
};

}  // namespace fiducial::simulation
