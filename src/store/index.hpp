#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "database/database.hpp"
#include "dicom/attributes.hpp"
#include "dicom/matching.hpp"
#include "evidence/overlay.hpp"
#include "evidence/study_record.hpp"
#include "store/keyring.hpp"
#include "store/shred_store.hpp"
#include "store/types.hpp"
#include "store/vault.hpp"

namespace fiducial::store {

/// The index's tables. Give them to Database::open, before those of rooms that refer to them.
std::span<const database::Migration> index_migrations();

struct PatientRow {
    std::int64_t id = 0;
    PatientText patient_id;  // may be empty: then the patient is the study's alone
    PatientText issuer;
    PatientText name;  // as it came last
    PatientText birth_date;
    std::string sex;
    Slot slot = 0;  // of P
};

struct StudyRow {
    std::int64_t id = 0;
    Uid study_uid;
    Slot slot = 0;  // of K and D
    PatientRow patient;
    std::string date, time;  // normalised, as in the first instance that came
    PatientText accession_number, description, study_id, referring_physician;
    std::uint64_t instance_count = 0;  // current ones
    std::uint64_t series_count = 0;
    std::vector<std::string> modalities;  // ascending
    bool erased = false;
    std::uint64_t changed_ms = 0;  // when an instance last came or changed
    std::uint64_t revision = 0;    // counts those changes
    // In lists:
    dicom::Attributes attributes;  // the indexed ones of patient and study, with those that are counted
    bool misses_some = false;      // an instance is in quarantine
};

struct SeriesRow {
    std::int64_t id = 0;
    Uid series_uid;
    std::string modality, number, date, time, body_part;
    PatientText description;
    std::uint64_t instance_count = 0;
    dicom::Attributes attributes;  // in lists: the indexed ones of this level
};

/// One object with its place in the vault.
struct ObjectRow {
    ObjectRef ref;
    ObjectKind kind = ObjectKind::instance;
    ObjectState state = ObjectState::current;
    ObjectState state_before = ObjectState::current;  // in quarantine: what it goes back to
    Uid study_uid;
    Hash sha256{}, pixel_sha256{}, source_sha256{}, prefix_sha256{}, fragment_sha256{};
    std::uint64_t prefix_size = 0;
    std::uint64_t stored_size = 0;  // bytes in segments; 0: given up, or lost
    std::uint64_t arrival_ms = 0;
    PatientText source;
};

struct InstanceRow {
    ObjectRow object;
    Uid study_uid, series_uid, sop_uid, sop_class_uid, transfer_syntax_uid;
    std::string number;  // Instance Number, as text
    std::uint64_t rows = 0, columns = 0, frames = 0;
    Hash overlay_sha256{};         // of the correction in force; zeros: none. Not in lists
    dicom::Attributes attributes;  // in lists: the indexed ones of this level
};

/// What is kept apart from its study: set aside, or removed from it.
struct SetAsideRow {
    InstanceRow instance;
    std::string reason;
    std::uint64_t at_ms = 0;  // when it was removed
};

struct QuarantineRow {
    ObjectRow object;
    Uid sop_uid;  // empty where it was no instance
    std::string reason;
    std::uint64_t at_ms = 0;
};

/// A version of a study; how far it is on its way to the chain, the outbox knows.
struct StudyVersionRow {
    Uid study_uid;
    evidence::StudyRecord record;  // holds the version
    ObjectId manifest{};           // zeros for an erasure
    std::uint64_t created_ms = 0;
    std::uint64_t study_revision = 0;  // StudyRow::revision when its instances were read, so that none that came since is missed
};

/// Where a list goes on; opaque text for callers.
struct StudyPage {
    std::vector<StudyRow> studies;  // newest date first, then by UID descending
    std::string next;               // empty at the end
};

struct IndexCounts {
    std::uint64_t patients = 0, studies = 0, series = 0, instances = 0, versions = 0, bytes = 0;
    std::map<ObjectState, std::uint64_t> objects;
};

/// What is known by name: patients, studies, series, instances, versions; every row under a MAC of the site's row key, checked
/// when it is read. A study's instance rows are chained besides, so that a row deleted or replayed behind our back is found when
/// the study is listed. Names stand in clear here (and nowhere else in a site): protect the disk.
/// Spec: docs/formats/index.md
/// Errors of all reads: corrupt, naming table and row's UID or object id, when a MAC does not fit.
/// Threads: safe; a Transaction belongs to one thread.
class Index {
public:
    Index(const Keyring& keyring, ShredStore& secrets, std::vector<dicom::Tag> extra_attributes = {});
    /// How a correction is read, to know for whom else its study was taken. Without it: for nobody.
    using ReadOverlay = std::function<Result<evidence::Overlay>(const ObjectRef& ref)>;
    void set_overlay_reader(ReadOverlay read) { read_overlay_ = std::move(read); }

    /// The slot of a study's secrets, allocated where the study is new. Races end with one slot.
    Result<Slot> study_slot(database::Transaction& transaction, const Uid& study_uid);

    /// Inserts objects in order; instances with their series, study and patient. Sets admission and reason of each.
    /// Objects that are there already are left as they are. now_ms: when the studies changed; 0: when each object arrived.
    Result<void> insert(database::Transaction& transaction, std::span<StoredObject> objects, std::uint64_t now_ms);
    /// The slot of a patient's secret, allocated where the patient is new.
    Result<Slot> patient_slot(database::Transaction& transaction, const PatientText& patient_id, const PatientText& issuer,
                              const Uid& study_uid, std::optional<Slot> known = {});
    /// `description` is wanted when an object that was set aside or removed becomes current. Marks on unknown objects, and those that make
    /// no sense for what the object is by now (blocks may be looked at again), are let pass.
    Result<void> apply(database::Transaction& transaction, const Mark& mark, const ObjectDescription* description);
    /// How far the segments are indexed; all zeros where nothing is.
    struct Known {
        Location block;             // the last one that was indexed
        std::uint32_t segment = 0;  // the highest number that there was then
    };
    Result<Known> known(database::Transaction& transaction) const;
    Result<void> set_known(database::Transaction& transaction, const Known& known);

    Result<std::optional<InstanceRow>> find_instance(database::Transaction& transaction, const Uid& sop_uid) const;  // the current one
    Result<std::vector<InstanceRow>> find_all_instances(database::Transaction& transaction,
                                                        const Uid& sop_uid) const;  // in every state, by arrival
    Result<std::optional<InstanceRow>> find_instance_of(database::Transaction& transaction, const ObjectId& object) const;
    Result<std::optional<ObjectRow>> find_object(database::Transaction& transaction, const ObjectId& object) const;
    Result<std::optional<StudyRow>> find_study(database::Transaction& transaction, const Uid& study_uid) const;
    /// StudyRow::revision alone; 0: there is no such study.
    Result<std::uint64_t> study_revision(database::Transaction& transaction, const Uid& study_uid) const;
    /// study_uid: whose patient it is where there is no Patient ID.
    Result<std::optional<PatientRow>> find_patient(database::Transaction& transaction, const PatientText& patient_id,
                                                   const PatientText& issuer, const Uid& study_uid = {}) const;
    /// Whoever has this Patient ID, of whichever issuer.
    Result<std::vector<PatientRow>> patients_with_id(database::Transaction& transaction, const PatientText& patient_id) const;
    /// Indexed attributes of the patient level, as they came last.
    Result<dicom::Attributes> attributes_of_patient(database::Transaction& transaction, std::int64_t patient) const;
    /// The correction in force, be it in quarantine.
    Result<std::optional<ObjectRow>> overlay_of_study(database::Transaction& transaction, const Uid& study_uid) const;

    /// Current instances, ascending by SOP Instance UID bytes. Errors: corrupt also when one is missing or was put back.
    Result<std::vector<InstanceRow>> instances_of_study(database::Transaction& transaction, const Uid& study_uid) const;
    Result<std::vector<InstanceRow>> instances_of_series(database::Transaction& transaction, const Uid& study_uid,
                                                         const Uid& series_uid) const;
    Result<std::vector<SeriesRow>> series_of_study(database::Transaction& transaction, const Uid& study_uid) const;
    /// Indexed attributes of the instance: those of dicom::query_attributes() and the configured ones.
    Result<dicom::Attributes> attributes_of(database::Transaction& transaction, const ObjectId& object) const;
    Result<std::vector<ObjectRow>> objects_of_study(database::Transaction& transaction, const Uid& study_uid,
                                                    std::optional<ObjectKind> kind = {}) const;

    /// Studies that fit what is asked of patient and study; where something is asked of series or instances, some of it may be missing in
    /// them. cursor: empty, or StudyPage::next. limit: 1 to 1000.
    Result<StudyPage> list_studies(database::Transaction& transaction, const dicom::Criteria& criteria, const std::string& cursor,
                                   std::uint32_t limit) const;
    /// Series of a study that fit what is asked of series: by Series Number, then UID.
    Result<std::vector<SeriesRow>> list_series(database::Transaction& transaction, const StudyRow& study,
                                               const dicom::Criteria& criteria) const;
    /// Current instances of a series that fit what is asked of instances: by Instance Number, then UID. Whether one is missing is not
    /// looked at: instances_of_study() does.
    Result<std::vector<InstanceRow>> list_instances(database::Transaction& transaction, const StudyRow& study, const SeriesRow& series,
                                                    const dicom::Criteria& criteria) const;
    Result<std::vector<SetAsideRow>> list_set_aside(database::Transaction& transaction, const std::string& after_object_id,
                                                    std::uint32_t limit) const;
    /// Instances that were taken out of a study, by SOP Instance UID.
    Result<std::vector<SetAsideRow>> list_removed(database::Transaction& transaction, const Uid& study_uid) const;
    /// Holds in force, of all studies.
    Result<std::vector<ObjectRow>> list_holds(database::Transaction& transaction) const;
    Result<std::vector<QuarantineRow>> list_quarantined(database::Transaction& transaction) const;
    /// All objects, ascending by id. For fsck and export.
    Result<std::vector<ObjectRow>> list_objects(database::Transaction& transaction, const std::string& after_object_id,
                                                std::uint32_t limit) const;

    /// Errors: conflict when that version of the study exists with another record. Requires: Durability::full.
    Result<void> insert_version(database::Transaction& transaction, const StudyVersionRow& row);
    /// The version's instances are also those of a later revision of its study. Errors: not_found.
    Result<void> cover_revision(database::Transaction& transaction, const Hash& record, std::uint64_t revision);
    Result<std::optional<StudyVersionRow>> find_version(database::Transaction& transaction, const Uid& study_uid,
                                                        std::uint64_t version) const;
    Result<std::optional<StudyVersionRow>> latest_version(database::Transaction& transaction, const Uid& study_uid) const;
    Result<std::vector<StudyVersionRow>> versions_of(database::Transaction& transaction, const Uid& study_uid) const;
    Result<std::optional<StudyVersionRow>> find_version_by_record(database::Transaction& transaction, const Hash& record) const;
    /// Studies with instances that came or changed since their latest version was made, oldest change first: those that changed before
    /// `changed_before_ms`, or after `now_ms`: the clock was set back since, and would keep them waiting until it is there again.
    Result<std::vector<Uid>> studies_without_version(database::Transaction& transaction, std::uint64_t changed_before_ms,
                                                     std::uint64_t now_ms, std::uint32_t limit) const;

    /// Returns: "study UID version N" for each version of a study that is there whose manifest has no row.
    Result<std::vector<std::string>> lost_manifests(database::Transaction& transaction) const;
    /// Studies with a manifest that no version names: their versions were lost with the database, or never written.
    Result<std::vector<Uid>> studies_with_unnamed_manifests(database::Transaction& transaction) const;

    /// Tells where an object lies now. Nothing happens where it is not known, or not said to lie at `from`: a start may have been there
    /// before.
    Result<void> move_object(database::Transaction& transaction, const ObjectId& object, const Location& from, const ObjectPlace& to);
    /// An object that is where it was, under another secret. Errors: not_found.
    Result<void> set_header_hash(database::Transaction& transaction, const ObjectId& object, const Hash& header_hash);
    /// Bytes in each segment that objects still need, records included, by what the rows say (their MACs are not looked at).
    Result<std::map<std::uint32_t, std::uint64_t>> bytes_in_segments(database::Transaction& transaction) const;
    /// Studies whose erasure was begun, each with the slot of its patient: destroyed and forgotten, but for what a crash left of it.
    struct Erasure {
        Uid study_uid;
        Slot patient_slot = 0;
    };
    Result<std::vector<Erasure>> erasures(database::Transaction& transaction) const;
    Result<void> set_erasures(database::Transaction& transaction, std::span<const Erasure> erasures);
    Result<bool> is_patient_slot_used(database::Transaction& transaction, Slot slot) const;

    Result<IndexCounts> counts(database::Transaction& transaction) const;
    /// Checks every MAC and chain. Returns: what does not fit, one Error each.
    Result<std::vector<Error>> check_all(database::Transaction& transaction) const;
    /// Empties all tables but the study versions. For a rebuild.
    Result<void> clear(database::Transaction& transaction);
    /// Forgets a study and its objects, but not its versions.
    Result<void> remove_study(database::Transaction& transaction, const Uid& study_uid);
    /// Tells the shred store which slots are taken. Errors: corrupt where one of them is in no page.
    Result<void> mark_slots_used(database::Transaction& transaction) const;
    /// Whether lists can be asked for it.
    bool is_indexed(dicom::Tag tag) const;
    /// Leaves only what is indexed.
    dicom::Attributes keep_indexed(const dicom::Attributes& attributes) const;

private:
    crypto::Secret row_key_;
    ShredStore* secrets_;
    std::vector<dicom::Tag> extra_;
    ReadOverlay read_overlay_;
};

}  // namespace fiducial::store
