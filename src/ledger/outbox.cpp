#include "ledger/outbox.hpp"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "ethereum/abi.hpp"
#include "ethereum/transaction.hpp"
#include "ledger/contracts.hpp"
#include "ledger/impl/outbox_store.hpp"

namespace fiducial::ledger {

namespace store = outbox_store;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kMaxAttempts = 20;                           // signatures under one nonce; each 10 % dearer
constexpr milliseconds kForeignAfter{2'000};                       // a nonce used up by a transaction that is not ours
constexpr milliseconds kRetryItem{1'000};                          // an item that was skipped
constexpr milliseconds kLastRetryAnchors{store::kLongestPauseMs};  // refused records are tried again after 1 s, 2 s, 4 s …
constexpr milliseconds kReplaceEvery{500};
constexpr std::uint64_t kCallReserve = 25'000;  // gas above the estimate
constexpr std::uint64_t kTransferGas = 21'000;
constexpr std::size_t kMaxCalldata = 100 * 1024;  // of a transaction; nodes take 128 KiB

std::int64_t ms_of(SystemTime time) {
    return time.time_since_epoch().count();
}

// 10 % more, and at least one more.
ethereum::Uint256 dearer(const ethereum::Uint256& value) {
    const auto tenth = value.divided_by(ethereum::Uint256(10));
    auto sum = tenth ? value.plus(tenth->quotient) : Result<ethereum::Uint256>(value);
    if (sum) sum = sum->plus(ethereum::Uint256(1));
    return sum ? *sum : value;
}

}  // namespace

std::string_view name_of(OutboxState state) {
    switch (state) {
        case OutboxState::stored: return "stored";
        case OutboxState::submitted: return "submitted";
        case OutboxState::included: return "included";
        case OutboxState::settled: return "settled";
        case OutboxState::incident: return "incident";
        case OutboxState::failed: return "failed";
    }
    return "incident";
}

std::string_view name_of(LedgerIncident::Kind kind) {
    switch (kind) {
        case LedgerIncident::Kind::other_record_in_slot: return "other_record_in_slot";
        case LedgerIncident::Kind::predecessor_missing: return "predecessor_missing";
        case LedgerIncident::Kind::settled_undone: return "settled_undone";
        case LedgerIncident::Kind::call_reverted: return "call_reverted";
        case LedgerIncident::Kind::altered_row: return "altered_row";
        case LedgerIncident::Kind::anchors_refused: return "anchors_refused";
        case LedgerIncident::Kind::foreign_transaction: return "foreign_transaction";
    }
    return "call_reverted";
}

struct Outbox::Impl {
    database::Database& database;
    Rpc& rpc;
    const OutboxSettings settings;
    const crypto::Secret key;
    const crypto::Secret row_key;
    const Clock& clock;
    Address account{};
    std::function<void(const LedgerIncident&)> on_incident;
    std::function<void()> on_included;

    // The follower's thread only, until committed().
    std::vector<LedgerIncident> undone;

    // The outbox's own thread only.
    std::map<std::uint64_t, SteadyTime> used_up;   // open nonces below the chain's count, without a receipt, since
    std::map<std::uint64_t, SteadyTime> replaced;  // when a nonce was last signed again
    bool node_was_away = true;
    std::optional<SteadyTime> nonces_looked_at;
    std::uint64_t explained = 0;  // below it, every nonce was known to be ours: a reorganisation may have us forget one
    std::string refused;          // why records are refused as a whole; empty: they are not
    milliseconds refused_pause = kRetryItem;
    std::int64_t anchors_not_before_ms = 0;
    std::vector<LedgerIncident> incidents;  // to be reported after the commit

    mutable std::mutex mutex;
    std::condition_variable_any changed;
    OutboxStatus status;
    bool woken = false;
    bool flush = false;
    bool idle = true;
    milliseconds poll;
    std::jthread thread;

    Impl(database::Database& d, Rpc& r, OutboxSettings s, crypto::Secret k, crypto::Secret row, const Clock& c)
        : database(d), rpc(r), settings(s), key(std::move(k)), row_key(std::move(row)), clock(c), poll(s.fast_poll) {
        const auto address = crypto::address_of(key);
        FID_INVARIANT(address.has_value(), "the outbox has a valid key");
        account = *address;
    }

    std::int64_t now_ms() const { return ms_of(clock.now()); }
    bool anchors_wait() const {
        const auto left = anchors_not_before_ms - now_ms();
        return left > 0 && left <= store::kLongestPauseMs;
    }

    void run(std::stop_token stop);
    Result<bool> round(bool flush_now);
    Result<void> check_node();
    void look_at_nonces();
    Result<void> check_nonces(const std::vector<store::Open>& open, std::uint64_t chain_count);
    Result<void> used_elsewhere(database::Transaction& t, store::Nonces& nonces, std::uint64_t nonce);
    Result<bool> look_for_lost_blocks(std::uint64_t chain_count);
    Result<bool> read_receipts(const std::vector<store::Open>& open, std::uint64_t chain_count);
    Result<void> finish(const store::Open& open, const Receipt& receipt);
    Result<void> finish_anchors(database::Transaction& t, std::span<const store::Pending> items, const Receipt& receipt,
                                const store::Place& place, bool settled);
    Result<void> finish_calls(database::Transaction& t, std::span<const store::Pending> items, const Receipt& receipt,
                              const store::Place& place, bool settled);
    Result<void> skipped(database::Transaction& t, const store::Pending& item, const contracts::StudySkipped& event,
                         const store::Place& place, bool settled);
    Result<void> predecessor_missing(database::Transaction& t, const store::Pending& item, const Hash& found, const store::Place& place);
    Result<void> used_by_another(const store::Open& open);
    Result<bool> send_again(const std::vector<store::Open>& open, bool all);
    Result<void> after_send(const store::Open& open, const SendAnswer& answer);
    Result<ethereum::SignedTransaction> stored_transaction(const store::Open& open);
    Result<ethereum::SignedTransaction> own_transaction(std::uint64_t nonce, const store::Attempt& attempt) const;
    Result<void> drop_altered(const store::Open& open, const std::string& why);
    Result<void> sign_again(const store::Open& open);
    Result<ethereum::Uint256> fee_for(const ethereum::Uint256& base_fee) const;
    Result<bool> send_new(const std::vector<store::Open>& open, std::uint64_t chain_count, bool flush_now);
    struct Made {
        store::Open open;
        std::vector<std::uint64_t> items;
    };
    Result<Made> sign_new(std::uint64_t nonce, const Address& to, Bytes data, std::uint64_t gas, std::vector<std::uint64_t> items,
                          const ethereum::Uint256& base_fee);
    Result<void> store_and_send(std::vector<Made> made);
    Result<bool> fill_gaps(const std::set<std::uint64_t>& taken, std::uint64_t first);
    Result<std::optional<std::uint64_t>> gas_for_call(const store::Pending& item);
    std::size_t anchors_that_fit(std::size_t available) const;
    Result<void> altered(database::Transaction& t, const store::Pending& item);
    void refuse_anchors(std::string why);
    Result<void> drop_rejected(const store::Open& open, const std::string& why);
    void incident(LedgerIncident::Kind kind, const store::Pending& item, std::string text);
    void report();
    void note_problem(const std::string& problem);
    Result<void> refresh_status();
};

// ---- rounds

void Outbox::Impl::run(std::stop_token stop) {
    std::string_view logged;  // the kind of problem: said once, not at every attempt
    while (!stop.stop_requested()) {
        bool flush_now = false;
        {
            const std::lock_guard lock(mutex);
            flush_now = std::exchange(flush, false);
            woken = false;
        }
        const auto outcome = round(flush_now);
        const auto problem = outcome ? std::string_view() : fiducial::name_of(outcome.error().code);
        if (problem != logged) {
            if (problem.empty())
                log::info("ledger", "the outbox moves again");
            else
                log::warning("ledger", "the outbox cannot send", {{"why", outcome.error().message}});
            logged = problem;
        }
        std::unique_lock lock(mutex);
        if (flush_now && !outcome) flush = true;  // still wanted
        const bool waiting = status.open_transactions > 0;
        poll = outcome && *outcome ? settings.fast_poll : std::min(poll * 2, settings.slow_poll);
        const auto pause = outcome ? (waiting || status.stored > 0 ? poll : settings.slow_poll) : settings.slow_poll;
        changed.wait_for(lock, stop, pause, [this] { return woken; });
    }
}

Result<bool> Outbox::Impl::round(bool flush_now) {
    const auto work = [&]() -> Result<bool> {
        FID_TRY(auto open, database.read([](auto& t) { return store::open_transactions(t); }));
        FID_TRY(const auto due, database.read([this](auto& t) { return store::count_due(t, now_ms()); }));
        if (open.empty() && due.count == 0) {
            look_at_nonces();
            return false;
        }
        if (node_was_away) FID_CHECK(check_node());
        // The count is read before the receipts: a nonce below it without a receipt is not ours.
        auto count = rpc.transaction_count(account, Latest{});
        if (!count) {
            node_was_away = true;
            return fail(count.error());
        }
        FID_CHECK(check_nonces(open, *count));
        FID_TRY(bool moved, look_for_lost_blocks(*count));
        if (moved) {
            FID_TRY(open, database.read([](auto& t) { return store::open_transactions(t); }));
        }
        if (!open.empty()) {
            FID_TRY(const bool received, read_receipts(open, *count));
            moved = moved || received;
            if (received) {
                if (on_included) on_included();
                FID_TRY(open, database.read([](auto& t) { return store::open_transactions(t); }));
            }
            const bool all = std::exchange(node_was_away, false);
            FID_TRY(const bool sent, send_again(open, all));
            moved = moved || sent;
        }
        node_was_away = false;
        FID_TRY(const bool fresh, send_new(open, *count, flush_now));
        return moved || fresh;
    };
    auto outcome = work();
    report();
    if (outcome)
        note_problem(refused);
    else
        note_problem(outcome.error().message);
    const auto refreshed = refresh_status();
    if (outcome && !refreshed) return fail(refreshed.error());
    return outcome;
}

// Nonces and receipts of another chain would do harm.
Result<void> Outbox::Impl::check_node() {
    FID_TRY(const auto chain, rpc.chain_id());
    if (chain != settings.chain_id)
        return fail(ErrorCode::conflict,
                    "the node is on chain " + std::to_string(chain) + ", the site's is " + std::to_string(settings.chain_id));
    FID_TRY(const auto syncing, rpc.is_syncing());
    if (syncing) return fail(ErrorCode::unavailable, "the node is still catching up with its peers");
    return {};
}

// Also while there is nothing to send. A node that is away hinders nobody then.
void Outbox::Impl::look_at_nonces() {
    const auto now = clock.steady_now();
    if (nonces_looked_at && now - *nonces_looked_at < settings.look_at_nonces) return;
    nonces_looked_at = now;
    const auto looked = [&]() -> Result<void> {
        if (node_was_away) FID_CHECK(check_node());
        FID_TRY(const auto count, rpc.transaction_count(account, Latest{}));
        FID_CHECK(check_nonces({}, count));
        FID_CHECK(look_for_lost_blocks(count));  // what goes back is open at the next round
        return {};
    }();
    if (!looked) log::debug("ledger", "the account's nonces were not looked at", {{"why", looked.error().message}});
}

Result<void> Outbox::Impl::used_elsewhere(database::Transaction& t, store::Nonces& nonces, std::uint64_t nonce) {
    if (nonces.foreign) return {};
    nonces.foreign = nonce;
    incidents.push_back({LedgerIncident::Kind::foreign_transaction,
                         0,
                         {},
                         0,
                         "a transaction with nonce " + std::to_string(nonce) + " of the gateway's account " + to_0x(account) +
                             " is not known here: the index was put back from an earlier time, a copy of the site is running, or its "
                             "gateway key is in other hands. Stop the copy; then fsck --repair here"});
    return store::set_nonces(t, row_key, nonces);
}

// A nonce that is neither in a block with one of ours nor open was used with our key elsewhere: a copy of the site is running.
Result<void> Outbox::Impl::check_nonces(const std::vector<store::Open>& open, std::uint64_t chain_count) {
    store::Nonces nonces;
    std::uint64_t ours = 0;
    FID_CHECK(database.read([&](auto& t) -> Result<void> {
        FID_TRY(nonces, store::nonces(t, row_key));
        FID_TRY(ours, store::nonce_after_mined(t));
        return {};
    }));
    std::set<std::uint64_t> expected;
    for (const auto& one : open) expected.insert(one.nonce);
    auto next = std::max({nonces.accounted.value_or(chain_count), ours, explained});
    while (next < chain_count && expected.contains(next)) ++next;
    if (next >= chain_count) explained = std::max(explained, chain_count);
    if (!nonces.accounted || (next < chain_count && !nonces.foreign)) {
        auto kept = database.write(database::Durability::full, [&](auto& t) -> Result<void> {
            if (nonces.accounted) return used_elsewhere(t, nonces, next);
            nonces.accounted = chain_count;  // the node's first answer, to this index
            return store::set_nonces(t, row_key, nonces);
        });
        if (!kept) incidents.clear();
        FID_CHECK(kept);
        report();
    }
    return {};
}

// A node that loses its newest blocks (a power cut) may do so before the follower was told of them: nobody then says that they are undone,
// and what waits behind their nonces would wait for ever. geth shows a receipt a moment before its count, so a low count alone says
// nothing.
Result<bool> Outbox::Impl::look_for_lost_blocks(std::uint64_t chain_count) {
    FID_TRY(const auto mined, database.read([=](auto& t) { return store::mined_from(t, chain_count); }));
    if (mined.transactions.empty()) return false;
    std::vector<Hash> hashes;
    for (const auto& one : mined.transactions) {
        for (const auto& attempt : one.attempts) hashes.push_back(attempt.hash);
    }
    FID_TRY(const auto receipts, rpc.receipts(hashes));
    std::set<Hash> lost;
    std::size_t at = 0;
    for (const auto& one : mined.transactions) {
        bool found = false;
        for (std::size_t i = 0; i < one.attempts.size(); ++i, ++at) found = found || receipts[at].has_value();
        if (!found) lost.insert(mined.blocks.at(one.nonce));
    }
    if (lost.empty()) return false;
    log::warning("ledger", "the node has lost blocks with transactions of ours; they are sent again", {{"blocks", lost.size()}});
    FID_CHECK(database.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        for (const auto& block : lost) FID_CHECK(store::undo_block(t, block));
        return {};
    }));
    return true;
}

Result<bool> Outbox::Impl::read_receipts(const std::vector<store::Open>& open, std::uint64_t chain_count) {
    std::vector<Hash> hashes;
    for (const auto& one : open) {
        for (const auto& attempt : one.attempts) hashes.push_back(attempt.hash);
    }
    FID_TRY(const auto receipts, rpc.receipts(hashes));
    bool moved = false;
    std::size_t at = 0;
    for (const auto& one : open) {
        const Receipt* found = nullptr;
        for (std::size_t i = 0; i < one.attempts.size(); ++i, ++at) {
            if (receipts[at]) found = &*receipts[at];
        }
        if (found != nullptr) {
            FID_CHECK(finish(one, *found));
            used_up.erase(one.nonce);
            replaced.erase(one.nonce);
            moved = true;
        } else if (one.nonce >= chain_count) {
            used_up.erase(one.nonce);
        } else if (const auto [since, first] = used_up.try_emplace(one.nonce, clock.steady_now());
                   !first && clock.steady_now() - since->second > kForeignAfter) {
            FID_CHECK(used_by_another(one));
            used_up.erase(one.nonce);
            moved = true;
        }
    }
    return moved;
}

// ---- what became of a transaction

Result<void> Outbox::Impl::finish(const store::Open& open, const Receipt& receipt) {
    incidents.clear();
    const store::Place place{receipt.transaction_hash, receipt.block_number, receipt.block_hash};
    auto outcome = database.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(const bool settled, store::is_settled_block(t, place.block_number, place.block_hash));
        FID_TRY(const auto items, store::items_of(t, row_key, open.nonce));
        FID_CHECK(store::mark_mined(t, open.nonce, place, settled));
        std::vector<store::Pending> anchors;
        std::vector<store::Pending> calls;
        for (const auto& item : items) {
            if (!item.intact) {
                FID_CHECK(altered(t, item));
                continue;
            }
            (item.kind == store::Kind::anchor ? anchors : calls).push_back(item);
        }
        FID_CHECK(finish_anchors(t, anchors, receipt, place, settled));
        return finish_calls(t, calls, receipt, place, settled);
    });
    if (!outcome) incidents.clear();  // nothing of it is stored: it comes again
    report();
    return outcome;
}

Result<void> Outbox::Impl::finish_anchors(database::Transaction& t, std::span<const store::Pending> items, const Receipt& receipt,
                                          const store::Place& place, bool settled) {
    std::set<Hash> anchored;
    std::map<Hash, contracts::StudySkipped> skips;
    for (const auto& log : receipt.logs) {
        if (log.address != settings.studies) continue;
        FID_TRY(const auto event, contracts::decode_studies_event(log));
        if (const auto* done = std::get_if<contracts::StudyAnchored>(&event))
            anchored.insert(done->record);
        else if (const auto* skip = std::get_if<contracts::StudySkipped>(&event))
            skips[skip->record] = *skip;
    }
    for (const auto& item : items) {
        const auto record = item.record.hash();
        if (anchored.contains(record)) {
            refused.clear();
            refused_pause = kRetryItem;
            FID_CHECK(store::set_included(t, item.id, place, settled));
        } else if (const auto skip = skips.find(record); skip != skips.end()) {
            FID_CHECK(skipped(t, item, skip->second, place, settled));
        } else {
            if (!anchors_wait()) {
                refuse_anchors(receipt.success
                                   ? "the contract Studies said nothing about a record (transaction " + to_0x(receipt.transaction_hash) +
                                         ")"
                                   : "the contract Studies refuses this gateway's records (transaction " + to_0x(receipt.transaction_hash) +
                                         " reverted): the institution was deactivated, or its gateway's account replaced");
            }
            FID_CHECK(store::set_stored(t, item.id, refused, anchors_not_before_ms));
        }
    }
    return {};
}

// All of the gateway's records share the reason: none is sent until the pause is over.
void Outbox::Impl::refuse_anchors(std::string why) {
    if (refused.empty()) incidents.push_back({LedgerIncident::Kind::anchors_refused, 0, {}, 0, why});
    refused = std::move(why);
    anchors_not_before_ms = now_ms() + refused_pause.count();
    refused_pause = std::min(refused_pause * 2, kLastRetryAnchors);
}

Result<void> Outbox::Impl::skipped(database::Transaction& t, const store::Pending& item, const contracts::StudySkipped& event,
                                   const store::Place& place, bool settled) {
    switch (event.reason) {
        case contracts::SkipReason::already_anchored: return store::set_included(t, item.id, place, settled);
        case contracts::SkipReason::missing_predecessor: return predecessor_missing(t, item, event.found, place);
        case contracts::SkipReason::other_record:
            incident(LedgerIncident::Kind::other_record_in_slot, item,
                     "the slot holds " + to_0x(event.found) + ", not " + to_0x(event.record));
            return store::set_ended(t, item.id, OutboxState::incident, "another record is anchored in this slot: " + to_0x(event.found),
                                    place);
        case contracts::SkipReason::none:
        case contracts::SkipReason::invalid_version: break;
    }
    incident(LedgerIncident::Kind::predecessor_missing, item, "the contract refuses this version");
    return store::set_ended(t, item.id, OutboxState::incident, "the contract refuses this version", place);
}

// `found` is what the slot before holds: nothing, or another record than the one this item follows.
Result<void> Outbox::Impl::predecessor_missing(database::Transaction& t, const store::Pending& item, const Hash& found,
                                               const store::Place& place) {
    const auto give_up = [&](std::string text) -> Result<void> {
        incident(LedgerIncident::Kind::predecessor_missing, item, text);
        return store::set_ended(t, item.id, OutboxState::incident, text, place);
    };
    if (found != Hash{})
        return give_up("the version before is anchored as " + to_0x(found) + ", this one follows " + to_0x(item.record.previous));
    FID_TRY(const auto before_id, store::find_anchor(t, item.record.study_key, item.record.version - 1));
    if (!before_id) return give_up("the version before is not anchored, and is not ours to send");
    FID_TRY(const auto before, store::pending(t, row_key, *before_id));
    if (!before.intact) return give_up("the row of the version before was changed behind our back");
    if (before.record.hash() != item.record.previous)
        return give_up("the version before, as stored here, is not the one that this one follows");
    FID_TRY(const auto state, store::item(t, row_key, *before_id));
    if (state.state == OutboxState::incident) return give_up("the version before is an incident");
    if (state.state == OutboxState::included || state.state == OutboxState::settled) {
        // The chain that this receipt comes from does not hold it: it is sent again, and first.
        log::warning("ledger", "an anchored version is not in its slot and is sent again", {{"item", *before_id}});
        FID_CHECK(store::set_stored(t, *before_id, "was not in its slot", 0));
    }
    return store::set_stored(t, item.id, "waits for the version before", now_ms() + kRetryItem.count());
}

Result<void> Outbox::Impl::finish_calls(database::Transaction& t, std::span<const store::Pending> items, const Receipt& receipt,
                                        const store::Place& place, bool settled) {
    for (const auto& item : items) {
        if (receipt.success) {
            FID_CHECK(store::set_included(t, item.id, place, settled));
            continue;
        }
        incident(LedgerIncident::Kind::call_reverted, item, "the call " + item.tag + " reverted in " + to_0x(receipt.transaction_hash));
        FID_CHECK(store::set_ended(t, item.id, OutboxState::failed, "reverted", place));
    }
    return {};
}

// Its nonce is in a block, and none of our signatures is: a transaction signed elsewhere with this key took it.
Result<void> Outbox::Impl::used_by_another(const store::Open& open) {
    log::error("ledger", "a nonce of the gateway's account was used by a transaction that is not in the outbox", {{"nonce", open.nonce}});
    auto outcome = database.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(auto nonces, store::nonces(t, row_key));
        if (nonces.accounted && open.nonce >= *nonces.accounted) FID_CHECK(used_elsewhere(t, nonces, open.nonce));
        FID_TRY(const auto items, store::items_of(t, row_key, open.nonce));
        // A record that is in its slot already is told so by the contract when it comes again.
        for (const auto& item : items) FID_CHECK(store::set_stored(t, item.id, "its nonce was used by another transaction", 0));
        return store::forget_transaction(t, open.nonce);
    });
    if (!outcome) incidents.clear();
    report();
    return outcome;
}

// ---- sending

Result<bool> Outbox::Impl::send_again(const std::vector<store::Open>& open, bool all) {
    const auto now = now_ms();
    std::vector<const store::Open*> late;
    std::vector<Bytes> raws;
    bool first = true;
    bool dropped = false;
    for (const auto& one : open) {
        const auto& newest = one.attempts.back();
        // Only the lowest nonce is waited for; the others wait for it.
        const bool overdue = first && now - newest.sent_ms >= settings.resend_after.count();
        first = false;
        if (newest.sent_ms != 0 && newest.sent_ms <= now && !overdue && !all) continue;
        const auto stored = stored_transaction(one);
        if (!stored && stored.error().code != ErrorCode::corrupt) return fail(stored.error());
        if (!stored) {
            FID_CHECK(drop_altered(one, stored.error().message));
            dropped = true;
            continue;
        }
        late.push_back(&one);
        raws.push_back(stored->encode());
    }
    if (late.empty()) return dropped;
    FID_TRY(const auto answers, rpc.send_raw_transactions(raws));
    {
        const std::lock_guard lock(mutex);
        for (const auto* one : late) status.resent += one->attempts.back().sent_ms != 0 ? 1 : 0;
    }
    for (std::size_t i = 0; i < late.size(); ++i) FID_CHECK(after_send(*late[i], answers[i]));
    return true;
}

// The newest of the signed bytes under a nonce. They carry no MAC but our own signature.
Result<ethereum::SignedTransaction> Outbox::Impl::stored_transaction(const store::Open& open) {
    auto newest = open.attempts.back();
    FID_TRY(newest.raw, database.read([&](auto& t) { return store::raw_of(t, open.nonce, newest.number); }));
    return own_transaction(open.nonce, newest);
}

Result<ethereum::SignedTransaction> Outbox::Impl::own_transaction(std::uint64_t nonce, const store::Attempt& attempt) const {
    auto decoded = ethereum::decode_transaction(attempt.raw);
    const auto sender = decoded ? decoded->sender() : Result<Address>(fail(decoded.error()));
    if (!sender || *sender != account || decoded->hash() != attempt.hash || decoded->transaction.nonce != nonce ||
        decoded->transaction.chain_id != settings.chain_id) {
        return fail(ErrorCode::corrupt, "the signed bytes stored for nonce " + std::to_string(nonce) +
                                            " were changed behind our back; find out who can write to the index");
    }
    return decoded;
}

// What was signed is not known any more: its items are signed anew. Should a node have it all the same, it takes its nonce
// (used_by_another).
Result<void> Outbox::Impl::drop_altered(const store::Open& open, const std::string& why) {
    auto outcome = database.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(const auto items, store::items_of(t, row_key, open.nonce));
        for (const auto& item : items) FID_CHECK(item.intact ? store::set_stored(t, item.id, why, 0) : altered(t, item));
        incidents.push_back({LedgerIncident::Kind::altered_row, 0, {}, 0, why});
        FID_TRY(auto nonces, store::nonces(t, row_key));
        nonces.accounted = std::max(nonces.accounted.value_or(0), open.nonce + 1);  // it is ours, should a node have it
        FID_CHECK(store::set_nonces(t, row_key, nonces));
        return store::forget_transaction(t, open.nonce);
    });
    if (!outcome) incidents.clear();
    report();
    return outcome;
}

Result<void> Outbox::Impl::after_send(const store::Open& open, const SendAnswer& answer) {
    const auto& newest = open.attempts.back();
    switch (answer.outcome) {
        case SendOutcome::accepted:
        case SendOutcome::already_known:
        case SendOutcome::nonce_too_low:  // the receipt will tell which one it was
            return database.write(database::Durability::rebuildable,
                                  [&](auto& t) { return store::mark_sent(t, open.nonce, newest.number, now_ms()); });
        case SendOutcome::underpriced: return sign_again(open);
        case SendOutcome::try_again: node_was_away = true; return fail(ErrorCode::unavailable, answer.text);
        case SendOutcome::insufficient_funds:
            return fail(ErrorCode::unavailable,
                        "the gateway's account " + to_0x(account) + " cannot pay for its transactions: " + answer.text);
        case SendOutcome::rejected: break;
    }
    const bool never_taken =
        std::all_of(open.attempts.begin(), open.attempts.end(), [](const store::Attempt& attempt) { return attempt.sent_ms == 0; });
    if (never_taken) return drop_rejected(open, "the node refuses the transaction: " + answer.text);
    return fail(ErrorCode::unavailable, "the node refuses a transaction: " + answer.text);
}

// No node has it: its nonce goes to the next, so that the lane does not stop behind it.
Result<void> Outbox::Impl::drop_rejected(const store::Open& open, const std::string& why) {
    auto outcome = database.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(const auto items, store::items_of(t, row_key, open.nonce));
        for (const auto& item : items) {
            if (item.intact && item.kind == store::Kind::anchor) {
                if (!anchors_wait()) refuse_anchors(why);
                FID_CHECK(store::set_stored(t, item.id, why, anchors_not_before_ms));
                continue;
            }
            if (!item.intact) {
                FID_CHECK(altered(t, item));
                continue;
            }
            incident(LedgerIncident::Kind::call_reverted, item, "the call " + item.tag + " was not taken: " + why);
            FID_CHECK(store::set_ended(t, item.id, OutboxState::failed, why, std::nullopt));
        }
        return store::forget_transaction(t, open.nonce);
    });
    if (!outcome) incidents.clear();
    report();
    return outcome;
}

Result<void> Outbox::Impl::sign_again(const store::Open& open) {
    const auto [when, first] = replaced.try_emplace(open.nonce, clock.steady_now());
    if (!first && clock.steady_now() - when->second < kReplaceEvery) return {};
    when->second = clock.steady_now();
    if (open.attempts.size() >= kMaxAttempts) {
        return fail(ErrorCode::unavailable,
                    "nonce " + std::to_string(open.nonce) + " is still underpriced after " + std::to_string(kMaxAttempts) + " signatures");
    }
    const auto& newest = open.attempts.back();
    FID_TRY(const auto stored, stored_transaction(open));
    auto transaction = stored.transaction;
    FID_TRY(const auto base_fee, rpc.base_fee());
    FID_TRY(const auto wanted, fee_for(base_fee));
    transaction.max_fee_per_gas = std::max(dearer(transaction.max_fee_per_gas), wanted);
    transaction.max_priority_fee_per_gas = dearer(transaction.max_priority_fee_per_gas);
    FID_TRY(const auto signed_one, ethereum::sign(transaction, key));
    auto next = open;
    next.attempts.push_back({newest.number + 1, signed_one.encode(), signed_one.hash(), 0});
    FID_CHECK(database.write(database::Durability::full, [&](auto& t) { return store::add_attempt(t, open.nonce, next.attempts.back()); }));
    {
        const std::lock_guard lock(mutex);
        ++status.replaced;
    }
    log::info("ledger", "a transaction was signed again with a higher fee", {{"nonce", open.nonce}, {"attempt", newest.number + 1}});
    FID_TRY(const auto answer, rpc.send_raw_transaction(next.attempts.back().raw));
    if (answer.outcome == SendOutcome::underpriced) return {};  // the next round signs again
    return after_send(next, answer);
}

std::size_t Outbox::Impl::anchors_that_fit(std::size_t available) const {
    constexpr std::size_t kBytesPerRecord = 320;  // ten words
    const std::size_t by_gas = settings.max_gas <= settings.gas_per_batch + settings.gas_per_record
                                   ? 1
                                   : (settings.max_gas - settings.gas_per_batch) / settings.gas_per_record;
    return std::min({available, settings.max_batch, by_gas, kMaxCalldata / kBytesPerRecord});
}

Result<bool> Outbox::Impl::send_new(const std::vector<store::Open>& open, std::uint64_t chain_count, bool flush_now) {
    std::set<std::uint64_t> taken;
    for (const auto& one : open) taken.insert(one.nonce);
    // geth shows a receipt a moment before its count: what is known to be in a block counts too.
    FID_TRY(const auto mined, database.read([](auto& t) { return store::nonce_after_mined(t); }));
    auto nonce = std::max(chain_count, mined);
    const auto now = now_ms();
    FID_TRY(const auto due, database.read([now](auto& t) { return store::count_due(t, now); }));
    const bool full = due.count >= settings.flush_count;
    const auto age = now - due.oldest_ms;  // negative: the clock was set back since, and nobody knows
    const bool old = due.count > 0 && (age >= settings.flush_after.count() || age < 0);
    if (due.count == 0 || (!full && !old && !flush_now && !due.has_call)) return fill_gaps(taken, nonce);
    if (taken.size() >= settings.max_open_transactions) return fill_gaps(taken, nonce);  // which all of them may wait for
    const bool anchors_too = (full || old || flush_now) && !anchors_wait();

    const auto room = settings.max_open_transactions - taken.size();
    FID_TRY(const auto items, database.read([&](auto& t) { return store::due(t, row_key, now, settings.max_batch * room); }));
    FID_TRY(const auto base_fee, rpc.base_fee());
    // The lowest nonces that are neither in a block nor in one of our open transactions: a gap is filled first.
    const auto next_nonce = [&] {
        while (taken.contains(nonce)) ++nonce;
        taken.insert(nonce);
        return nonce;
    };
    std::vector<Made> made;
    std::vector<store::Pending> anchors;
    for (const auto& item : items) {
        if (!item.intact) {
            FID_CHECK(database.write(database::Durability::full, [&](auto& t) { return altered(t, item); }));
            continue;
        }
        if (item.kind == store::Kind::anchor) {
            if (anchors_too) anchors.push_back(item);
            continue;
        }
        if (taken.size() >= settings.max_open_transactions) continue;
        FID_TRY(const auto gas, gas_for_call(item));
        if (!gas) continue;  // it has ended as failed, or waits
        FID_TRY(auto one, sign_new(next_nonce(), item.to, item.calldata, *gas, {item.id}, base_fee));
        made.push_back(std::move(one));
    }
    std::span<const store::Pending> rest(anchors);
    while (!rest.empty() && taken.size() < settings.max_open_transactions) {
        const auto batch = rest.first(anchors_that_fit(rest.size()));
        rest = rest.subspan(batch.size());
        std::vector<evidence::StudyRecord> records;
        std::vector<std::uint64_t> ids;
        for (const auto& item : batch) {
            records.push_back(item.record);
            ids.push_back(item.id);
        }
        const auto gas = settings.gas_per_batch + settings.gas_per_record * batch.size();
        FID_TRY(auto one, sign_new(next_nonce(), settings.studies, contracts::anchor_call(records), gas, std::move(ids), base_fee));
        made.push_back(std::move(one));
    }
    if (made.empty()) return fill_gaps(taken, nonce);
    FID_CHECK(store_and_send(std::move(made)));
    return true;
}

// A nonce below one of ours that nothing holds (the transaction that had it was undone, and was not ours): ours would wait
// for ever, so an empty transaction takes it.
Result<bool> Outbox::Impl::fill_gaps(const std::set<std::uint64_t>& taken, std::uint64_t first) {
    constexpr std::size_t kMaxFillers = 64;
    std::vector<Made> made;
    for (auto nonce = first; !taken.empty() && nonce < *taken.rbegin() && made.size() < kMaxFillers; ++nonce) {
        if (taken.contains(nonce)) continue;
        FID_TRY(const auto base_fee, rpc.base_fee());
        FID_TRY(auto one, sign_new(nonce, account, {}, kTransferGas, {}, base_fee));
        made.push_back(std::move(one));
    }
    if (made.empty()) return false;
    log::warning("ledger", "nonces of the gateway's account that nothing holds are filled",
                 {{"first", made.front().open.nonce}, {"count", made.size()}});
    FID_CHECK(store_and_send(std::move(made)));
    return true;
}

Result<std::optional<std::uint64_t>> Outbox::Impl::gas_for_call(const store::Pending& item) {
    if (item.gas_limit != 0) return item.gas_limit;
    const auto estimate = rpc.estimate_gas(account, item.to, item.calldata);
    if (estimate) return *estimate + *estimate / 4 + kCallReserve;
    if (estimate.error().code == ErrorCode::unavailable || estimate.error().code == ErrorCode::timeout) return fail(estimate.error());
    if (estimate.error().code != ErrorCode::invalid_argument) {  // the others do not wait for it
        log::warning("ledger", "the gas of a call cannot be estimated; it is tried again",
                     {{"item", item.id}, {"why", estimate.error().message}});
        FID_CHECK(database.write(database::Durability::full, [&](auto& t) {
            return store::set_stored(t, item.id, estimate.error().message, now_ms() + kRetryItem.count());
        }));
        return std::nullopt;
    }
    incident(LedgerIncident::Kind::call_reverted, item, "the call " + item.tag + " was not sent: " + estimate.error().message);
    FID_CHECK(database.write(database::Durability::full, [&](auto& t) {
        return store::set_ended(t, item.id, OutboxState::failed, estimate.error().message, std::nullopt);
    }));
    return std::nullopt;
}

Result<ethereum::Uint256> Outbox::Impl::fee_for(const ethereum::Uint256& base_fee) const {
    FID_TRY(const auto twice, base_fee.plus(base_fee));
    FID_TRY(const auto wanted, twice.plus(settings.tip_wei));
    return std::max(wanted, ethereum::Uint256(settings.max_fee_wei));
}

Result<Outbox::Impl::Made> Outbox::Impl::sign_new(std::uint64_t nonce, const Address& to, Bytes data, std::uint64_t gas,
                                                  std::vector<std::uint64_t> items, const ethereum::Uint256& base_fee) {
    ethereum::Transaction transaction;
    transaction.chain_id = settings.chain_id;
    transaction.nonce = nonce;
    transaction.gas_limit = gas;
    transaction.to = to;
    transaction.data = std::move(data);
    transaction.max_priority_fee_per_gas = settings.tip_wei;
    FID_TRY(transaction.max_fee_per_gas, fee_for(base_fee));
    FID_TRY(const auto signed_one, ethereum::sign(transaction, key));
    return Made{{nonce, {{0, signed_one.encode(), signed_one.hash(), 0}}}, std::move(items)};
}

// Signed bytes and the items' new state are on the disk before anything is sent.
Result<void> Outbox::Impl::store_and_send(std::vector<Made> made) {
    std::sort(made.begin(), made.end(), [](const Made& a, const Made& b) { return a.open.nonce < b.open.nonce; });
    FID_CHECK(database.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        for (const auto& one : made) {
            FID_CHECK(store::add_attempt(t, one.open.nonce, one.open.attempts.front()));
            FID_CHECK(store::submit(t, one.items, one.open.nonce));
        }
        return {};
    }));
    std::vector<Bytes> raws;
    for (const auto& one : made) raws.push_back(one.open.attempts.front().raw);
    FID_TRY(const auto answers, rpc.send_raw_transactions(raws));
    for (std::size_t i = 0; i < made.size(); ++i) FID_CHECK(after_send(made[i].open, answers[i]));
    return {};
}

// ---- telling others

// Whatever it says, somebody who can write to the database said it.
Result<void> Outbox::Impl::altered(database::Transaction& t, const store::Pending& item) {
    incident(LedgerIncident::Kind::altered_row, item,
             "row " + std::to_string(item.id) + " of the outbox was changed behind our back; it is not sent");
    return store::set_ended(t, item.id, OutboxState::incident, store::kAlteredRow, std::nullopt);
}

void Outbox::Impl::incident(LedgerIncident::Kind kind, const store::Pending& item, std::string text) {
    incidents.push_back(
        {kind, item.id, item.record.study_key, item.kind == store::Kind::anchor ? item.record.version : 0, std::move(text)});
}

void Outbox::Impl::report() {
    for (const auto& one : std::exchange(incidents, {})) {
        log::error("ledger", "incident", {{"kind", name_of(one.kind)}, {"item", one.item}, {"what", one.text}});
        if (on_incident) on_incident(one);
    }
}

void Outbox::Impl::note_problem(const std::string& problem) {
    const std::lock_guard lock(mutex);
    status.problem = problem;
}

Result<void> Outbox::Impl::refresh_status() {
    store::Counts counts;
    store::Nonces nonces;
    FID_CHECK(database.read([&](auto& t) -> Result<void> {
        FID_TRY(counts, store::counts(t));
        FID_TRY(nonces, store::nonces(t, row_key));
        return {};
    }));
    const auto now = now_ms();
    const auto age = [now](std::int64_t since) { return milliseconds(since == 0 ? 0 : std::max<std::int64_t>(now - since, 0)); };
    const std::lock_guard lock(mutex);
    status.stored = counts.by_state[0];
    status.submitted = counts.by_state[1];
    status.included = counts.by_state[2];
    status.incidents = counts.by_state[4];
    status.failed = counts.by_state[5];
    status.open_transactions = counts.open;
    status.oldest_unsettled = age(counts.oldest_unsettled_ms);
    status.oldest_unsent = age(counts.oldest_unsent_ms);
    status.foreign_nonce = nonces.foreign;
    changed.notify_all();
    return {};
}

// ---- the outside

Outbox::Outbox(database::Database& database, Rpc& rpc, OutboxSettings settings, crypto::Secret key, crypto::Secret row_key,
               const Clock& clock)
    : impl_(std::make_unique<Impl>(database, rpc, settings, std::move(key), std::move(row_key), clock)) {}
Outbox::~Outbox() {
    stop();
}

const Address& Outbox::account() const {
    return impl_->account;
}
void Outbox::on_incident(std::function<void(const LedgerIncident&)> callback) {
    impl_->on_incident = std::move(callback);
}
void Outbox::on_included(std::function<void()> callback) {
    impl_->on_included = std::move(callback);
}

namespace {
Result<store::Pending> intact_row(database::Transaction& transaction, const crypto::Secret& row_key, std::uint64_t id) {
    FID_TRY(auto row, store::pending(transaction, row_key, id));
    if (!row.intact) return fail(ErrorCode::corrupt, "row " + std::to_string(id) + " of the outbox was changed behind our back; run fsck");
    return row;
}
}  // namespace

Result<std::uint64_t> Outbox::enqueue(database::Transaction& transaction, const evidence::StudyRecord& record) {
    FID_CHECK(evidence::check_record(record));
    if (record.chain_id != impl_->settings.chain_id || record.contract != impl_->settings.studies ||
        record.institution != impl_->settings.institution) {
        return fail(ErrorCode::invalid_argument, "the record is for another chain, contract or institution than this outbox");
    }
    FID_TRY(const auto known, store::find_anchor(transaction, record.study_key, record.version));
    if (known) {
        FID_TRY(const auto stored, intact_row(transaction, impl_->row_key, *known));
        if (stored.record == record) return *known;
        return fail(ErrorCode::conflict, "another record is stored for version " + std::to_string(record.version) + " of this study");
    }
    return store::insert_anchor(transaction, impl_->row_key, record, impl_->now_ms());
}

Result<std::uint64_t> Outbox::enqueue_call(database::Transaction& transaction, const Address& to, ByteView calldata, std::string_view tag,
                                           std::uint64_t gas_limit) {
    if (tag.empty()) return fail(ErrorCode::invalid_argument, "a call needs a tag");
    if (calldata.size() > kMaxCalldata) return fail(ErrorCode::limit_exceeded, "a call of " + std::to_string(calldata.size()) + " bytes");
    FID_TRY(const auto known, store::find_call(transaction, tag));
    if (known) {
        FID_TRY(const auto stored, intact_row(transaction, impl_->row_key, *known));
        if (stored.to == to && stored.calldata == to_bytes(calldata)) return *known;
        return fail(ErrorCode::conflict, "another call is stored under the tag " + std::string(tag));
    }
    return store::insert_call(transaction, impl_->row_key, to, calldata, tag, gas_limit, impl_->now_ms());
}

void Outbox::wake(bool at_once) {
    const std::lock_guard lock(impl_->mutex);
    impl_->woken = true;
    impl_->flush = impl_->flush || at_once;
    impl_->changed.notify_all();
}

Result<OutboxItem> Outbox::item(database::Transaction& transaction, std::uint64_t id) const {
    return store::item(transaction, impl_->row_key, id);
}

Result<OutboxItem> Outbox::anchor(database::Transaction& transaction, const Hash& study_key, std::uint64_t version) const {
    FID_TRY(const auto id, store::find_anchor(transaction, study_key, version));
    if (!id) return fail(ErrorCode::not_found, "no record is stored for this version of the study");
    return store::item(transaction, impl_->row_key, *id);
}

Result<OutboxItem> Outbox::call(database::Transaction& transaction, std::string_view tag) const {
    FID_TRY(const auto id, store::find_call(transaction, tag));
    if (!id) return fail(ErrorCode::not_found, "no call is stored under the tag " + std::string(tag));
    return store::item(transaction, impl_->row_key, *id);
}

Result<std::vector<AlteredRow>> Outbox::altered_rows(database::Transaction& transaction) const {
    return store::altered_rows(transaction, impl_->row_key);
}
Result<std::vector<std::uint64_t>> Outbox::altered_transactions(database::Transaction& transaction) const {
    FID_TRY(const auto kept, store::kept_transactions(transaction));
    std::vector<std::uint64_t> nonces;
    for (const auto& one : kept) {
        const bool sound = std::all_of(one.attempts.begin(), one.attempts.end(),
                                       [&](const auto& attempt) { return impl_->own_transaction(one.nonce, attempt).has_value(); });
        if (!sound) nonces.push_back(one.nonce);
    }
    return nonces;
}
Result<void> Outbox::remove(database::Transaction& transaction, std::span<const AlteredRow> rows) {
    return store::remove_items(transaction, rows);
}

Result<evidence::StudyRecord> Outbox::record(database::Transaction& transaction, const Hash& study_key, std::uint64_t version) const {
    FID_TRY(const auto id, store::find_anchor(transaction, study_key, version));
    if (!id) return fail(ErrorCode::not_found, "no record is stored for this version of the study");
    FID_TRY(auto stored, intact_row(transaction, impl_->row_key, *id));
    return stored.record;
}

Result<std::optional<std::uint64_t>> Outbox::foreign_nonce(database::Transaction& transaction) const {
    FID_TRY(const auto nonces, store::nonces(transaction, impl_->row_key));
    return nonces.foreign;
}

Result<void> Outbox::trust_nonces(database::Transaction& transaction) {
    return store::set_nonces(transaction, impl_->row_key, {});
}

void Outbox::start() {
    FID_INVARIANT(!impl_->thread.joinable(), "an outbox is started once");
    // The first round may wait for the node; what is asked before it has come to its end is answered as well.
    if (const auto read = impl_->refresh_status(); !read) impl_->note_problem(read.error().message);
    impl_->thread = std::jthread([impl = impl_.get()](std::stop_token stop) { impl->run(std::move(stop)); });
}

void Outbox::stop() {
    if (!impl_->thread.joinable()) return;
    impl_->thread.request_stop();
    impl_->thread.join();
    impl_->thread = {};
}

Result<bool> Outbox::step(bool flush) {
    return impl_->round(flush);
}

OutboxStatus Outbox::status() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->status;
}

namespace {
bool wait_for_counts(auto& impl, milliseconds time, const std::function<bool(const store::Counts&)>& done) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    for (;;) {
        const auto counts = impl.database.read([](auto& t) { return store::counts(t); });
        std::unique_lock lock(impl.mutex);
        if (counts) {
            impl.status.stored = counts->by_state[0];
            impl.status.submitted = counts->by_state[1];
            impl.status.included = counts->by_state[2];
            if (done(*counts)) return true;
        }
        if (std::chrono::steady_clock::now() >= deadline) return false;
        impl.changed.wait_until(lock, std::min(deadline, std::chrono::steady_clock::now() + milliseconds(50)));
    }
}
}  // namespace

bool Outbox::wait_until_settled(milliseconds time) {
    return wait_for_counts(*impl_, time,
                           [](const auto& counts) { return counts.by_state[0] + counts.by_state[1] + counts.by_state[2] == 0; });
}
bool Outbox::wait_until_included(milliseconds time) {
    return wait_for_counts(*impl_, time, [](const auto& counts) { return counts.by_state[0] + counts.by_state[1] == 0; });
}

Result<void> Outbox::apply(database::Transaction&, const Block&, std::span<const Log>) {
    return {};
}  // receipts tell

Result<void> Outbox::undo(database::Transaction& transaction, const Block& block, bool) {
    FID_TRY(const auto undone, store::undo_block(transaction, block.hash));
    if (undone.last_forgotten) {
        FID_TRY(auto nonces, store::nonces(transaction, impl_->row_key));
        nonces.accounted = std::max(nonces.accounted.value_or(0), *undone.last_forgotten + 1);  // ours, should the other chain hold it
        FID_CHECK(store::set_nonces(transaction, impl_->row_key, nonces));
    }
    for (const auto id : undone.settled) {
        if (std::any_of(impl_->undone.begin(), impl_->undone.end(), [id](const auto& one) { return one.item == id; })) continue;
        FID_TRY(const auto item, store::pending(transaction, impl_->row_key, id));
        impl_->undone.push_back({LedgerIncident::Kind::settled_undone, id, item.record.study_key,
                                 item.kind == store::Kind::anchor ? item.record.version : 0,
                                 "block " + std::to_string(block.number()) + " was settled and is undone; what stood in it is sent again"});
    }
    return {};
}

Result<void> Outbox::settle(database::Transaction& transaction, const Block& block) {
    return store::settle_block(transaction, block.number(), block.hash);
}

void Outbox::committed() {
    for (const auto& one : std::exchange(impl_->undone, {})) {
        log::error("ledger", "incident", {{"kind", name_of(one.kind)}, {"item", one.item}, {"what", one.text}});
        if (impl_->on_incident) impl_->on_incident(one);
    }
    wake();
}

Result<void> rekey_outbox(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now) {
    return outbox_store::rekey(transaction, former, now);
}

}  // namespace fiducial::ledger
