#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"
#include "evidence/study_record.hpp"
#include "ledger/follower.hpp"
#include "ledger/rpc.hpp"

namespace fiducial::ledger {

/// How far something that must reach the chain has come.
enum class OutboxState : std::uint8_t {
    stored,     // committed here
    submitted,  // in a signed transaction that is stored and was, or will be, sent
    included,   // in a block
    settled,    // in a block that counts as settled
    incident,   // anchors: the slot holds another record, or the predecessor is not ours to send. Needs a person
    failed,     // calls: the transaction reverted
};
std::string_view name_of(OutboxState state);

struct OutboxItem {
    std::uint64_t id = 0;
    OutboxState state = OutboxState::stored;
    std::string tag;  // of calls
    std::optional<std::uint64_t> nonce;
    Hash transaction{};              // the one in the block; zeros before
    std::uint64_t block_number = 0;  // included and settled
    Hash block_hash{};
    std::string problem;  // incident, failed; what was last wrong otherwise
};

struct OutboxSettings {
    std::uint64_t chain_id = 0;
    Address studies{};
    Bytes32 institution{};
    std::chrono::milliseconds flush_after{1'000};
    std::size_t flush_count = 100;
    std::size_t max_batch = 256;             // the contract's own limit
    std::size_t max_open_transactions = 16;  // signed and not in a block
    std::uint64_t gas_per_batch = 150'000;   // gas limit of an anchoring transaction: this and …
    std::uint64_t gas_per_record = 60'000;   // … this for each record
    std::uint64_t max_gas = 25'000'000;      // of one transaction; batches get smaller to fit
    std::uint64_t tip_wei = 1'000'000'000;
    std::uint64_t max_fee_wei = 10'000'000'000;  // at least; and twice the base fee. geth refuses more than 1 ether a transaction
    std::chrono::milliseconds fast_poll{10};     // for receipts right after sending; doubles up to …
    std::chrono::milliseconds slow_poll{250};
    std::chrono::milliseconds resend_after{3'000};     // and two periods: the same bytes again
    std::chrono::milliseconds look_at_nonces{10'000};  // so often while nothing is to be sent
};

struct OutboxStatus {
    std::uint64_t stored = 0;  // items by state
    std::uint64_t submitted = 0;
    std::uint64_t included = 0;
    std::uint64_t incidents = 0;
    std::uint64_t failed = 0;
    std::uint64_t open_transactions = 0;
    std::chrono::milliseconds oldest_unsettled{0};  // age of the oldest item that is not settled: the settle lag
    std::chrono::milliseconds oldest_unsent{0};     // age of the oldest that is in no block: the outbox age
    std::uint64_t resent = 0;                       // since the start
    std::uint64_t replaced = 0;                     // signed again because underpriced
    std::string problem;                            // why nothing moves; empty when all is well
    std::optional<std::uint64_t> foreign_nonce;     // of the gateway's account, used by a transaction that this outbox never made
};

/// Something that a person must look at.
struct LedgerIncident {
    enum class Kind : std::uint8_t {
        other_record_in_slot,
        predecessor_missing,
        settled_undone,
        call_reverted,
        altered_row,
        anchors_refused,
        foreign_transaction
    };
    Kind kind = Kind::other_record_in_slot;
    std::uint64_t item = 0;  // 0: none in particular (altered_row: a transaction's signed bytes)
    Hash study_key{};
    std::uint64_t version = 0;
    std::string text;
};
std::string_view name_of(LedgerIncident::Kind kind);

/// A row of the outbox that is not as it was written.
struct AlteredRow {
    std::uint64_t id = 0;
    bool is_call = false;  // as the row says
};

/// What must reach the chain, kept until it is settled there; one commit with whatever it belongs to.
/// All transactions of one account go through here, one nonce after the other. docs/design/outbox.md says why it is safe
/// to kill it anywhere.
/// Security: what an item says carries a MAC, so that whoever can write to the database cannot make the gateway sign anything that was
/// never asked of it. How far an item has come does not: one that was sent can be set back and is sent again (docs/design/outbox.md).
/// Threads: safe. One thread of its own between start() and stop(). As LedgerChanges it must be among the follower's sinks.
class Outbox final : public LedgerChanges {
public:
    /// Requires: database and rpc outlive it; `key` is the gateway's, registered in Members for settings.institution; `row_key`
    /// makes the MACs of the outbox's rows.
    Outbox(database::Database& database, Rpc& rpc, OutboxSettings settings, crypto::Secret key, crypto::Secret row_key,
           const Clock& clock = system_clock());
    ~Outbox() override;

    const Address& account() const;

    /// Stores a record to be anchored, in the caller's transaction. The same record again changes nothing.
    /// Requires: durability full (the caller's transaction). Call wake() after the commit.
    /// Errors: conflict when another record is stored for this version; invalid_argument for another chain, contract or institution;
    ///         corrupt when the version's row was altered.
    /// Returns: the item's id.
    Result<std::uint64_t> enqueue(database::Transaction& transaction, const evidence::StudyRecord& record);
    /// Stores any other call. `tag` is the caller's: unique; the same tag again changes nothing.
    /// gas_limit 0: estimated when it is sent; a call that would revert then fails without being sent.
    Result<std::uint64_t> enqueue_call(database::Transaction& transaction, const Address& to, ByteView calldata, std::string_view tag,
                                       std::uint64_t gas_limit = 0);
    /// After the commit of an enqueue. `at_once`: without waiting for a fuller batch.
    void wake(bool at_once = false);

    /// Errors: not_found.
    Result<OutboxItem> item(database::Transaction& transaction, std::uint64_t id) const;
    Result<OutboxItem> anchor(database::Transaction& transaction, const Hash& study_key, std::uint64_t version) const;
    Result<OutboxItem> call(database::Transaction& transaction, std::string_view tag) const;
    /// The record that was stored for a version. Errors: not_found.
    Result<evidence::StudyRecord> record(database::Transaction& transaction, const Hash& study_key, std::uint64_t version) const;

    /// Rows whose MAC does not fit: they are never sent. For fsck.
    Result<std::vector<AlteredRow>> altered_rows(database::Transaction& transaction) const;
    /// Nonces whose signed bytes, or their hash, are not as they were stored: they are not sent, and their items are signed anew. For fsck.
    Result<std::vector<std::uint64_t>> altered_transactions(database::Transaction& transaction) const;
    /// Takes them away. The records among them must be stored again in the same transaction.
    Result<void> remove(database::Transaction& transaction, std::span<const AlteredRow> rows);

    /// As in OutboxStatus; kept until the nonces are trusted.
    Result<std::optional<std::uint64_t>> foreign_nonce(database::Transaction& transaction) const;
    /// The account's nonces are taken as they stand at the node's next answer: after a restore, and once a foreign transaction was looked
    /// into.
    Result<void> trust_nonces(database::Transaction& transaction);

    void start();
    void stop();
    /// One round in the caller's thread: sends what is due, sends again, reads receipts. Returns: whether anything changed.
    /// Requires: the thread is not running.
    Result<bool> step(bool flush);

    OutboxStatus status() const;
    /// Waits until everything stored so far is settled (or an incident, or failed). Returns: whether it is, in time.
    bool wait_until_settled(std::chrono::milliseconds time);
    /// The same until everything is in a block.
    bool wait_until_included(std::chrono::milliseconds time);

    /// From the outbox's thread, after it has read receipts: there are new blocks. Wake the follower, which would otherwise see
    /// them at its next poll. Set before start().
    void on_included(std::function<void()> callback);
    /// From the outbox's or the follower's thread, after the commit; once for each. Set before start().
    void on_incident(std::function<void(const LedgerIncident&)> callback);

    Result<void> apply(database::Transaction& transaction, const Block& block, std::span<const Log> logs) override;
    Result<void> undo(database::Transaction& transaction, const Block& block, bool was_settled) override;
    Result<void> settle(database::Transaction& transaction, const Block& block) override;
    void committed() override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The tables of this room, for Database::open.
std::span<const database::Migration> migrations();

/// Puts the MACs of the outbox's rows under another key. Those that did not fit the former one fit the new one as little.
/// Requires: no outbox is open. Can be repeated.
Result<void> rekey_outbox(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now);

}  // namespace fiducial::ledger
