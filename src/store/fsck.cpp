#include <functional>
#include <set>
#include <string>
#include <unordered_map>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "store/rights.hpp"
#include "store/store.hpp"

namespace fiducial::store {
namespace {

constexpr std::size_t kMaxFindings = 10'000;
constexpr std::uint32_t kPage = 1000;
constexpr std::size_t kRebuildBatch = 1000;

class Checker {
public:
    explicit Checker(FsckReport& report) : report_(report) {}
    void find(Finding::Kind kind, std::string subject, std::string where, std::string what, std::string advice) {
        if (report_.findings.size() < kMaxFindings) report_.findings.push_back({kind, std::move(subject), std::move(where), std::move(what), std::move(advice)});
    }

private:
    FsckReport& report_;
};

}  // namespace

std::string_view name_of(Finding::Kind kind) {
    switch (kind) {
        case Finding::Kind::damaged_object: return "damaged_object";
        case Finding::Kind::missing_object: return "missing_object";
        case Finding::Kind::unindexed_object: return "unindexed_object";
        case Finding::Kind::damaged_row: return "damaged_row";
        case Finding::Kind::damaged_segment: return "damaged_segment";
        case Finding::Kind::unused_segment: return "unused_segment";
        case Finding::Kind::damaged_database: return "damaged_database";
    }
    return "unknown";
}

Result<FsckReport> Store::fsck(const FsckOptions& options, const std::function<void(const Progress&)>& progress) {
    FsckReport report;
    Checker check(report);
    using Kind = Finding::Kind;
    if (auto sound = database_->check_integrity(); !sound) check.find(Kind::damaged_database, "index.db", "database", sound.error().message, "fsck --rebuild-index");
    FID_TRY(const auto bad_rows, database_->read([&](database::Transaction& t) { return index_->check_all(t); }));
    for (const auto& error : bad_rows) check.find(Kind::damaged_row, "index", "index.db", error.message, "fsck --rebuild-index");
    const Rights rights(*keyring_);
    FID_TRY(const auto bad_rights, database_->read([&](database::Transaction& t) { return rights.check_all(t); }));
    for (const auto& error : bad_rights) check.find(Kind::damaged_row, "rights", "index.db", error.message, "it is read from the ledger again when an archive runs with its node; local denials must be looked at by a person");

    // Segments → index.
    std::unordered_map<ObjectId, Location, BytesHash> stored;
    std::vector<ScannedEntry> unknown;
    std::set<std::uint32_t> used;
    const auto visit = [&](ScannedEntry&& entry) -> Result<void> {
        used.insert(entry.segments.begin(), entry.segments.end());
        if (entry.problem) {
            // Erased studies' records stay until compaction, unreadable for good.
            if (entry.problem->code != ErrorCode::not_found) {
                stored.emplace(entry.id, entry.location);
                check.find(Kind::damaged_object, to_hex(entry.id), describe(entry.location), entry.problem->message, "restore the segment from a backup");
            }
            return {};
        }
        if (entry.mark) return {};
        stored.emplace(entry.id, entry.location);
        const auto row = database_->read([&](database::Transaction& t) { return index_->find_object(t, entry.id); });
        if (!row) return {};  // its bad MAC is among the rows above
        if (!*row) unknown.push_back(std::move(entry));
        return {};
    };
    FID_TRY(const auto scanned, vault_->scan({}, visit));
    for (const auto& error : scanned.damage) check.find(Kind::damaged_segment, "segment", "segments", error.message, "restore the segment from a backup, then fsck --rebuild-index");
    for (const auto number : scanned.data_only) {
        if (!used.contains(number)) check.find(Kind::unused_segment, std::to_string(number), "segment " + std::to_string(number), "nothing names the bytes of this segment", "remove the file");
    }

    // Index → segments.
    Progress now;
    FID_TRY(const auto counts, database_->read([&](database::Transaction& t) { return index_->counts(t); }));
    now.total = counts.bytes;
    std::string after;
    while (true) {
        const auto page = database_->read([&](database::Transaction& t) { return index_->list_objects(t, after, kPage); });
        if (!page) {
            check.find(Kind::damaged_row, "index", "index.db", page.error().message, "fsck --rebuild-index");
            break;
        }
        if (page->empty()) break;
        for (const auto& row : *page) {
            report.objects += 1;
            report.bytes += row.ref.size;
            after = to_hex(row.ref.id);
            if (!stored.contains(row.ref.id)) {
                check.find(Kind::missing_object, after, describe(row.ref.location), "the segments do not hold this object of study " + row.study_uid.text(), "restore the segment from a backup");
            } else if (row.state != ObjectState::discarded && row.state != ObjectState::torn) {
                auto whole = Result<void>();
                if (options.read_everything) {
                    whole = vault_->check_object(row.ref);
                } else if (auto opened = vault_->open_object(row.ref); !opened) {
                    whole = fail(opened.error());
                }
                if (!whole) {
                    const bool known = row.state == ObjectState::quarantined;
                    check.find(Kind::damaged_object, after, describe(row.ref.location), whole.error().message, known ? "it is in quarantine; restore the segment from a backup" : "quarantine it (fsck --repair), restore the segment from a backup");
                    if (options.quarantine && !known) FID_CHECK(quarantine(row.ref.id, "found by fsck"));
                }
            }
            now.done += row.ref.size;
        }
        if (progress) progress(now);
    }
    report.rows = counts.patients + counts.studies + counts.series + counts.instances + report.objects;

    // What was stored while we looked has its row by now.
    for (const auto& entry : unknown) {
        const auto row = database_->read([&](database::Transaction& t) { return index_->find_object(t, entry.id); });
        if (row && *row) continue;
        check.find(Kind::unindexed_object, to_hex(entry.id), describe(entry.location), "the index does not name this object of study " + entry.object->description.study_uid.text(), "fsck --rebuild-index");
    }
    return report;
}

Result<std::uint64_t> Store::rebuild_index(const std::function<void(const Progress&)>& progress) {
    std::uint64_t indexed = 0;
    Progress now;
    FID_TRY(const auto usage, vault_->usage());
    now.total = usage.bytes;
    const auto rebuild = [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(index_->clear(t));
        Group batch;
        Location last;
        const auto flush = [&]() -> Result<void> {
            FID_CHECK(index_entries(t, batch, 0));
            indexed += batch.objects.size();
            for (const auto& object : batch.objects) now.done += object.ref.size;
            batch = {};
            if (progress) progress(now);
            return {};
        };
        FID_TRY(const auto scanned, vault_->scan({}, [&](ScannedEntry&& entry) -> Result<void> {
            last = entry.block;
            if (entry.problem) {
                if (entry.problem->code != ErrorCode::not_found) log::error("store", entry.problem->message);
                return {};
            }
            if (entry.mark) {
                batch.add(*std::move(entry.mark));
            } else {
                batch.objects.push_back(*std::move(entry.object));
            }
            return batch.size() >= kRebuildBatch ? flush() : Result<void>();
        }));
        for (const auto& error : scanned.damage) log::error("store", error.message);
        FID_CHECK(flush());
        return index_->set_known(t, {last, vault_->highest_segment()});
    };
    FID_CHECK(database_->write(database::Durability::full, rebuild));
    FID_CHECK(database_->read([&](database::Transaction& t) { return index_->mark_slots_used(t); }));
    const std::lock_guard lock(slots_mutex_);
    study_slots_.clear();
    patient_slots_.clear();
    return indexed;
}

}  // namespace fiducial::store
