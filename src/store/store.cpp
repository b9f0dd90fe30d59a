#include "store/store.hpp"

#include <unistd.h>
#include <filesystem>

#include <algorithm>
#include <set>

#include "base/clock.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "store/impl/convert.hpp"

namespace fiducial::store {
namespace {

constexpr std::string_view kSiteMagic = "FIDSITE1";
constexpr std::size_t kRecoveryBatch = 500;
constexpr std::size_t kCachedSlots = 100'000;

std::uint64_t now_ms() {
    return static_cast<std::uint64_t>(system_clock().now().time_since_epoch().count());
}

}  // namespace

Store::~Store() = default;

Result<File> Store::lock(const std::filesystem::path& folder) {
    FID_TRY(auto lock, File::open(folder / "lock", File::Mode::read_write_create));
    if (auto taken = lock.lock_exclusively(); !taken) {
        if (taken.error().code != ErrorCode::locked) return fail(taken.error());
        Bytes pid(32);
        const auto size = lock.read_at(0, pid);
        std::string holder(as_text(pid).substr(0, size.value_or(0)));
        while (!holder.empty() && (holder.back() == '\n' || holder.back() == '\0')) holder.pop_back();
        return fail(ErrorCode::locked, folder.string() + " is in use by another archive" +
                                           (holder.empty() ? "" : " (process " + holder + ")") + "; one process at a time may open a site");
    }
    FID_CHECK(lock.truncate(0));
    FID_CHECK(lock.write_at(0, as_bytes(std::to_string(::getpid()) + "\n")));
    return lock;
}

// site.id = magic ‖ site id ‖ check value of the site key.
Result<Store::SiteId> Store::read_site_id() const {
    const auto path = folder_ / "site.id";
    FID_TRY(const auto file, read_file(path, 4096));
    if (file.size() != kSiteMagic.size() + 64 || as_text(ByteView(file).first(kSiteMagic.size())) != kSiteMagic) {
        return fail(ErrorCode::corrupt, path.string() + " is not what was written; restore it from a backup");
    }
    SiteId site;
    FID_TRY(site.id, fixed<32>(ByteView(file).subspan(kSiteMagic.size(), 32), "site id"));
    FID_TRY(site.check, fixed<32>(ByteView(file).last(32), "check value"));
    return site;
}

Result<void> Store::write_site_id(const Keyring& keyring) const {
    Bytes bytes = to_bytes(as_bytes(kSiteMagic));
    append(bytes, keyring.site_id());
    append(bytes, keyring.check_value());
    return write_file_atomically(folder_ / "site.id", bytes);
}

Result<void> Store::make_keyring(const crypto::Secret& site_key) {
    const auto site = read_site_id();
    if (!site && site.error().code != ErrorCode::not_found) return fail(site.error());
    if (site) {
        keyring_ = std::make_unique<Keyring>(site_key, site->id);
        if (!crypto::equal_constant_time(keyring_->check_value(), site->check)) {
            return fail(ErrorCode::wrong_passphrase, "the site key does not belong to " + folder_.string());
        }
        return {};
    }
    std::error_code error;
    for (const auto* part : {"segments", "secrets", "index.db"}) {
        if (std::filesystem::exists(folder_ / part, error))
            return fail(ErrorCode::corrupt,
                        (folder_ / "site.id").string() + " is missing while " + part + " is there; restore it from a backup");
    }
    keyring_ = std::make_unique<Keyring>(site_key, crypto::random_bytes32());
    return write_site_id(*keyring_);
}

Result<void> Store::open_database(const StoreOptions& options) {
    std::vector<database::Migration> migrations(index_migrations().begin(), index_migrations().end());
    migrations.insert(migrations.end(), options.other_migrations.begin(), options.other_migrations.end());
    database::Options database_options;
    database_options.path = folder_ / "index.db";
    const auto open_it = [&]() -> Result<void> {
        FID_TRY(database_, database::Database::open(database_options, migrations));
        return options.replace_damaged_index ? database_->check_integrity() : Result<void>();
    };
    auto opened = open_it();
    if (opened || opened.error().code != ErrorCode::corrupt) return opened;
    if (!options.replace_damaged_index) {
        opened.error().message +=
            "; restore store/index.db from a backup, or let fiducial fsck --rebuild-index make it again from the stored objects: people, "
            "tokens and local denials must then be added again";
        return opened;
    }
    database_.reset();
    const auto kept = "index.db.damaged-" + std::to_string(now_ms());
    for (const std::string part : {"", "-wal", "-shm"}) {
        std::error_code error;
        std::filesystem::rename(folder_ / ("index.db" + part), folder_ / (kept + part), error);
        if (error && error != std::errc::no_such_file_or_directory)
            return fail(error_from_errno(error.value(), "moving aside", folder_ / ("index.db" + part)));
    }
    log::warning("store", "a damaged index was moved aside; it is made again from the stored objects",
                 {{"kept", kept}, {"why", opened.error().message}});
    return open_it();
}

Result<std::unique_ptr<Store>> Store::open(const std::filesystem::path& folder, const crypto::Secret& site_key,
                                           const StoreOptions& options) {
    if (site_key.size() != 32) return fail(ErrorCode::invalid_argument, "a site key has 32 bytes");
    std::unique_ptr<Store> store(new Store());
    store->folder_ = folder;
    std::error_code error;
    if (std::filesystem::create_directories(folder, error)) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
    if (error) return fail(error_from_errno(error.value(), "making the folder", folder));
    FID_TRY(store->lock_, lock(folder));
    FID_CHECK(store->make_keyring(site_key));
    // Pages are made before anything is stored under them: where anything was, missing ones are lost.
    const bool is_new = !std::filesystem::exists(folder / "index.db", error) &&
                        (!std::filesystem::exists(folder / "segments", error) || std::filesystem::is_empty(folder / "segments", error));
    FID_TRY(store->secrets_, ShredStore::open(folder / "secrets", *store->keyring_, is_new));

    FID_CHECK(store->open_database(options));
    store->index_ = std::make_unique<Index>(*store->keyring_, *store->secrets_, options.extra_attributes);

    FID_CHECK(store->database_->read([&](database::Transaction& t) { return store->index_->mark_slots_used(t); }));
    FID_TRY(const auto known, store->known());
    FID_TRY(auto segments, open_local_segments(folder / "segments"));
    if (options.wrap_segments) segments = options.wrap_segments(std::move(segments));
    auto vault_options = options.vault;
    if (options.disk) vault_options.admit = [disk = options.disk] { return disk->admit(); };
    // What is written from here on must be told from what is still to be encrypted anew.
    const auto known_segment = std::max(known.segment, store->secrets_->former_until());
    FID_TRY(store->vault_,
            Vault::open(std::move(segments), *store->secrets_, store->keyring_->site_id(), vault_options, known.block, known_segment));
    store->index_->set_overlay_reader([vault = store->vault_.get()](const ObjectRef& ref) -> Result<evidence::Overlay> {
        FID_TRY(auto reader, vault->open_object(ref));
        Bytes bytes(reader.size());
        FID_TRY(const auto size, reader.read(0, bytes));
        return evidence::Overlay::decode(ByteView(bytes).first(size));
    });
    store->disk_ = options.disk;
    FID_TRY(const auto to_reencrypt, store->segments_to_reencrypt());
    for (const auto& segment : to_reencrypt) {
        if (segment.is_open) FID_CHECK(store->vault_->close_segment(segment.number));  // what comes now needs no second encryption
        store->reencryption_.finished = false;
        store->reencryption_.segments_left += 1;
        store->reencryption_.bytes_left += segment.bytes;
    }
    FID_CHECK(store->finish_compaction());
    FID_CHECK(store->recover());
    FID_CHECK(store->finish_erasures());
    auto* const self = store.get();
    store->vault_->set_group_hook([self](Group& group, Location block) { return self->index_group(group, block); });
    return store;
}

Result<void> Store::apply_mark(database::Transaction& transaction, const Mark& mark) {
    if (mark.state != ObjectState::current) return index_->apply(transaction, mark, nullptr);
    FID_TRY(const auto object, index_->find_object(transaction, mark.object));
    const bool comes_in = object && (object->state == ObjectState::set_aside || object->state == ObjectState::removed);
    if (!comes_in) return index_->apply(transaction, mark, nullptr);
    FID_TRY(const auto reader, vault_->open_object(object->ref));
    return index_->apply(transaction, mark, &reader.description());
}

// In the order of the records, so that a rebuild comes to the same.
Result<void> Store::index_entries(database::Transaction& transaction, Group& group, std::uint64_t now_ms) {
    const std::span objects(group.objects);
    std::size_t done = 0;
    for (const auto& [mark, objects_before] : group.marks) {
        FID_CHECK(index_->insert(transaction, objects.subspan(done, objects_before - done), now_ms));
        done = objects_before;
        FID_CHECK(apply_mark(transaction, mark));
    }
    return index_->insert(transaction, objects.subspan(done), now_ms);
}

Result<void> Store::index_group(Group& group, Location block) {
    return database_->write(database::Durability::rebuildable, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(index_entries(t, group, now_ms()));
        return index_->set_known(t, {block, vault_->highest_segment()});
    });
}

// A place that cannot be trusted is none: everything is looked at again.
Result<Index::Known> Store::known() {
    auto known = database_->read([&](database::Transaction& t) { return index_->known(t); });
    if (known || known.error().code != ErrorCode::corrupt) return known;
    log::error("store", known.error().message);
    return Index::Known{};
}

// What is durable in the segments and not in the index was either acknowledged (the index lost its last commits in a power
// cut, or is an older one) or about to be. Only the objects of the last block can be torn: block n + 1 is begun when n is durable.
// Anything else that is not whole was acknowledged once: it goes into quarantine, so that it is missed.
Result<void> Store::recover() {
    FID_TRY(const auto place, this->known());
    const auto known = place.block;
    Group group;
    std::vector<Mark> unsound;         // of the group's objects
    std::set<std::uint32_t> segments;  // with bytes of the group
    auto block = known;
    const auto flush = [&]() -> Result<void> {
        // What is found there may not be durable yet, and its rows take the place of others that are.
        FID_CHECK(vault_->sync(segments));
        segments.clear();
        // Durable before the rows: a start that is killed in between leaves nothing torn that counts as stored.
        if (!unsound.empty()) FID_CHECK(vault_->commit_marks(unsound));
        for (auto& mark : unsound) group.add(std::move(mark));
        unsound.clear();
        if (group.size() > 0) FID_CHECK(index_group(group, block));
        group = {};
        return {};
    };
    FID_TRY(const auto scanned, vault_->scan(known, [&](ScannedEntry&& entry) -> Result<void> {
        if (entry.block == known) return {};
        if (entry.slot >= secrets_->study_slots())
            return fail(secrets_missing("study", entry.slot, secrets_->study_slots()).with(describe(entry.location)));
        if (entry.problem) {
            if (entry.problem->code != ErrorCode::not_found) log::error("store", entry.problem->message);
            return {};
        }
        // Never in the middle of a block, and the last one by itself, so that its marks stand in one block, too.
        if (entry.block != block && (group.size() >= kRecoveryBatch || entry.block == vault_->last_block_at_open())) FID_CHECK(flush());
        segments.insert(entry.block.segment);
        if (entry.mark) {
            block = entry.block;
            group.add(*std::move(entry.mark));
            return {};
        }
        const auto there = database_->read([&](database::Transaction& t) { return index_->find_object(t, entry.id); });
        if (!there && there.error().code != ErrorCode::corrupt) return fail(there.error());
        if (!there) log::error("store", there.error().message);  // a changed row hinders nobody from opening the site and repairing it
        if (!there || *there) return {};
        if (const auto slot = entry.object->description.patient_slot; slot && *slot >= secrets_->patient_slots()) {
            return fail(secrets_missing("patient", *slot, secrets_->patient_slots()).with(describe(entry.location)));
        }
        ++recovered_;
        block = entry.block;
        for (const auto& part : entry.object->elsewhere) segments.insert(part.segment);
        // Bytes that were given up are nobody's to miss: what became of the object stands in a mark, or in what it is a duplicate of.
        if (auto whole = entry.object->stored_size == 0 ? Result<void>() : vault_->check_object(entry.object->ref);
            !whole && whole.error().code != ErrorCode::io) {
            const bool torn = block == vault_->last_block_at_open() && whole.error().code == ErrorCode::corrupt;
            log::warning("store", torn ? "an object that was never acknowledged is not whole" : "an object is damaged",
                         {{"why", whole.error().message}});
            unsound.push_back({entry.id, entry.slot, torn ? ObjectState::torn : ObjectState::quarantined, now_ms(),
                               torn ? "torn by a power cut before it was acknowledged" : "found damaged when it was indexed again"});
        }
        group.objects.push_back(*std::move(entry.object));
        return {};
    }));
    FID_CHECK(flush());
    for (const auto& error : scanned.damage) {
        if (error.code == ErrorCode::io) return fail(error);  // what stands there is not known, and would be passed over for good
    }
    if (recovered_ > 0) log::info("store", "objects found in the segments were indexed", {{"objects", recovered_}});
    return database_->read([&](database::Transaction& t) { return index_->mark_slots_used(t); });
}

Result<Slot> Store::study_slot(const Uid& study_uid) {
    const std::lock_guard lock(slots_mutex_);
    if (const auto found = study_slots_.find(study_uid.text()); found != study_slots_.end()) return found->second;
    FID_TRY(const auto slot, database_->write(database::Durability::rebuildable,
                                              [&](database::Transaction& t) { return index_->study_slot(t, study_uid); }));
    if (study_slots_.size() >= kCachedSlots) study_slots_.clear();
    study_slots_[study_uid.text()] = slot;
    return slot;
}

Result<Slot> Store::patient_slot(const ObjectDescription& d) {
    const auto key = patient_key_text(d.patient_id.value, d.issuer.value, d.study_uid.text());
    const std::lock_guard lock(slots_mutex_);
    if (const auto found = patient_slots_.find(key); found != patient_slots_.end()) return found->second;
    FID_TRY(const auto slot, database_->write(database::Durability::rebuildable, [&](database::Transaction& t) {
        return index_->patient_slot(t, d.patient_id, d.issuer, d.study_uid);
    }));
    if (patient_slots_.size() >= kCachedSlots) patient_slots_.clear();
    patient_slots_[key] = slot;
    return slot;
}

Result<ObjectWriter> Store::begin_object(const Uid& study_uid, ObjectKind kind, std::uint64_t expected_size) {
    FID_TRY(const auto slot, study_slot(study_uid));
    return vault_->begin_object(slot, kind, expected_size);
}

Result<StoredObject> Store::commit(PendingObject object) {
    std::vector<PendingObject> one;
    one.push_back(std::move(object));
    FID_TRY(auto stored, commit_many(std::move(one)));
    return std::move(stored.front());
}

Result<std::vector<StoredObject>> Store::commit_many(std::vector<PendingObject> objects) {
    for (auto& object : objects) {
        auto& d = object.description;
        if (d.study_uid.empty()) return fail(ErrorCode::invalid_argument, "an object without a Study Instance UID");
        if (d.kind == ObjectKind::overlay) {
            FID_TRY(d.patient_slot, patient_slot(d));
        }
        if (d.kind != ObjectKind::instance) continue;
        if (d.sop_uid.empty()) return fail(ErrorCode::invalid_argument, "an instance without a SOP Instance UID");
        d.attributes = index_->keep_indexed(d.attributes);
        FID_TRY(d.patient_slot, patient_slot(d));
    }
    return vault_->commit_many(std::move(objects));
}

/// Nothing where the object is that already.
Result<std::optional<Mark>> Store::change_of(const ObjectId& object, ObjectState state, const std::string& reason) {
    FID_TRY(auto transaction, database_->begin_read());
    FID_TRY(const auto row, index_->find_object(transaction, object));
    if (!row) return fail(ErrorCode::not_found, "there is no object " + to_hex(object));
    if (row->state == state) return std::optional<Mark>();
    const bool back = row->state == ObjectState::quarantined && row->state_before == state;
    if (!back && (row->state == ObjectState::quarantined || !may_become(row->state, state))) {
        return fail(ErrorCode::conflict, "object " + to_hex(object) + " is " + std::string(name_of(row->state)) + " and cannot become " +
                                             std::string(name_of(state)));
    }
    if (row->state == ObjectState::removed) {
        FID_TRY(const auto instance, index_->find_instance_of(transaction, object));
        FID_TRY(const auto standing, instance ? index_->find_instance(transaction, instance->sop_uid) : std::optional<InstanceRow>());
        if (standing)
            return fail(ErrorCode::conflict, "another object stands under SOP Instance UID " + instance->sop_uid.text() + " by now");
    }
    return std::optional<Mark>(Mark{object, row->ref.slot, state, now_ms(), reason});
}

Result<void> Store::change_states(std::span<const ObjectId> objects, ObjectState state, const std::string& reason) {
    constexpr std::size_t kAtOnce = 4096;  // marks in a block
    const std::lock_guard lock(states_mutex_);
    std::vector<Mark> marks;
    for (const auto& object : objects) {
        FID_TRY(auto mark, change_of(object, state, reason));
        if (mark) marks.push_back(*std::move(mark));
    }
    for (std::span<const Mark> left(marks); !left.empty(); left = left.subspan(std::min(left.size(), kAtOnce)))
        FID_CHECK(vault_->commit_marks(left.first(std::min(left.size(), kAtOnce))));
    return {};
}

Result<void> Store::restore(const ObjectId& object) {
    FID_TRY(const auto row, database_->read([&](database::Transaction& t) { return index_->find_object(t, object); }));
    if (!row || row->state != ObjectState::quarantined)
        return fail(ErrorCode::not_found, "object " + to_hex(object) + " is not in quarantine");
    FID_CHECK(vault_->check_object(row->ref));
    return change_state(object, row->state_before, "every chunk was checked");
}

Result<void> Store::erase_study(const Uid& study_uid) {
    const std::lock_guard lock(slots_mutex_);
    FID_TRY(const auto study, database_->read([&](database::Transaction& t) { return index_->find_study(t, study_uid); }));
    if (!study) return fail(ErrorCode::not_found, "there is no study " + study_uid.text());
    const Index::Erasure erasure{study_uid, study->patient.slot};
    FID_CHECK(database_->write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(auto erasures, index_->erasures(t));
        erasures.push_back(erasure);
        return index_->set_erasures(t, erasures);
    }));
    return erase(erasure);
}

// Can be done again from any point at which it was broken off. Requires: slots_mutex_.
Result<void> Store::erase(const Index::Erasure& erasure) {
    FID_TRY(auto reading, database_->begin_read());
    FID_TRY(const auto study, index_->find_study(reading, erasure.study_uid));
    FID_TRY(const auto objects, study ? index_->objects_of_study(reading, erasure.study_uid) : std::vector<ObjectRow>());
    FID_CHECK(reading.commit());
    if (study) {
        FID_CHECK(secrets_->destroy_study(study->slot));
        for (const auto& object : objects) {
            if (object.ref.slot != study->slot) FID_CHECK(secrets_->destroy_study(object.ref.slot));
        }
        FID_CHECK(database_->write(database::Durability::full,
                                   [&](database::Transaction& t) { return index_->remove_study(t, erasure.study_uid); }));
    }
    study_slots_.erase(erasure.study_uid.text());
    FID_TRY(const bool used,
            database_->read([&](database::Transaction& t) { return index_->is_patient_slot_used(t, erasure.patient_slot); }));
    if (!used) {
        patient_slots_.clear();
        FID_CHECK(secrets_->destroy_patient(erasure.patient_slot));
    }
    return database_->write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(auto erasures, index_->erasures(t));
        std::erase_if(erasures, [&](const Index::Erasure& one) { return one.study_uid == erasure.study_uid; });
        return index_->set_erasures(t, erasures);
    });
}

Result<void> Store::finish_erasures() {
    auto erasures = database_->read([&](database::Transaction& t) { return index_->erasures(t); });
    if (!erasures) {
        if (erasures.error().code != ErrorCode::corrupt) return fail(erasures.error());
        log::error("store", erasures.error().message);
        return {};
    }
    const std::lock_guard lock(slots_mutex_);
    for (const auto& one : *erasures) {
        log::info("store", "an erasure that was interrupted is finished", {{"study", one.study_uid.text()}});
        FID_CHECK(erase(one));
    }
    return {};
}

}  // namespace fiducial::store
