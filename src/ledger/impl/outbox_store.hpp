#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"
#include "evidence/study_record.hpp"
#include "ledger/chain_types.hpp"
#include "ledger/outbox.hpp"

// The outbox's tables. Every function runs in the caller's transaction. `key` is that of the rows' MACs.
namespace fiducial::ledger::outbox_store {

enum class Kind : std::uint8_t { anchor = 0, call = 1 };

/// What an item whose row's MAC does not fit says of itself.
inline constexpr std::string_view kAlteredRow = "its row was changed behind our back; it is not sent";

/// Something that is not in a block yet, with what is needed to send it.
struct Pending {
    std::uint64_t id = 0;
    bool intact = false;  // the row's MAC fits; without it, nothing below but kind and time is filled in, and not to be trusted
    Kind kind = Kind::anchor;
    std::int64_t created_ms = 0;
    evidence::StudyRecord record;  // anchors
    Address to{};                  // calls
    Bytes calldata;
    std::uint64_t gas_limit = 0;
    std::string tag;
};

/// A signed transaction; the attempts under one nonce differ in fees alone.
struct Attempt {
    std::uint64_t number = 0;
    Bytes raw;  // empty as read by open_transactions(): see raw_of()
    Hash hash{};
    std::int64_t sent_ms = 0;  // 0: never
};
struct Open {
    std::uint64_t nonce = 0;
    std::vector<Attempt> attempts;  // ascending
};

/// What a block means to the items of a transaction in it.
struct Place {
    Hash transaction{};
    std::uint64_t block_number = 0;
    Hash block_hash{};
};

Result<std::optional<std::uint64_t>> find_anchor(database::Transaction& t, const Hash& study_key, std::uint64_t version);
Result<std::optional<std::uint64_t>> find_call(database::Transaction& t, std::string_view tag);
Result<std::uint64_t> insert_anchor(database::Transaction& t, const crypto::Secret& key, const evidence::StudyRecord& record,
                                    std::int64_t now_ms);
Result<std::uint64_t> insert_call(database::Transaction& t, const crypto::Secret& key, const Address& to, ByteView calldata,
                                  std::string_view tag, std::uint64_t gas, std::int64_t now_ms);
/// An item whose row was altered is an incident, whatever the row says.
Result<OutboxItem> item(database::Transaction& t, const crypto::Secret& key, std::uint64_t id);
Result<Pending> pending(database::Transaction& t, const crypto::Secret& key, std::uint64_t id);

/// Nothing waits longer than this before it is sent again. What is to wait longer was stored before the clock was set back, and is due.
inline constexpr std::int64_t kLongestPauseMs = 300'000;

/// Stored items that are due, oldest first.
Result<std::vector<Pending>> due(database::Transaction& t, const crypto::Secret& key, std::int64_t now_ms, std::size_t limit);
struct DueCount {
    std::uint64_t count = 0;
    std::int64_t oldest_ms = 0;
    bool has_call = false;
};
Result<DueCount> count_due(database::Transaction& t, std::int64_t now_ms);
Result<std::vector<AlteredRow>> altered_rows(database::Transaction& t, const crypto::Secret& key);
Result<void> remove_items(database::Transaction& t, std::span<const AlteredRow> rows);
Result<std::vector<Pending>> items_of(database::Transaction& t, const crypto::Secret& key, std::uint64_t nonce);

/// A hash that cannot be read is zero.
Result<std::vector<Open>> open_transactions(database::Transaction& t);
/// All whose bytes are kept, with the bytes; empty where they cannot be read.
Result<std::vector<Open>> kept_transactions(database::Transaction& t);
/// Those in blocks that are not settled, from a nonce on, without their bytes; and the blocks, by nonce.
struct Mined {
    std::vector<Open> transactions;
    std::map<std::uint64_t, Hash> blocks;
};
Result<Mined> mined_from(database::Transaction& t, std::uint64_t nonce);
/// The signed bytes; empty when they are gone or cannot be read.
Result<Bytes> raw_of(database::Transaction& t, std::uint64_t nonce, std::uint64_t attempt);
/// One more than the highest nonce that is in a block; 0 where there is none.
Result<std::uint64_t> nonce_after_mined(database::Transaction& t);
/// Up to where the account's nonces are accounted for, besides by our own transactions; nothing before the node first answered. And the
/// first one after it that somebody else used; nothing while there is none.
struct Nonces {
    std::optional<std::uint64_t> accounted;
    std::optional<std::uint64_t> foreign;
};
Result<Nonces> nonces(database::Transaction& t, const crypto::Secret& key);
Result<void> set_nonces(database::Transaction& t, const crypto::Secret& key, const Nonces& nonces);
Result<void> add_attempt(database::Transaction& t, std::uint64_t nonce, const Attempt& attempt);
Result<void> mark_sent(database::Transaction& t, std::uint64_t nonce, std::uint64_t attempt, std::int64_t now_ms);
/// Settled ones lose their bytes.
Result<void> mark_mined(database::Transaction& t, std::uint64_t nonce, const Place& place, bool settled);
Result<void> forget_transaction(database::Transaction& t, std::uint64_t nonce);  // its items must have been set before

Result<void> submit(database::Transaction& t, std::span<const std::uint64_t> items, std::uint64_t nonce);
Result<void> set_included(database::Transaction& t, std::uint64_t item, const Place& place, bool settled);
/// Back to stored, not to be sent before a time.
Result<void> set_stored(database::Transaction& t, std::uint64_t item, std::string_view problem, std::int64_t not_before_ms);
Result<void> set_ended(database::Transaction& t, std::uint64_t item, OutboxState state, std::string_view problem,
                       const std::optional<Place>& place);

/// What the follower knows of a block: settled; or not (yet) in its chain, or not settled.
Result<bool> is_settled_block(database::Transaction& t, std::uint64_t number, const Hash& hash);
/// Items and transactions of a block that is gone go back.
struct UndoneBlock {
    std::vector<std::uint64_t> settled;           // items that were
    std::optional<std::uint64_t> last_forgotten;  // nonce of the last transaction whose bytes were no longer kept
};
Result<UndoneBlock> undo_block(database::Transaction& t, const Hash& hash);
/// Those of the block become settled; those that believed to be in another block of this number go back.
Result<void> settle_block(database::Transaction& t, std::uint64_t number, const Hash& hash);

struct Counts {
    std::uint64_t by_state[6] = {};
    std::int64_t oldest_unsettled_ms = 0;
    std::int64_t oldest_unsent_ms = 0;
    std::uint64_t open = 0;
};
Result<Counts> counts(database::Transaction& t);

}  // namespace fiducial::ledger::outbox_store
