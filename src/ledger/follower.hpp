#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "ethereum/clique.hpp"
#include "evidence/trust_file.hpp"
#include "ledger/chain_types.hpp"
#include "ledger/rpc.hpp"

namespace fiducial::database {
class Database;
class Transaction;
}  // namespace fiducial::database

namespace fiducial::ledger {

/// Whoever follows the chain: told of each block once, in order, and of its undoing.
/// Each call runs in the transaction that also stores the follower's position, so that after a crash nothing is told twice
/// and nothing is left out. An error aborts that transaction; the same is tried again later.
/// Threads: called from the follower's thread only.
class LedgerChanges {
public:
    virtual ~LedgerChanges() = default;
    /// A block became part of the chain; `logs` are those of the followed contracts, in order.
    virtual Result<void> apply(database::Transaction& transaction, const Block& block, std::span<const Log> logs) = 0;
    /// A block is no longer part of it. The newest comes first. `was_settled`: an incident.
    virtual Result<void> undo(database::Transaction& transaction, const Block& block, bool was_settled) = 0;
    /// A block became settled. Ascending, every block once (again after it was undone).
    virtual Result<void> settle(database::Transaction& transaction, const Block& block) = 0;
    /// After the commit of one or more of the above. Wake up whoever waits.
    virtual void committed() {}
    /// The node answered a poll, and every block up to its head was taken. Outside of any transaction, at every such poll: be quick.
    virtual void answered(SystemTime) {}
};

struct FollowerSettings {
    std::uint64_t chain_id = 0;
    Hash genesis_hash{};
    std::uint64_t period = 0;                          // seconds
    std::uint64_t from_block = 0;                      // no followed contract is older
    LogFilter filter;                                  // the followed contracts
    std::shared_ptr<const ethereum::SealRules> seals;  // none: a development chain, settled at inclusion
    std::vector<evidence::SignerSet> signer_sets;      // with seals
    std::optional<ethereum::CliqueConfig> clique;      // with it, signers that vote are followed by their votes (EIP-225)
    std::uint64_t development_depth = 0;               // without seals: blocks on top until settled
    std::chrono::milliseconds poll{250};
    std::size_t blocks_at_once = 64;       // one database transaction
    std::size_t kept_blocks = 1024;        // headers kept below the settled head: the deepest reorganisation that can be followed
    std::chrono::seconds stall_after{30};  // and three periods
};

/// The chain as this archive has followed it.
struct FollowerStatus {
    bool reachable = false;  // the last poll was answered, for the right chain, by a node that is not syncing, and followed
    bool behind = true;      // the last such poll that reached the node's head is older than max(3 periods, 10 s), or there was none
    bool current = false;    // not behind, the last poll succeeded, and no more blocks are still to be told than one poll takes
    std::string problem;     // of the last poll, for people; also while more is still to be told than one poll takes
    std::optional<SystemTime> last_answer;  // of the last poll that reached the node's head
    std::uint64_t head = 0;                 // followed, not the node's own when we are still catching up
    Hash head_hash{};
    std::uint64_t head_time = 0;  // seconds
    std::uint64_t node_head = 0;
    std::uint64_t settled = 0;
    Hash settled_hash{};
    std::vector<Address> voted_signers;        // who seals after their latest settled votes; none while the trust file's set fits
    bool any = false;                          // there is a head
    std::uint64_t deepest_reorganisation = 0;  // blocks; since the start
    std::uint64_t reorganisations = 0;
    std::uint64_t incidents = 0;       // settled blocks were undone: so often since the start
    std::uint64_t unacknowledged = 0;  // likewise, over restarts, until a person has looked into it
    std::uint64_t lowest_undone = 0;   // of those: the lowest block
    bool stalled = false;              // period > 0: no new block for so long although the node answers
};

/// Follows the chain of one node by polling: every block once, reorganisations found by parent hash, logs read by block hash.
/// Threads: safe; one thread of its own between start() and stop().
class Follower {
public:
    /// Requires: database, rpc and sinks outlive it; sinks are told in the order given.
    Follower(database::Database& database, Rpc& rpc, FollowerSettings settings, std::vector<LedgerChanges*> sinks,
             const Clock& clock = system_clock());
    ~Follower();

    /// Reads its position from the database. Where rows are damaged it keeps the sound ones above them; where the newest row is, or
    /// nothing settled is left, the chain is followed from the start once more, and the sinks are told all of it again.
    /// Errors: conflict when it belongs to another chain.
    Result<void> load();
    /// load(), then the thread.
    Result<void> start();
    void stop();
    /// Polls at once (something was sent).
    void wake();

    /// One poll, in the caller's thread; what the thread does again and again. Returns: whether anything changed.
    /// Requires: load() succeeded, the thread is not running.
    Result<bool> step();

    FollowerStatus status() const;
    /// A person has looked into the settled blocks that were undone, as `shown` says. Threads: safe.
    /// Errors: conflict when others were undone since; nothing is acknowledged then.
    Result<void> acknowledge_undone(const FollowerStatus& shown);
    /// Waits until the predicate holds of the status, which is judged again after each poll. Returns: whether it did in time.
    bool wait_until(const std::function<bool(const FollowerStatus&)>& predicate, std::chrono::milliseconds time) const;

    /// Called after a commit in which settled blocks were undone: number of the lowest one. Set before start().
    void on_incident(std::function<void(std::uint64_t)> callback) { on_incident_ = std::move(callback); }

private:
    struct Kept {
        Block block;
        bool settled = false;
    };
    void run(std::stop_token stop);
    Result<void> check_node();
    Result<bool> undo_where_forked(const Block& node_head);
    Result<bool> extend(const Block& node_head);
    Result<std::vector<std::uint64_t>> newly_settled(std::span<const Kept> chain);
    Result<std::size_t> settled_by_trust_file(std::span<const Kept> blocks) const;
    Result<std::size_t> settled_by_votes(std::span<const Kept> blocks);
    Result<ethereum::CliqueSnapshot> signers_by_votes(const ethereum::BlockHeader& header);
    void follow_settled_votes();
    bool answered();
    std::uint64_t next_block() const;
    void publish();
    void note_problem(const Error& error);

    database::Database& database_;
    Rpc& rpc_;
    const FollowerSettings settings_;
    const std::vector<LedgerChanges*> sinks_;
    const Clock& clock_;
    std::function<void(std::uint64_t)> on_incident_;

    std::deque<Kept> chain_;                           // the follower's thread only; ascending, consecutive
    std::optional<ethereum::CliqueSnapshot> signers_;  // at the settled head; nothing while the trust file's set fits
    SteadyTime last_node_check_{};
    bool node_checked_ = false;

    mutable std::mutex mutex_;
    mutable std::condition_variable_any changed_;
    FollowerStatus status_;
    SteadyTime last_answer_steady_{};
    SteadyTime last_new_block_{};
    bool woken_ = false;
    std::jthread thread_;
};

/// Time of the newest block that was followed, in seconds: a node whose clock is earlier would seal nothing until then.
Result<std::optional<std::uint64_t>> newest_block_time(database::Database& database);

}  // namespace fiducial::ledger
