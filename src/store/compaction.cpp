#include "store/compaction.hpp"

#include <algorithm>
#include <set>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "store/store.hpp"

namespace fiducial::store {
namespace {

constexpr std::size_t kMaxLeft = 100;
constexpr std::uint64_t kSpareBytes = std::uint64_t{32} << 20;  // what must be free besides the copy
constexpr std::chrono::hours kLeftAgain{1};                     // until a segment that could not be encrypted anew is tried again

enum class SeenOfFormer : std::uint8_t { all, some };

/// The place of the last block that the index has seen, where that was in the former segment: in the one that stands there now. Of an index
/// that had seen only some of it nobody knows how much that is there: all of it is looked at again.
Result<void> follow(Index& index, const Vault& vault, database::Transaction& transaction, std::uint32_t former, SeenOfFormer seen) {
    const auto known = index.known(transaction);
    if (!known && known.error().code == ErrorCode::corrupt) return {};  // everything is looked at again, then
    if (!known) return fail(known.error());
    if (known->block.segment != former) return {};
    FID_TRY(auto block, vault.last_block_in_place_of(former));
    if (seen == SeenOfFormer::some) block.offset = 0;
    return index.set_known(transaction, {block, known->segment});
}

}  // namespace

// What an object's record is worth: nothing once its study was erased; the record alone (the index is made from it) once nobody can ask for
// the bytes.
Result<Keeping> Store::keeping_of(const ObjectId& id, Slot slot, const Location& location, bool reseal) {
    if (const auto secrets = secrets_->study_secrets(slot); !secrets) {
        if (secrets.error().code == ErrorCode::not_found) return Keeping{Keep::nothing};
        return fail(secrets.error());
    }
    FID_TRY(const auto row, database_->read([&](database::Transaction& t) { return index_->find_object(t, id); }));
    const auto left = [&](const std::string& why) {
        return fail(ErrorCode::conflict, "object " + to_hex(id) + " (" + describe(location) + ") " + why);
    };
    if (!row) return left("is not in the index: run fsck");
    if (row->ref.location != location) return left("lies elsewhere by the index (" + describe(row->ref.location) + "): run fsck");
    switch (row->state) {
        case ObjectState::duplicate:
        case ObjectState::discarded:
        case ObjectState::torn: return Keeping{Keep::record};
        case ObjectState::quarantined:
            if (reseal) return Keeping{Keep::whole, row->ref, true};
            if (row->state_before != ObjectState::superseded) return left("is in quarantine: mend it, or send it again");
            return Keeping{Keep::whole};  // a good copy has its place: as damaged as it is
        default: return Keeping{Keep::whole, row->ref};
    }
}

RewriteRules Store::rewrite_rules(const std::function<Result<void>(std::uint64_t bytes)>& pace, bool reseal) {
    RewriteRules rules;
    rules.keep = [this, reseal](const ObjectId& id, Slot slot, const Location& location) { return keeping_of(id, slot, location, reseal); };
    rules.worth = [](std::uint64_t) { return true; };
    rules.fits = [this](std::uint64_t kept) -> Result<void> {
        if (!disk_) return {};
        FID_TRY(const auto room, disk_->look());
        if (room.free_bytes >= kept + kSpareBytes) return {};
        return fail(ErrorCode::no_space, "there is no room to rewrite it: " + room.text());
    };
    rules.pace = pace ? pace : [](std::uint64_t) { return Result<void>(); };
    rules.reseal = reseal;
    return rules;
}

/// Nothing where the segment is left as it is: because it is not worth it, or for a reason that is added to `left`.
Result<std::optional<Rewritten>> Store::rewrite_segment(const SegmentInfo& segment, const RewriteRules& rules,
                                                        std::vector<std::string>& left) {
    auto written = vault_->rewrite_segment(segment.number, rules);
    if (!written) {
        const auto& error = written.error();
        if (error.code == ErrorCode::cancelled) return fail(error);
        if (left.size() < kMaxLeft) left.push_back("segment " + std::to_string(segment.number) + ": " + error.message);
        return std::optional<Rewritten>();
    }
    if (!*written) return std::optional<Rewritten>();
    const auto& rewritten = **written;
    const std::unique_lock lock(places_mutex_);
    FID_CHECK(vault_->publish(rewritten));
    // All rows at once. Until then, and in an older index, they are found through what the new segment says was moved.
    FID_CHECK(database_->write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        for (const auto& [id, from, to] : rewritten.objects) FID_CHECK(index_->move_object(t, id, from, to));
        return follow_known_block(t, segment.number);
    }));
    FID_CHECK(vault_->retire(segment.number));
    log::info("store", rules.reseal ? "a segment was encrypted anew" : "a segment was rewritten",
              {{"segment", segment.number}, {"as", rewritten.name.number}, {"bytes", segment.bytes}, {"left", rewritten.bytes}});
    return written;
}

// The last block that the index has seen may stand in a segment that another one stands in the place of by now.
Result<void> Store::follow_known_block(database::Transaction& transaction, std::uint32_t former) {
    return follow(*index_, *vault_, transaction, former, SeenOfFormer::all);
}

Result<std::uint64_t> Store::compact_segment(const SegmentInfo& segment, const CompactionOptions& options, std::vector<std::string>& left) {
    auto rules = rewrite_rules(options.pace, false);
    rules.worth = [&](std::uint64_t kept) {
        return kept + options.least_dead_bytes <= segment.bytes &&
               (segment.bytes - kept) * 100 >= std::uint64_t{options.dead_percent} * segment.bytes;
    };
    const auto left_before = left.size();
    FID_TRY(const auto written, rewrite_segment(segment, rules, left));
    if (!written) {
        if (left.size() == left_before) looked_at_[segment.number] = segment.bytes;  // less is dead than it seemed
        return std::uint64_t{0};
    }
    const auto& rewritten = *written;
    if (rewritten.name.number != 0) {
        std::uint64_t needed = 0;
        for (const auto& object : rewritten.objects) needed += object.to.record_size + object.to.stored_size;
        looked_at_[rewritten.name.number] = rewritten.bytes - std::min(needed, rewritten.bytes);
    }
    const std::lock_guard status_lock(status_mutex_);
    compaction_.copied_bytes += rewritten.bytes;
    return segment.bytes - rewritten.bytes;
}

Result<CompactionReport> Store::compact(const CompactionOptions& options) {
    const std::lock_guard one_at_a_time(compaction_mutex_);
    CompactionReport report;
    const auto copied_before = compaction_status().copied_bytes;
    FID_TRY(const auto needed, database_->read([&](database::Transaction& t) { return index_->bytes_in_segments(t); }));
    FID_TRY(auto segments, vault_->segments());
    // What is to be encrypted anew is rewritten then.
    std::erase_if(segments, [until = secrets_->former_until()](const SegmentInfo& one) { return one.number <= until; });
    const auto needed_of = [&](const SegmentInfo& segment) {
        std::uint64_t bytes = 0;
        for (const auto number : std::set{segment.number, segment.place}) {
            if (const auto found = needed.find(number); found != needed.end()) bytes += found->second;
        }
        return std::min(bytes, segment.bytes);
    };
    // What is wholly dead first: a large object's own segment goes before the record that names it.
    std::stable_partition(segments.begin(), segments.end(), [&](const SegmentInfo& segment) { return needed_of(segment) == 0; });
    std::uint64_t dead_bytes = 0;
    for (const auto& segment : segments) {
        const auto dead = segment.bytes - needed_of(segment);
        dead_bytes += dead;
        const auto seen = looked_at_.find(segment.number);
        const auto known_dead = seen == looked_at_.end() ? 0 : std::min(seen->second, dead);
        if (dead * 100 < std::uint64_t{options.dead_percent} * segment.bytes || dead - known_dead < options.least_dead_bytes) continue;
        if (segment.is_open) {  // rewritten once something stands behind it
            FID_CHECK(vault_->close_segment(segment.number));
            continue;
        }
        FID_TRY(const auto place, known());
        if (!vault_->is_behind(place.block.segment, segment.number)) continue;
        {
            const std::lock_guard lock(status_mutex_);
            compaction_.segment = segment.number;
        }
        const auto freed = compact_segment(segment, options, report.left);
        const std::lock_guard lock(status_mutex_);
        compaction_.segment = 0;
        if (!freed) return fail(freed.error());
        if (*freed == 0) continue;
        report.segments += 1;
        report.freed_bytes += *freed;
        dead_bytes -= std::min(dead_bytes, *freed);
        compaction_.segments += 1;
        compaction_.freed_bytes += *freed;
    }
    const std::lock_guard lock(status_mutex_);
    compaction_.dead_bytes = dead_bytes;
    compaction_.problem = report.left.empty() ? "" : report.left.front();
    report.copied_bytes = compaction_.copied_bytes - copied_before;
    return report;
}

CompactionStatus Store::compaction_status() const {
    const std::lock_guard lock(status_mutex_);
    return compaction_;
}

// A process that ended between publishing and retiring: rows may name the former segment, which may still be there.
Result<void> Store::finish_compaction() {
    FID_TRY(const auto leftovers, vault_->superseded());
    for (const auto& former : leftovers) {
        FID_TRY(const auto objects, vault_->moved_from(former));
        FID_CHECK(database_->write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
            for (const auto& [id, from, to] : objects) FID_CHECK(index_->move_object(t, id, from, to));
            return follow(*index_, *vault_, t, former, SeenOfFormer::some);  // a power cut may have taken its last commits
        }));
        FID_CHECK(vault_->retire(former));
        log::info("store", "a segment that was rewritten is gone", {{"segment", former}});
    }
    return {};
}

Compactor::Compactor(Store& store, Settings settings) : store_(store), settings_(std::move(settings)) {
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Compactor::~Compactor() {
    thread_.request_stop();
    changed_.notify_all();
}

void Compactor::run(const std::stop_token& stop) {
    auto options = settings_.options;
    options.pace = [&](std::uint64_t bytes) -> Result<void> {
        const auto wait = std::chrono::microseconds(bytes * 1'000'000 / std::max<std::uint64_t>(1, settings_.bytes_per_second));
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, stop, wait, [] { return false; });
        if (stop.stop_requested()) return fail(ErrorCode::cancelled, "the archive stops");
        return {};
    };
    std::string told;
    auto again = std::chrono::steady_clock::now();
    while (!stop.stop_requested()) {
        {
            std::unique_lock lock(mutex_);
            changed_.wait_for(lock, stop, settings_.every, [] { return false; });
        }
        if (stop.stop_requested()) return;
        const auto say = [&told](const auto& done, std::string_view what) {
            const auto problem = !done ? done.error().message : done->left.empty() ? std::string() : done->left.front();
            if (!problem.empty() && problem != told) log::warning("store", std::string(what) + ": " + problem);
            told = problem;
            return done || done.error().code != ErrorCode::cancelled;
        };
        if (store_.is_reencrypting() && std::chrono::steady_clock::now() >= again) {
            const auto done = store_.reencrypt({options.pace, {}, true});
            if (!say(done, "encrypting anew")) return;
            if (!done || !done->left.empty()) again = std::chrono::steady_clock::now() + kLeftAgain;
        }
        if (settings_.compact && !say(store_.compact(options), "compaction")) return;
    }
}

}  // namespace fiducial::store
