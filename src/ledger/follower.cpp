#include "ledger/follower.hpp"

#include <soci/soci.h>

#include <algorithm>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "database/database.hpp"
#include "ledger/signer_history.hpp"

namespace fiducial::ledger {
namespace {

constexpr std::chrono::seconds kNodeCheckEvery{2};
constexpr std::chrono::seconds kBehindAfter{10};

std::string chain_name(const FollowerSettings& settings) {
    return std::to_string(settings.chain_id) + ":" + to_hex(settings.genesis_hash);
}

Result<void> store_block(database::Transaction& transaction, const Block& block) {
    const auto number = static_cast<long long>(block.number());
    const auto hash = to_hex(block.hash);
    const auto header = to_hex(block.header.encode());
    return database::attempt("store a block", [&] {
        transaction.sql() << "insert into ledger_blocks(number, hash, header, settled) values(:n, :h, :r, 0)", soci::use(number),
            soci::use(hash), soci::use(header);
    });
}

Result<void> remove_blocks_from(database::Transaction& transaction, std::uint64_t number) {
    const auto first = static_cast<long long>(number);
    return database::attempt("remove blocks",
                             [&] { transaction.sql() << "delete from ledger_blocks where number >= :n", soci::use(first); });
}

Result<void> remove_blocks_below(database::Transaction& transaction, std::uint64_t number) {
    const auto first = static_cast<long long>(number);
    return database::attempt("remove blocks",
                             [&] { transaction.sql() << "delete from ledger_blocks where number < :n", soci::use(first); });
}

Result<void> settle_blocks_to(database::Transaction& transaction, std::uint64_t number, std::uint64_t keep_from) {
    const auto last = static_cast<long long>(number);
    const auto keep = static_cast<long long>(keep_from);
    return database::attempt("settle blocks", [&] {
        transaction.sql() << "update ledger_blocks set settled = 1 where number <= :n and settled = 0", soci::use(last);
        transaction.sql() << "delete from ledger_blocks where number < :k", soci::use(keep);
    });
}

// Settled blocks that were undone and that nobody has looked into: how often, and the lowest of them.
struct Undone {
    std::uint64_t count = 0;
    std::uint64_t lowest = 0;
};

Undone read_undone(database::Transaction& transaction) {
    std::string text;
    transaction.sql() << "select value from ledger_meta where name = 'settled_undone'", soci::into(text);
    const auto colon = text.find(':');
    if (colon == std::string::npos) return {};
    return {std::strtoull(text.c_str(), nullptr, 10), std::strtoull(text.c_str() + colon + 1, nullptr, 10)};
}

Result<Undone> note_undone(database::Transaction& transaction, std::uint64_t lowest) {
    Undone undone;
    FID_CHECK(database::attempt("note settled blocks that were undone", [&] {
        undone = read_undone(transaction);
        undone = {undone.count + 1, undone.count == 0 ? lowest : std::min(undone.lowest, lowest)};
        const auto text = std::to_string(undone.count) + ":" + std::to_string(undone.lowest);
        transaction.sql() << "delete from ledger_meta where name = 'settled_undone'";
        transaction.sql() << "insert into ledger_meta(name, value) values('settled_undone', :v)", soci::use(text);
    }));
    return undone;
}

bool has_logs(const Block& block) {
    return std::any_of(block.header.logs_bloom.begin(), block.header.logs_bloom.end(), [](auto byte) { return byte != 0; });
}

std::vector<ethereum::BlockHeader> headers_of(auto first, auto last) {
    std::vector<ethereum::BlockHeader> out;
    for (; first != last; ++first) out.push_back(first->block.header);
    return out;
}

}  // namespace

Follower::Follower(database::Database& database, Rpc& rpc, FollowerSettings settings, std::vector<LedgerChanges*> sinks, const Clock& clock)
    : database_(database),
      rpc_(rpc),
      settings_(std::move(settings)),
      sinks_(std::move(sinks)),
      clock_(clock),
      last_new_block_(clock.steady_now()) {}

Follower::~Follower() {
    stop();
}

Result<void> Follower::load() {
    std::vector<Kept> chain;
    Undone undone;
    auto outcome = database_.write(database::Durability::full, [&](database::Transaction& transaction) -> Result<void> {
        return database::attempt("read the followed chain", [&]() -> Result<void> {
            auto& sql = transaction.sql();
            std::string name;
            sql << "select value from ledger_meta where name = 'chain'", soci::into(name);
            if (!sql.got_data()) {
                name = chain_name(settings_);
                sql << "insert into ledger_meta(name, value) values('chain', :v)", soci::use(name);
            } else if (name != chain_name(settings_)) {
                return fail(ErrorCode::conflict, "the database has followed another chain (" + name + "), not " + chain_name(settings_));
            }
            undone = read_undone(transaction);
            std::string hash;
            std::string header;
            long long number = 0;
            long long settled = 0;
            soci::statement statement = (sql.prepare << "select number, hash, header, settled from ledger_blocks order by number",
                                         soci::into(number), soci::into(hash), soci::into(header), soci::into(settled));
            statement.execute(false);
            const auto read = [&]() -> Result<Kept> {
                Kept kept;
                FID_TRY(kept.block.hash, fixed_from_hex<32>(hash, "block hash"));
                FID_TRY(const auto rlp, from_hex(header));
                FID_TRY(kept.block.header, ethereum::decode_header(rlp, {.require_base_fee = false, .allow_later_fields = true}));
                kept.settled = settled != 0;
                const auto& h = kept.block.header;
                if (static_cast<long long>(h.number) != number)
                    return fail(ErrorCode::corrupt, "the row of block " + std::to_string(number) + " holds another block");
                if (settings_.seals && h.hash() != kept.block.hash)
                    return fail(ErrorCode::corrupt, "block " + std::to_string(h.number) + " has another hash");
                return kept;
            };
            std::string damage;
            bool last_is_sound = true;
            while (statement.fetch()) {
                auto kept = read();
                last_is_sound = kept.has_value();
                if (!kept) {
                    damage = kept.error().message;
                    chain.clear();
                    continue;
                }
                const auto& h = kept->block.header;
                if (!chain.empty() && (h.number != chain.back().block.number() + 1 || h.parent_hash != chain.back().block.hash)) {
                    damage = "block " + std::to_string(h.number) + " does not follow the row before it";
                    chain.clear();
                }
                chain.push_back(std::move(*kept));
            }
            if (damage.empty()) return {};
            // What is sound up to the newest block is enough to go on from it, as long as something settled is in it. Otherwise all of it
            // is read from the chain again, and whoever has been told of it before must know.
            if (last_is_sound && !chain.empty() && chain.front().settled) {
                log::warning("ledger", "followed blocks in the database are damaged; they are let go",
                             {{"below", chain.front().block.number()}, {"why", damage}});
                return remove_blocks_below(transaction, chain.front().block.number());
            }
            log::warning("ledger", "the followed blocks in the database are damaged; the chain is followed again from the start",
                         {{"why", damage}});
            chain.clear();
            return remove_blocks_from(transaction, 0);
        });
    });
    FID_CHECK(outcome);
    chain_.assign(std::make_move_iterator(chain.begin()), std::make_move_iterator(chain.end()));
    {
        const std::lock_guard lock(mutex_);
        status_.unacknowledged = undone.count;
        status_.lowest_undone = undone.lowest;
    }
    publish();
    return {};
}

Result<void> Follower::start() {
    FID_INVARIANT(!thread_.joinable(), "a follower is started once");
    FID_CHECK(load());
    thread_ = std::jthread([this](std::stop_token stop) { run(std::move(stop)); });
    return {};
}

void Follower::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
    thread_ = {};
}

void Follower::wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_all();
}

void Follower::run(std::stop_token stop) {
    std::string_view logged;  // the kind of problem: said once, not at every attempt
    while (!stop.stop_requested()) {
        const auto outcome = step();
        const auto problem = outcome ? std::string_view() : fiducial::name_of(outcome.error().code);
        if (problem != logged) {
            if (problem.empty())
                log::info("ledger", "the chain is being followed again");
            else
                log::warning("ledger", "the chain cannot be followed", {{"why", outcome.error().message}});
            logged = problem;
        }
        if (outcome && *outcome) continue;
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, stop, settings_.poll, [this] { return woken_; });
        woken_ = false;
    }
}

Result<void> Follower::check_node() {
    const auto now = clock_.steady_now();
    if (node_checked_ && now - last_node_check_ < kNodeCheckEvery) return {};
    node_checked_ = false;
    FID_TRY(const auto chain, rpc_.chain_id());
    if (chain != settings_.chain_id) {
        return fail(ErrorCode::conflict,
                    "the node is on chain " + std::to_string(chain) + ", the site's is " + std::to_string(settings_.chain_id));
    }
    FID_TRY(const auto genesis, rpc_.block(std::uint64_t{0}));
    if (!genesis || genesis->hash != settings_.genesis_hash) {
        return fail(ErrorCode::conflict, "the node's genesis block is not the site's " + to_0x(settings_.genesis_hash));
    }
    FID_TRY(const auto syncing, rpc_.is_syncing());
    if (syncing) return fail(ErrorCode::unavailable, "the node is still catching up with its peers");
    node_checked_ = true;
    last_node_check_ = now;
    return {};
}

Result<bool> Follower::step() {
    const auto once = [this]() -> Result<bool> {
        FID_CHECK(check_node());
        FID_TRY(const auto head, rpc_.block(Latest{}));
        if (!head) return fail(ErrorCode::unavailable, "the node has no block");
        {
            const std::lock_guard lock(mutex_);
            status_.node_head = head->number();
        }
        if (!chain_.empty() && chain_.back().block.hash == head->hash) return false;
        FID_TRY(const bool undone, undo_where_forked(*head));
        FID_TRY(const bool extended, extend(*head));
        return undone || extended;
    };
    auto outcome = once();
    if (!outcome) {
        node_checked_ = false;
        note_problem(outcome.error());
        return outcome;
    }
    // Only now: a node that answers while its blocks cannot be taken, or are still to be taken, tells nothing of what was revoked in them.
    if (answered()) {
        for (auto* sink : sinks_) sink->answered(clock_.now());
    }
    return outcome;
}

Result<bool> Follower::undo_where_forked(const Block& node_head) {
    if (chain_.empty()) return false;
    // From the newest block that both could have down to the newest that both do have.
    std::size_t keep = chain_.size();
    while (keep > 0 && chain_[keep - 1].block.number() > node_head.number()) --keep;
    while (keep > 0) {
        const auto& mine = chain_[keep - 1].block;
        if (mine.number() == node_head.number()) {
            if (mine.hash == node_head.hash) break;
        } else {
            FID_TRY(const auto theirs, rpc_.block(mine.number()));
            if (theirs && theirs->hash == mine.hash) break;
        }
        --keep;
    }
    if (keep == chain_.size()) return false;
    if (keep == 0 && chain_.front().block.number() > std::max<std::uint64_t>(settings_.from_block, 1)) {
        return fail(ErrorCode::corrupt, "the node's chain has nothing in common with the last " + std::to_string(chain_.size()) +
                                            " blocks that were followed; a person must decide (ledger/node runbook)");
    }

    std::optional<std::uint64_t> lowest_settled;
    Undone undone;
    auto outcome = database_.write(database::Durability::full, [&](database::Transaction& transaction) -> Result<void> {
        for (std::size_t i = chain_.size(); i > keep; --i) {
            const auto& gone = chain_[i - 1];
            if (gone.settled) lowest_settled = gone.block.number();
            for (auto* sink : sinks_) FID_CHECK(sink->undo(transaction, gone.block, gone.settled));
        }
        if (lowest_settled) {
            FID_TRY(undone, note_undone(transaction, *lowest_settled));
        }
        return remove_blocks_from(transaction, chain_[keep].block.number());
    });
    FID_CHECK(outcome);
    const auto depth = chain_.size() - keep;
    log::warning("ledger", "blocks were undone by a reorganisation",
                 {{"blocks", depth}, {"from", chain_[keep].block.number()}, {"settled", lowest_settled.has_value()}});
    chain_.erase(chain_.begin() + static_cast<std::ptrdiff_t>(keep), chain_.end());
    {
        const std::lock_guard lock(mutex_);
        ++status_.reorganisations;
        status_.deepest_reorganisation = std::max<std::uint64_t>(status_.deepest_reorganisation, depth);
        if (lowest_settled) {
            ++status_.incidents;
            status_.unacknowledged = undone.count;
            status_.lowest_undone = undone.lowest;
        }
    }
    publish();
    for (auto* sink : sinks_) sink->committed();
    if (lowest_settled) {
        log::error("ledger", "a settled block was undone", {{"block", *lowest_settled}});
        if (on_incident_) on_incident_(*lowest_settled);
    }
    return true;
}

// Returns: how many of these unsettled blocks are settled, by the trust file's signers alone. Errors: unverified.
Result<std::size_t> Follower::settled_by_trust_file(std::span<const Kept> blocks) const {
    std::size_t settled = 0;
    for (std::size_t first = 0; first < blocks.size();) {
        const auto* set = evidence::signers_at(settings_.signer_sets, blocks[first].block.number());
        if (set == nullptr)
            return fail(ErrorCode::unverified, "no signers are known for block " + std::to_string(blocks[first].block.number()));
        auto last = first;  // one past
        while (last < blocks.size() && evidence::signers_at(settings_.signer_sets, blocks[last].block.number()) == set) ++last;
        const auto headers =
            headers_of(blocks.begin() + static_cast<std::ptrdiff_t>(first), blocks.begin() + static_cast<std::ptrdiff_t>(last));
        FID_TRY(const auto report, settings_.seals->check_span(headers, set->signers));
        // Whatever a settled block stands on is settled.
        for (std::size_t i = headers.size(); i > 0; --i) {
            if (!settings_.seals->is_settled(report, i - 1)) continue;
            settled = first + i;
            break;
        }
        first = last;
    }
    return settled;
}

// The signers before a block, by the votes since the newest checkpoint that genesis hash or trust file vouch for.
Result<ethereum::CliqueSnapshot> Follower::signers_by_votes(const ethereum::BlockHeader& header) {
    const auto last = header.number - 1;
    FID_TRY(auto signers, follow_votes(rpc_, {settings_.genesis_hash, *settings_.clique, settings_.signer_sets}, last, last));
    if (signers.hash() != header.parent_hash) return fail(ErrorCode::unavailable, "the chain changed while it was read");
    log::warning("ledger",
                 "the signers vote; the chain is followed by their votes, evidence of blocks under other signers than the trust file's "
                 "needs a new one",
                 {{"block", header.number}, {"see", "fiducial trust next"}});
    return signers;
}

// What was settled since has been checked: its votes count.
void Follower::follow_settled_votes() {
    for (const auto& kept : chain_) {
        if (!signers_ || !kept.settled || kept.block.header.parent_hash != signers_->hash()) continue;
        if (!signers_->apply(kept.block.header)) signers_.reset();
    }
}

// The same where votes stand among them, or changed the set.
Result<std::size_t> Follower::settled_by_votes(std::span<const Kept> blocks) {
    const auto& first = blocks.front().block.header;
    if (!signers_ || signers_->hash() != first.parent_hash) {
        FID_TRY(signers_, signers_by_votes(first));
    }
    auto signers = *signers_;
    ethereum::SealReport report;
    report.signer_count = signers.signers().size();
    for (const auto& kept : blocks) {
        FID_CHECK(signers.apply(kept.block.header));
        FID_TRY(const auto signer, ethereum::clique_sealer(kept.block.header));
        report.blocks.push_back({kept.block.number(), kept.block.hash, signer, false});
        report.signer_count = std::max(report.signer_count, signers.signers().size());  // where they are more, it takes more to settle
    }
    for (std::size_t i = blocks.size(); i > 0; --i) {
        if (settings_.seals->is_settled(report, i - 1)) return i;
    }
    return 0;
}

// Returns: the numbers of the blocks of `chain` that are settled now and were not, ascending.
Result<std::vector<std::uint64_t>> Follower::newly_settled(std::span<const Kept> chain) {
    const auto open = chain.subspan(
        static_cast<std::size_t>(std::find_if(chain.begin(), chain.end(), [](const Kept& kept) { return !kept.settled; }) - chain.begin()));
    std::size_t count = open.size() > settings_.development_depth ? open.size() - settings_.development_depth : 0;
    if (settings_.seals && !open.empty()) {
        // Once by votes, always by votes: a set that is out of date might fit a few blocks by chance.
        auto settled = signers_ ? settled_by_votes(open) : settled_by_trust_file(open);
        if (!settled && !signers_ && settings_.clique && settled.error().code == ErrorCode::unverified) settled = settled_by_votes(open);
        if (!settled) return fail(settled.error());
        count = *settled;
    }
    std::vector<std::uint64_t> numbers;
    for (const auto& kept : open.first(count)) numbers.push_back(kept.block.number());
    return numbers;
}

std::uint64_t Follower::next_block() const {
    return chain_.empty() ? std::max<std::uint64_t>(settings_.from_block, 1) : chain_.back().block.number() + 1;
}

Result<bool> Follower::extend(const Block& node_head) {
    const auto next = next_block();
    if (node_head.number() < next) return false;
    std::vector<Block> blocks;
    if (node_head.number() == next)
        blocks.push_back(node_head);
    else {
        const auto count = std::min<std::uint64_t>(settings_.blocks_at_once, node_head.number() - next + 1);
        FID_TRY(blocks, rpc_.blocks(next, count));
    }
    // The chain may have changed while we asked: take what fits together, the next round sees the fork.
    std::vector<Kept> fresh;
    Hash parent = chain_.empty() ? (blocks.empty() ? Hash{} : blocks.front().header.parent_hash) : chain_.back().block.hash;
    for (auto& block : blocks) {
        if (block.header.parent_hash != parent) break;
        parent = block.hash;
        fresh.push_back({std::move(block), false});
    }
    if (fresh.empty()) return false;

    std::vector<Hash> with_logs;
    for (const auto& kept : fresh) {
        if (has_logs(kept.block)) with_logs.push_back(kept.block.hash);
    }
    std::vector<std::vector<Log>> logs;
    if (!with_logs.empty()) {
        FID_TRY(logs, rpc_.logs_of_blocks(with_logs, settings_.filter));
    }

    std::vector<Kept> window;
    const auto unsettled = std::find_if(chain_.begin(), chain_.end(), [](const Kept& kept) { return !kept.settled; });
    window.insert(window.end(), unsettled, chain_.end());
    const auto fresh_at = window.size();
    window.insert(window.end(), fresh.begin(), fresh.end());
    FID_TRY(const auto settled, newly_settled(window));

    auto outcome = database_.write(database::Durability::rebuildable, [&](database::Transaction& transaction) -> Result<void> {
        std::size_t used = 0;
        for (const auto& kept : fresh) {
            FID_CHECK(store_block(transaction, kept.block));
            const auto& own = has_logs(kept.block) ? logs[used++] : std::vector<Log>{};
            for (auto* sink : sinks_) FID_CHECK(sink->apply(transaction, kept.block, own));
        }
        for (std::size_t i = 0; i < settled.size(); ++i) {
            for (auto* sink : sinks_) FID_CHECK(sink->settle(transaction, window[i].block));
        }
        if (settled.empty()) return {};
        const auto last = settled.back();
        return settle_blocks_to(transaction, last, last > settings_.kept_blocks ? last - settings_.kept_blocks : 0);
    });
    FID_CHECK(outcome);

    for (std::size_t i = 0; i < settled.size() && i < fresh_at; ++i) (unsettled + static_cast<std::ptrdiff_t>(i))->settled = true;
    for (std::size_t i = fresh_at; i < settled.size(); ++i) fresh[i - fresh_at].settled = true;
    chain_.insert(chain_.end(), std::make_move_iterator(fresh.begin()), std::make_move_iterator(fresh.end()));
    follow_settled_votes();
    while (!settled.empty() && chain_.front().block.number() + settings_.kept_blocks < settled.back()) chain_.pop_front();
    {
        const std::lock_guard lock(mutex_);
        last_new_block_ = clock_.steady_now();
    }
    publish();
    for (auto* sink : sinks_) sink->committed();
    return true;
}

// Returns: whether everything up to the node's head was told.
bool Follower::answered() {
    const std::lock_guard lock(mutex_);
    const auto next = next_block();
    const auto missing = status_.node_head < next ? 0 : status_.node_head - next + 1;
    status_.reachable = true;
    // One poll more is waited for; where it takes longer, whoever waits is told.
    status_.problem = missing <= settings_.blocks_at_once
                          ? std::string()
                          : "blocks " + std::to_string(next) + " to " + std::to_string(status_.node_head) + " are still to be followed";
    if (missing == 0) {
        status_.last_answer = clock_.now();
        last_answer_steady_ = clock_.steady_now();
    }
    changed_.notify_all();
    return missing == 0;
}

void Follower::note_problem(const Error& error) {
    const std::lock_guard lock(mutex_);
    status_.reachable = false;
    status_.problem = error.message;
    changed_.notify_all();
}

void Follower::publish() {
    const std::lock_guard lock(mutex_);
    status_.any = !chain_.empty();
    if (status_.any) {
        const auto& head = chain_.back().block;
        status_.head = head.number();
        status_.head_hash = head.hash;
        status_.head_time = head.header.timestamp;
    }
    status_.settled = 0;
    status_.settled_hash = {};
    status_.voted_signers = signers_ ? signers_->signers() : std::vector<Address>();
    for (auto kept = chain_.rbegin(); kept != chain_.rend(); ++kept) {
        if (!kept->settled) continue;
        status_.settled = kept->block.number();
        status_.settled_hash = kept->block.hash;
        break;
    }
    changed_.notify_all();
}

FollowerStatus Follower::status() const {
    const std::lock_guard lock(mutex_);
    auto out = status_;
    const auto now = clock_.steady_now();
    const auto allowed = std::max<std::chrono::seconds>(kBehindAfter, std::chrono::seconds(3 * settings_.period));
    out.behind = !out.last_answer || now - last_answer_steady_ > allowed;
    out.current = !out.behind && out.problem.empty() && out.node_head <= out.head + settings_.blocks_at_once;
    const auto patience = std::max<std::chrono::seconds>(settings_.stall_after, std::chrono::seconds(3 * settings_.period));
    out.stalled = settings_.period > 0 && out.reachable && now - last_new_block_ > patience;
    return out;
}

Result<void> Follower::acknowledge_undone(const FollowerStatus& shown) {
    FID_CHECK(database_.write(database::Durability::full, [&](database::Transaction& transaction) -> Result<void> {
        const auto read = database::attempt("read settled blocks that were undone", [&] { return read_undone(transaction); });
        if (!read) return fail(read.error());
        const Undone undone = *read;
        if (undone.count != shown.unacknowledged || undone.lowest != shown.lowest_undone) {
            return fail(ErrorCode::conflict, "settled blocks were undone meanwhile, from block " + std::to_string(undone.lowest) +
                                                 " on; look at them (ledger status), then acknowledge again");
        }
        return database::attempt("acknowledge", [&] { transaction.sql() << "delete from ledger_meta where name = 'settled_undone'"; });
    }));
    const std::lock_guard lock(mutex_);
    if (status_.incidents == shown.incidents)
        status_.unacknowledged = status_.lowest_undone = 0;  // otherwise one came after the row was gone
    return {};
}

bool Follower::wait_until(const std::function<bool(const FollowerStatus&)>& predicate, std::chrono::milliseconds time) const {
    const auto deadline = std::chrono::steady_clock::now() + time;
    for (;;) {
        if (predicate(status())) return true;
        std::unique_lock lock(mutex_);
        if (changed_.wait_until(lock, std::min(deadline, std::chrono::steady_clock::now() + settings_.poll)) == std::cv_status::timeout &&
            std::chrono::steady_clock::now() >= deadline) {
            lock.unlock();
            return predicate(status());
        }
    }
}

Result<std::optional<std::uint64_t>> newest_block_time(database::Database& database) {
    return database.read([](database::Transaction& transaction) -> Result<std::optional<std::uint64_t>> {
        return database::attempt("read the newest block", [&]() -> Result<std::optional<std::uint64_t>> {
            std::string header;
            transaction.sql() << "select header from ledger_blocks order by number desc limit 1", soci::into(header);
            if (!transaction.sql().got_data()) return std::nullopt;
            const auto rlp = from_hex(header);
            const auto decoded = rlp ? ethereum::decode_header(*rlp, {.require_base_fee = false, .allow_later_fields = true})
                                     : Result<ethereum::BlockHeader>(fail(rlp.error()));
            if (!decoded) return std::nullopt;  // Follower::load() says so
            return std::optional<std::uint64_t>(decoded->timestamp);
        });
    });
}

}  // namespace fiducial::ledger
