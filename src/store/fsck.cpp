#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "evidence/manifest.hpp"
#include "store/rights.hpp"
#include "store/store.hpp"
#include "store/worklist.hpp"

namespace fiducial::store {
namespace {

constexpr std::size_t kMaxFindings = 10'000;
constexpr std::uint32_t kPage = 1000;
constexpr std::chrono::seconds kIndexedWithin{10};  // what is durable, where nothing is wrong
constexpr std::size_t kRebuildBatch = 1000;
constexpr const char* kUnreadable =
    "the disk does not read it, which says nothing of what stands there: look at the disk and its cables, then fsck again; nothing was put "
    "into quarantine";

class Checker {
public:
    explicit Checker(FsckReport& report) : report_(report) {}
    void find(Finding::Kind kind, std::string subject, std::string where, std::string what, std::string advice) {
        if (report_.findings.size() < kMaxFindings)
            report_.findings.push_back({kind, std::move(subject), std::move(where), std::move(what), std::move(advice)});
    }

private:
    FsckReport& report_;
};

// A row that a rebuild made for what a manifest lists, and no good copy has come since.
bool is_lost(const ObjectRow& row) {
    return row.ref.location.segment == 0 && row.state_before == ObjectState::current;
}

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
        case Finding::Kind::damaged_secrets: return "damaged_secrets";
        case Finding::Kind::unreadable: return "unreadable";
    }
    return "unknown";
}

Result<FsckReport> Store::fsck(const FsckOptions& options, const std::function<void(const Progress&)>& progress) {
    FsckReport report;
    Checker check(report);
    using Kind = Finding::Kind;
    if (auto sound = database_->check_integrity(); !sound)
        check.find(Kind::damaged_database, "index.db", "database", sound.error().message, "fsck --rebuild-index");
    FID_TRY(const auto bad_rows, database_->read([&](database::Transaction& t) { return index_->check_all(t); }));
    for (const auto& error : bad_rows) check.find(Kind::damaged_row, "index", "index.db", error.message, "fsck --rebuild-index");
    Worklist worklist(*keyring_);
    FID_TRY(const auto bad_steps, database_->read([&](database::Transaction& t) { return worklist.check_all(t); }));
    for (const auto& error : bad_steps)
        check.find(Kind::damaged_row, "worklist", "index.db", error.message,
                   "find out who can write to the index; fsck --repair removes such rows: send the orders again");
    if (options.repair && !bad_steps.empty())
        FID_CHECK(database_->write(database::Durability::full, [&](database::Transaction& t) { return worklist.drop_damaged(t); }));
    const Rights rights(*keyring_);
    FID_TRY(const auto bad_rights, database_->read([&](database::Transaction& t) { return rights.check_all(t); }));
    for (const auto& error : bad_rights)
        check.find(
            Kind::damaged_row, "rights", "index.db", error.message,
            "it is read from the ledger again when an archive runs with its node; where it is a row of local_denials or local_changes, "
            "nobody is "
            "served: find out who can write to the index; fsck --repair goes on with those that are left, look whether all are there");

    // Segments → index.
    std::unordered_map<ObjectId, Location, BytesHash> stored;
    std::vector<ScannedEntry> unknown;
    std::set<std::uint32_t> used;
    std::vector<ScannedEntry> unreadable;
    std::map<std::uint32_t, std::uint64_t> wrong_pages;  // number → objects
    const auto visit = [&](ScannedEntry&& entry) -> Result<void> {
        used.insert(entry.segments.begin(), entry.segments.end());
        if (entry.problem) {
            // Erased studies' records stay until compaction, unreadable for good.
            if (entry.problem->code != ErrorCode::not_found) {
                stored.emplace(entry.id, entry.location);
                // The row vouches for the header, and the header for the secrets.
                const auto row = database_->read([&](database::Transaction& t) { return index_->find_object(t, entry.id); });
                if (entry.other_secrets && row && *row && (*row)->ref.header_hash == entry.header_hash)
                    ++wrong_pages[entry.slot / kSlotsPerPage];
                if (unreadable.size() < kMaxFindings) unreadable.push_back(std::move(entry));
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
    FID_TRY(const auto begun_at, known());
    const auto scan = [&] {
        const std::shared_lock places_stay(places_mutex_);
        return vault_->scan({}, visit);
    };
    FID_TRY(const auto scanned, scan());
    const bool unread =
        std::any_of(scanned.damage.begin(), scanned.damage.end(), [](const Error& error) { return error.code == ErrorCode::io; });
    for (const auto& error : scanned.damage) {
        if (error.code == ErrorCode::io)
            check.find(Kind::unreadable, "segment", "segments", error.message, kUnreadable);
        else
            check.find(Kind::damaged_segment, "segment", "segments", error.message,
                       "restore the segment from a backup, then fsck --rebuild-index");
    }
    for (const auto& [page, objects] : wrong_pages) {
        check.find(Kind::damaged_secrets, "study page " + std::to_string(page), "store/secrets",
                   std::to_string(objects) + " objects cannot be opened with the secrets that are there",
                   "restore store/secrets from a backup");
    }
    // The good copy is checked in its own turn.
    const auto is_healed = [&](const ObjectId& id) -> Result<bool> {
        return database_->read([&](database::Transaction& t) -> Result<bool> {
            FID_TRY(const auto damaged, index_->find_instance_of(t, id));
            if (!damaged) return false;
            FID_TRY(const auto current, index_->find_instance(t, damaged->sop_uid));
            return current && current->object.ref.id != id && current->object.sha256 == damaged->object.sha256;
        });
    };
    const auto has_wrong_secrets = [&](Slot slot) { return wrong_pages.contains(slot / kSlotsPerPage); };
    for (const auto& entry : unreadable) {
        if (!has_wrong_secrets(entry.slot) && !is_healed(entry.id).value_or(false))
            check.find(Kind::damaged_object, to_hex(entry.id), describe(entry.location), entry.problem->message,
                       "restore the segment from a backup");
    }
    // Index → segments. Some of what the scan did not see came while we looked: it stands behind what was indexed when we began.
    std::vector<ObjectRow> not_seen;
    const auto judge_not_seen = [&]() -> Result<void> {
        if (not_seen.empty()) return {};
        std::unordered_set<ObjectId, BytesHash> came;
        FID_CHECK(vault_->scan(begun_at.block, [&](ScannedEntry&& entry) -> Result<void> {
            came.insert(entry.id);
            return {};
        }));
        for (const auto& row : not_seen) {
            if (came.contains(row.ref.id)) continue;
            check.find(Kind::missing_object, to_hex(row.ref.id), describe(row.ref.location),
                       "the segments do not hold this object of study " + row.study_uid.text(), "restore the segment from a backup");
        }
        not_seen.clear();
        return {};
    };
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
            if (row.ref.location.segment == 0) {
                if (is_lost(row))
                    check.find(Kind::missing_object, after, "",
                               "an instance of study " + row.study_uid.text() + " is lost with the segment that held it",
                               "restore the segment from a backup, then fsck --rebuild-index; or send the instance again");
            } else if (!stored.contains(row.ref.id) && unread) {
                check.find(Kind::unreadable, after, describe(row.ref.location), "it may stand where the disk does not read", kUnreadable);
            } else if (!stored.contains(row.ref.id)) {
                not_seen.push_back(row);
                if (not_seen.size() == kMaxFindings) FID_CHECK(judge_not_seen());
            } else if (row.state != ObjectState::discarded && row.state != ObjectState::torn && row.state != ObjectState::duplicate &&
                       !has_wrong_secrets(row.ref.slot)) {
                auto whole = Result<void>();
                if (auto opened = open_object(row.ref); !opened) {
                    whole = fail(opened.error());
                } else if (options.read_everything) {
                    whole = opened->check();
                }
                if (!whole && whole.error().code == ErrorCode::io) {
                    check.find(Kind::unreadable, after, describe(row.ref.location), whole.error().message, kUnreadable);
                } else if (!whole && is_healed(row.ref.id).value_or(false)) {
                    report.healed += 1;
                } else if (!whole) {
                    const bool known = row.state == ObjectState::quarantined;
                    check.find(Kind::damaged_object, after, describe(row.ref.location), whole.error().message,
                               known ? "it is in quarantine; restore the segment from a backup"
                                     : "quarantine it (fsck --repair), restore the segment from a backup");
                    if (options.repair && !known) FID_CHECK(quarantine(row.ref.id, "found by fsck"));
                }
            }
            now.done += row.ref.size;
        }
        if (progress) progress(now);
    }
    FID_CHECK(judge_not_seen());
    report.rows = counts.patients + counts.studies + counts.series + counts.instances + report.objects;

    FID_TRY(const auto needed, database_->read([&](database::Transaction& t) { return index_->bytes_in_segments(t); }));
    FID_TRY(const auto usage, vault_->usage());
    std::uint64_t needed_bytes = 0;
    for (const auto& [segment, bytes] : needed) needed_bytes += bytes;
    report.dead_bytes = usage.bytes - std::min(usage.bytes, needed_bytes);

    // What was stored while we looked has its row by now, or as soon as the transaction of its group is through.
    const auto patience = std::chrono::steady_clock::now() + kIndexedWithin;
    const auto is_indexed = [&](const ScannedEntry& entry) {
        for (;;) {
            const auto place = known();  // before the row is looked for
            const auto row = database_->read([&](database::Transaction& t) { return index_->find_object(t, entry.id); });
            if (row && *row) return true;
            if (!place || entry.block <= place->block || std::chrono::steady_clock::now() > patience) return false;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    };
    for (const auto& entry : unknown) {
        if (is_indexed(entry)) continue;
        check.find(Kind::unindexed_object, to_hex(entry.id), describe(entry.location),
                   "the index does not name this object of study " + entry.object->description.study_uid.text(), "fsck --rebuild-index");
    }

    // A large object's upload that was killed. Where anything else is wrong, a lost record may name it.
    const bool removed = options.repair && report.findings.empty();
    for (const auto number : scanned.data_only) {
        if (used.contains(number)) continue;
        if (removed) {
            FID_CHECK(vault_->remove_segment(number));
            log::info("store", "a segment that nothing names was removed", {{"segment", number}});
        } else {
            check.find(Kind::unused_segment, std::to_string(number), "segment " + std::to_string(number),
                       "nothing names the bytes of this segment", "fsck --repair removes it where nothing else is wrong");
        }
    }
    return report;
}

// A correction that is lost is in force all the same: nothing of its study is served until it is there again.
Result<void> Store::miss_corrections(database::Transaction& transaction, const StoredObject& manifest, const evidence::Manifest& listed) {
    std::set<Hash> wanted;
    for (const auto& instance : listed.instances) wanted.insert(instance.overlay_sha256);
    wanted.erase(kZero32);
    if (wanted.empty()) return {};
    FID_TRY(const auto there, index_->objects_of_study(transaction, listed.study_instance_uid, ObjectKind::overlay));
    for (const auto& row : there) wanted.erase(row.sha256);
    for (const auto& sha256 : wanted) {
        StoredObject object;
        object.ref.id = crypto::sha256({manifest.ref.id, sha256});
        object.ref.slot = manifest.ref.slot;
        object.sha256 = sha256;
        auto& d = object.description;
        d.kind = ObjectKind::overlay;
        d.study_uid = listed.study_instance_uid;
        d.arrival_ms = manifest.description.arrival_ms;
        d.patient_slot = manifest.description.patient_slot;
        if (listed.patient) {
            d.patient_id = listed.patient->patient_id;
            d.issuer = listed.patient->issuer;
        }
        FID_CHECK(index_->insert(transaction, {&object, 1}, 0));
        for (const auto state : {ObjectState::current, ObjectState::quarantined}) {
            FID_CHECK(index_->apply(transaction,
                                    {object.ref.id, manifest.ref.slot, state, d.arrival_ms, "lost with the segment that held it"}, &d));
        }
    }
    return {};
}

// Done where the manifest stands among the records: what came later is judged by what stood there then.
Result<void> Store::miss_what_is_lost(database::Transaction& transaction, const StoredObject& manifest, std::vector<std::string>& faults) {
    const auto read = [&]() -> Result<evidence::Manifest> {
        FID_TRY(auto reader, vault_->open_object(manifest.ref));
        Bytes bytes(reader.size());
        FID_TRY(const auto size, reader.read(0, bytes));
        return evidence::Manifest::decode(ByteView(bytes).first(size));
    };
    const auto listed = read();
    if (!listed) {
        faults.push_back("a manifest of study " + manifest.description.study_uid.text() + " is not readable: " + listed.error().message);
        return {};
    }
    FID_CHECK(miss_corrections(transaction, manifest, *listed));
    for (const auto& instance : listed->instances) {
        FID_TRY(const auto known, index_->find_all_instances(transaction, instance.sop_instance_uid));
        if (std::any_of(known.begin(), known.end(), [&](const InstanceRow& row) { return row.object.sha256 == instance.sha256; })) continue;
        StoredObject object;
        object.ref = {crypto::sha256({manifest.ref.id, as_bytes(instance.sop_instance_uid.text())}),
                      {},
                      instance.chunk_root,
                      instance.size,
                      manifest.ref.slot,
                      {}};
        object.sha256 = instance.sha256;
        object.prefix_sha256 = instance.prefix_sha256;
        object.fragment_sha256 = instance.fragment_sha256;
        auto& d = object.description;
        d.study_uid = listed->study_instance_uid;
        d.series_uid = instance.series_instance_uid;
        d.sop_uid = instance.sop_instance_uid;
        d.sop_class_uid = instance.sop_class_uid;
        d.transfer_syntax_uid = instance.transfer_syntax_uid;
        d.pixel_sha256 = instance.pixel_sha256;
        d.source_sha256 = instance.source_sha256;
        d.arrival_ms = instance.arrival_ms;
        d.source = instance.source;
        if (listed->patient) {
            d.patient_id = listed->patient->patient_id;
            d.issuer = listed->patient->issuer;
        }
        d.patient_slot = manifest.description.patient_slot;
        FID_CHECK(index_->insert(transaction, {&object, 1}, 0));
        // It stood in the study, whatever it would be taken for now.
        for (const auto state : {ObjectState::current, ObjectState::quarantined}) {
            FID_CHECK(index_->apply(
                transaction, {object.ref.id, manifest.ref.slot, state, instance.arrival_ms, "lost with the segment that held it"}, &d));
        }
    }
    return {};
}

Result<std::uint64_t> Store::rebuild_index(bool force, const std::function<void(const Progress&)>& progress) {
    const std::shared_lock places_stay(places_mutex_);
    std::uint64_t indexed = 0;
    Progress now;
    FID_TRY(const auto usage, vault_->usage());
    now.total = usage.bytes;
    const auto rebuild = [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(index_->clear(t));
        Group batch;
        Location last;
        std::vector<std::string> faults;
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
                if (entry.problem->code != ErrorCode::not_found) faults.push_back(entry.problem->message);
                return {};
            }
            if (entry.mark) {
                batch.add(*std::move(entry.mark));
                return {};
            }
            batch.objects.push_back(*std::move(entry.object));
            if (batch.objects.back().description.kind == ObjectKind::manifest) {
                const auto manifest = batch.objects.back();
                FID_CHECK(flush());
                FID_CHECK(miss_what_is_lost(t, manifest, faults));
            }
            return batch.size() >= kRebuildBatch ? flush() : Result<void>();
        }));
        FID_CHECK(flush());
        for (const auto& error : scanned.damage) faults.push_back(error.message);
        FID_TRY(const auto manifests, index_->lost_manifests(t));
        for (const auto& one : manifests) faults.push_back("the manifest of " + one + " is lost");
        FID_TRY(const auto quarantined, index_->list_quarantined(t));
        for (const auto& row : quarantined) {
            if (!is_lost(row.object)) continue;
            const auto what = row.object.kind == ObjectKind::overlay ? "the correction" : "instance " + row.sop_uid.text();
            faults.push_back(what + " of study " + row.object.study_uid.text() + " is lost");
        }
        for (const auto& fault : faults) log::error("store", fault);
        if (!faults.empty() && !force) {
            return fail(ErrorCode::corrupt, "the index was left as it is: " + faults.front() +
                                                (faults.size() > 1 ? " (and " + std::to_string(faults.size() - 1) + " more)" : "") +
                                                "; restore the segments from a backup, or add --force to make the index all the same, in "
                                                "which what is lost stands as missing");
        }
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
