#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "database/database.hpp"
#include "evidence/manifest.hpp"
#include "store/compaction.hpp"
#include "store/disk_watch.hpp"
#include "store/index.hpp"
#include "store/keyring.hpp"
#include "store/shred_store.hpp"
#include "store/vault.hpp"

namespace fiducial::store {

struct StoreOptions {
    VaultOptions vault;
    std::vector<dicom::Tag> extra_attributes;               // indexed besides dicom::query_attributes()
    std::span<const database::Migration> other_migrations;  // of rooms whose tables lie in the same database
    bool replace_damaged_index = false;                     // a damaged index.db is moved aside and made again from the segments
    std::shared_ptr<const DiskWatch> disk{};                // asked before new objects are taken; none: stores until nothing more goes in
    std::function<std::unique_ptr<SegmentBackend>(std::unique_ptr<SegmentBackend>)> wrap_segments{};  // a seam for tests: disks that fail
};

/// What fsck found wrong.
struct Finding {
    enum class Kind : std::uint8_t {
        damaged_object,    // bytes are not what was stored
        missing_object,    // the index names what the segments do not hold
        unindexed_object,  // the segments hold what the index does not name
        damaged_row,       // a row's MAC or a study's chain does not fit
        damaged_segment,   // a block is not readable
        unused_segment,    // a large object's file that nothing names
        damaged_database,  // the database's own structure
        damaged_secrets,   // a page of secrets that is not the one under which objects were stored
        unreadable,        // the disk does not read: nothing is known of what stands there
    };
    Kind kind = Kind::damaged_object;
    std::string subject;  // object id, UID
    std::string where;    // segment and offset, or table
    std::string what;
    std::string advice;  // what to do about it
};
std::string_view name_of(Finding::Kind kind);

struct FsckOptions {
    bool read_everything = true;  // decrypt and hash every chunk; false: records and rows only
    bool repair = false;          // put damaged objects into quarantine; remove unused segments where nothing else is wrong
};
struct FsckReport {
    std::uint64_t objects = 0, bytes = 0, rows = 0;
    std::uint64_t healed = 0;       // damaged objects of which a good copy has taken the place: no findings
    std::uint64_t dead_bytes = 0;   // in segments, that compaction can free: about
    std::vector<Finding> findings;  // at most 10,000
    bool clean() const { return findings.empty(); }
};
struct Progress {
    std::uint64_t done = 0, total = 0;  // bytes
};

/// A site's storage: lock, database, secrets, vault and index, kept in step.
///     DIR/lock  DIR/index.db  DIR/secrets/  DIR/segments/
/// Threads: safe.
class Store {
public:
    /// Makes an empty store where the folder has none. Objects that are durable but not indexed (power cut) are indexed here.
    /// A damaged index.db is an error, or is kept as index.db.damaged-<ms since 1970>: with options.replace_damaged_index.
    /// Errors: locked, naming the process that has it open; wrong_passphrase when the site key is another's; corrupt;
    /// unsupported when a newer program has been here; permission.
    static Result<std::unique_ptr<Store>> open(const std::filesystem::path& folder, const crypto::Secret& site_key,
                                               const StoreOptions& options = {});
    ~Store();

    database::Database& database() { return *database_; }
    Index& index() { return *index_; }
    Vault& vault() { return *vault_; }
    ShredStore& secrets() { return *secrets_; }
    const Keyring& keyring() const { return *keyring_; }
    /// Objects that were indexed at open().
    std::uint64_t recovered() const { return recovered_; }

    /// The slot of a study's secrets, allocated where the study is new. Cached.
    Result<Slot> study_slot(const Uid& study_uid);
    Result<ObjectWriter> begin_object(const Uid& study_uid, ObjectKind kind = ObjectKind::instance, std::uint64_t expected_size = 0);
    /// Durable and visible in the index when it returns; the outcome is in StoredObject::admission. Many threads share one sync
    /// and one transaction. Errors: io, no_space, unavailable: the object may turn up at the next start, and is then indexed.
    Result<StoredObject> commit(PendingObject object);
    Result<std::vector<StoredObject>> commit_many(std::vector<PendingObject> objects);

    /// Also by a row that was read before the object was encrypted anew.
    Result<ObjectReader> open_object(const ObjectRef& ref) const;

    /// Changes what an object is, in the segments and in the index. Durable when it returns.
    /// set_aside → current (accepted: takes the place of what stood there) or discarded; current → removed and back; any → quarantined and
    /// back. Up to 4096 are changed together or not at all.
    /// Errors: not_found; conflict for a change that makes no sense.
    Result<void> change_states(std::span<const ObjectId> objects, ObjectState state, const std::string& reason);
    Result<void> change_state(const ObjectId& object, ObjectState state, const std::string& reason) {
        return change_states({&object, 1}, state, reason);
    }
    Result<void> quarantine(const ObjectId& object, const std::string& reason) {
        return change_state(object, ObjectState::quarantined, reason);
    }
    /// After a check of every chunk. Errors: corrupt when it is still damaged.
    Result<void> restore(const ObjectId& object);

    /// Destroys a study's secrets and forgets its rows. Its versions stay. What a crash leaves undone of it is done at the next start.
    /// Requires: the erasure was signed before.
    Result<void> erase_study(const Uid& study_uid);

    /// Rewrites segments in which much room is dead: of erased studies, of what a custodian discarded, of duplicates and uploads that were
    /// given up. What is named elsewhere stays what it is: only places change. Safe to kill at any moment.
    /// Errors: cancelled by options.pace; those of the disk. One at a time; everything else goes on meanwhile.
    Result<CompactionReport> compact(const CompactionOptions& options);
    CompactionStatus compaction_status() const;

    // A new root key, for one that has leaked. Spec: docs/design/keys.md
    /// What is in use now: for change_root(), once this store is closed.
    UsedSecrets used_secrets() const;
    /// The lock that keeps other processes out, for as long as the file is open. Errors: locked, naming the process that has it.
    static Result<File> lock(const std::filesystem::path& folder);
    /// The same of an open store, to keep it when the store is closed.
    File take_lock_away() { return std::move(lock_); }
    /// Puts all that is derived from a store's root key under another one: the MACs of the index and, by `others`, those of tables of other
    /// rooms in it, the shred store's pages; data are to be encrypted anew from then on. Requires: nobody has the folder open, and the
    /// caller has its lock. Can be repeated after it was interrupted anywhere.
    /// Errors: conflict while data are still being encrypted anew; wrong_passphrase.
    static Result<void> change_root(
        const std::filesystem::path& folder, const crypto::Secret& former, const crypto::Secret& now, const UsedSecrets& used,
        const StoreOptions& options,
        const std::function<Result<void>(database::Database& database, database::Transaction& transaction)>& others);
    /// Something may still be under former secrets.
    bool is_reencrypting() const { return secrets_->former_until() != 0; }
    /// Rewrites the segments that were there when the root key was changed, under the present secrets, and destroys the former ones at the
    /// end. Safe to kill at any moment; goes on where it was. Errors and the rest: as those of compact().
    Result<ReencryptionReport> reencrypt(const ReencryptionOptions& options);
    /// How far it is: of the last run, or as it stood when the store was opened.
    ReencryptionReport reencryption_status() const;
    /// While it is held no former secret is destroyed: what was read from index and segments since can be opened with what is in the pages.
    std::shared_lock<std::shared_mutex> keep_former_secrets() { return std::shared_lock(former_secrets_mutex_); }

    /// While it is held no segment takes another's place: for whoever reads segments past the vault.
    std::shared_lock<std::shared_mutex> keep_places() { return std::shared_lock(places_mutex_); }

    Result<FsckReport> fsck(const FsckOptions& options, const std::function<void(const Progress&)>& progress = {});
    /// Makes the index again from the segments alone, in one transaction. Study versions stay. What a manifest lists and the segments
    /// no longer hold gets a row in quarantine (segment 0), so that its study misses it until it is restored or sent again.
    /// Requires: nothing is stored meanwhile. Returns: objects indexed.
    /// Errors: corrupt when segments are damaged or something is lost: the index stays as it was. With `force` it is made all the same.
    Result<std::uint64_t> rebuild_index(bool force = false, const std::function<void(const Progress&)>& progress = {});

private:
    Store() = default;
    Result<void> make_keyring(const crypto::Secret& site_key);
    /// What stands in site.id. Errors: not_found; corrupt.
    struct SiteId {
        Bytes32 id{};
        Hash check{};  // value of the site key
    };
    Result<SiteId> read_site_id() const;
    Result<void> write_site_id(const Keyring& keyring) const;
    Result<void> open_database(const StoreOptions& options);
    Result<Slot> patient_slot(const ObjectDescription& description);
    Result<Index::Known> known();
    Result<void> recover();
    Result<void> finish_compaction();
    Result<void> finish_erasures();
    Result<void> erase(const Index::Erasure& erasure);
    Result<Keeping> keeping_of(const ObjectId& id, Slot slot, const Location& location, bool reseal);
    RewriteRules rewrite_rules(const std::function<Result<void>(std::uint64_t bytes)>& pace, bool reseal);
    Result<std::optional<Rewritten>> rewrite_segment(const SegmentInfo& segment, const RewriteRules& rules, std::vector<std::string>& left);
    Result<void> follow_known_block(database::Transaction& transaction, std::uint32_t former);
    Result<std::vector<SegmentInfo>> segments_to_reencrypt() const;
    Result<void> name_headers_anew();
    Result<std::uint64_t> compact_segment(const SegmentInfo& segment, const CompactionOptions& options, std::vector<std::string>& left);
    Result<std::optional<Mark>> change_of(const ObjectId& object, ObjectState state, const std::string& reason);
    Result<void> miss_corrections(database::Transaction& transaction, const StoredObject& manifest, const evidence::Manifest& listed);
    Result<void> miss_what_is_lost(database::Transaction& transaction, const StoredObject& manifest, std::vector<std::string>& faults);
    Result<void> apply_mark(database::Transaction& transaction, const Mark& mark);
    Result<void> index_group(Group& group, Location block);
    Result<void> index_entries(database::Transaction& transaction, Group& group, std::uint64_t now_ms);

    std::filesystem::path folder_;
    File lock_;
    std::unique_ptr<Keyring> keyring_;
    std::unique_ptr<ShredStore> secrets_;
    std::unique_ptr<database::Database> database_;
    std::unique_ptr<Index> index_;
    std::unique_ptr<Vault> vault_;
    std::mutex states_mutex_;  // one change of state at a time: what it may become and the mark belong together
    std::mutex slots_mutex_;
    std::map<std::string, Slot> study_slots_;
    std::map<std::string, Slot> patient_slots_;
    std::uint64_t recovered_ = 0;
    std::shared_ptr<const DiskWatch> disk_;
    std::mutex compaction_mutex_;
    std::atomic<int> reencryptions_waiting_{0};         // that do not give way
    std::map<std::uint32_t, std::uint64_t> looked_at_;  // segment → bytes in it that seem dead and are not; under compaction_mutex_
    std::shared_mutex places_mutex_;                    // exclusively: while a rewritten segment takes another's place
    std::shared_mutex former_secrets_mutex_;            // exclusively: while former secrets are destroyed
    mutable std::mutex status_mutex_;
    CompactionStatus compaction_;
    ReencryptionReport reencryption_;
};

}  // namespace fiducial::store
