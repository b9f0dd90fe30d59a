#include "store/index.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "store/impl/convert.hpp"

namespace fiducial::store {
namespace {

using dicom::QueryLevel;
namespace tags = dicom::tags;

dicom::Attributes of_level(const dicom::Attributes& attributes, QueryLevel level) {
    dicom::Attributes out;
    for (const auto& [tag, values] : attributes) {
        const auto* known = dicom::find_query_attribute(tag);
        if ((known != nullptr ? known->level : QueryLevel::instance) == level) out.set(tag, values);
    }
    return out;
}

void describe_patient(PatientColumns& patient, const dicom::Attributes& attributes) {
    patient.name = attributes.first(tags::kPatientName);
    patient.name_normal = dicom::normalise_person_name(patient.name);
    patient.birth_date = dicom::normalise_date(attributes.first(tags::kPatientBirthDate)).value_or("");
    patient.sex = attributes.first(tags::kPatientSex);
    patient.attributes = attributes_text(attributes);
}

std::string parts_text(std::span<const SegmentPart> parts) {
    std::string text;
    for (const auto& part : parts) text += (text.empty() ? "" : " ") + std::to_string(part.segment) + ":" + std::to_string(part.bytes);
    return text;
}

bool is_one_patient(std::string_view id, std::string_view issuer, std::string_view other_id, std::string_view other_issuer) {
    return !id.empty() && id == other_id && (issuer == other_issuer || issuer.empty() || other_issuer.empty());
}

long long number_of(const std::string& text) {
    long long value = 0;
    const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    return problem == std::errc{} && value > 0 ? value : 0;
}

// One call of Index::insert or apply: rows that several objects share are read and written once.
class Insertion {
public:
    Insertion(database::Transaction& transaction, const crypto::Secret& row_key, ShredStore& secrets, std::uint64_t now_ms,
              const Index::ReadOverlay& read_overlay)
        : transaction_(transaction), row_key_(row_key), secrets_(secrets), now_ms_(now_ms), read_overlay_(read_overlay) {}

    Result<void> insert(StoredObject& object);
    Result<void> accept(ObjectColumns& object, const ObjectDescription& description);
    Result<void> withdraw(const ObjectColumns& object);
    Result<void> remove(const ObjectColumns& object);
    Result<void> correct(ObjectColumns& overlay, const ObjectDescription& description);
    Result<StudyColumns*> study(const Uid& study_uid, std::optional<Slot> slot);
    Result<PatientColumns> patient(const ObjectDescription& d);
    Result<void> touch(StudyColumns& study, std::uint64_t at_ms) {
        study.revision += 1;
        study.changed_ms = std::max(study.changed_ms, static_cast<long long>(at_ms));
        changed_.insert(study.id);
        return {};
    }
    void mark_broken_chain(StudyColumns& study) { rechain_.insert(study.id); }
    Result<StudyColumns*> study_by_id(long long id);
    /// Writes the studies that changed.
    Result<void> finish();

private:
    struct Verdict {
        Admission admission = Admission::stored;
        ObjectState state = ObjectState::current;
        std::string reason;
        std::optional<InstanceAndObject> replaced;
    };
    Result<bool> is_same_patient(const StudyColumns& study, const PatientColumns& patient);
    Result<bool> is_corrected_away(const StudyColumns& study, const PatientColumns& patient);
    Result<Verdict> judge(const StoredObject& object, const StudyColumns& study, const PatientColumns& patient);
    Result<void> supersede(InstanceAndObject& former);
    Result<void> make_current(StudyColumns& study, const PatientColumns& patient, const ObjectDescription& d, InstanceColumns& instance,
                              bool is_new);
    Result<void> series(const StudyColumns& study, const ObjectDescription& d);
    InstanceColumns instance_columns(const ObjectDescription& d, const std::string& object_id, long long study) const;

    database::Transaction& transaction_;
    const crypto::Secret& row_key_;
    ShredStore& secrets_;
    std::uint64_t now_ms_;
    const Index::ReadOverlay& read_overlay_;
    std::map<std::string, std::unique_ptr<StudyColumns>> studies_;
    std::map<long long, StudyColumns*> by_id_;
    std::set<long long> changed_;
    std::set<long long> rechain_;
    std::set<std::pair<long long, std::string>> series_seen_;
    std::map<std::string, PatientColumns> patients_;
};

Result<StudyColumns*> Insertion::study(const Uid& study_uid, std::optional<Slot> slot) {
    if (const auto found = studies_.find(study_uid.text()); found != studies_.end()) return found->second.get();
    FID_TRY(auto row, select_row<StudyColumns>(transaction_, row_key_, "WHERE t.study_uid = :uid", {study_uid.text()}));
    if (!row) {
        row.emplace();
        row->study_uid = study_uid.text();
        if (!slot) {
            FID_TRY(slot, secrets_.allocate_study_slot());
        }
        row->slot = *slot;
        FID_CHECK(insert_row(transaction_, row_key_, *row));
    }
    auto& kept = studies_[study_uid.text()] = std::make_unique<StudyColumns>(*std::move(row));
    by_id_[kept->id] = kept.get();
    return kept.get();
}

Result<StudyColumns*> Insertion::study_by_id(long long id) {
    if (const auto found = by_id_.find(id); found != by_id_.end()) return found->second;
    FID_TRY(auto row, select_row<StudyColumns>(transaction_, row_key_, "WHERE t.id = :id", {std::to_string(id)}));
    if (!row)
        return fail(ErrorCode::corrupt,
                    "index: the row " + std::to_string(id) + " of studies is missing; rebuild the index (fsck --rebuild-index)");
    auto& kept = studies_[row->study_uid] = std::make_unique<StudyColumns>(*row);
    by_id_[id] = kept.get();
    return kept.get();
}

Result<PatientColumns> Insertion::patient(const ObjectDescription& d) {
    const auto key = patient_key_text(d.patient_id.value, d.issuer.value, d.study_uid.text());
    auto found = patients_.find(key);
    if (found == patients_.end()) {
        FID_TRY(auto row, select_row<PatientColumns>(transaction_, row_key_, "WHERE t.patient_key = :key", {key}));
        if (!row) {
            row.emplace();
            row->patient_key = key;
            row->patient_id = d.patient_id.value;
            row->issuer = d.issuer.value;
            if (d.patient_slot) {
                row->slot = *d.patient_slot;
            } else {
                FID_TRY(row->slot, secrets_.allocate_patient_slot());
            }
            FID_CHECK(insert_row(transaction_, row_key_, *row));
        }
        found = patients_.emplace(key, *std::move(row)).first;
    }
    return found->second;
}

InstanceColumns Insertion::instance_columns(const ObjectDescription& d, const std::string& object_id, long long study) const {
    InstanceColumns c;
    c.object_id = object_id;
    c.study = study;
    c.sop_uid = d.sop_uid.text();
    c.series_uid = d.series_uid.text();
    c.sop_class = d.sop_class_uid.text();
    c.transfer_syntax = d.transfer_syntax_uid.text();
    c.number = d.attributes.first(tags::kInstanceNumber);
    c.pixel_rows = number_of(d.attributes.first(tags::kRows));
    c.pixel_columns = number_of(d.attributes.first(tags::kColumns));
    c.frames = number_of(d.attributes.first(tags::kNumberOfFrames));
    if (c.frames == 0 && c.pixel_rows > 0) c.frames = 1;
    c.attributes = attributes_text(of_level(d.attributes, QueryLevel::instance));
    return c;
}

/// Who derives an object from others (measurements, presentations) often leaves out the issuer: that one side names none is nothing against
/// it.
Result<bool> Insertion::is_same_patient(const StudyColumns& study, const PatientColumns& patient) {
    if (study.patient == 0 || study.patient == patient.id) return true;
    FID_TRY(const auto known, select_row<PatientColumns>(transaction_, row_key_, "WHERE t.id = :id", {std::to_string(study.patient)}));
    if (known && is_one_patient(known->patient_id, known->issuer, patient.patient_id, patient.issuer)) return true;
    return is_corrected_away(study, patient);
}

/// Whether it is the patient that the study's data sets name, and that a correction says is another: more of the study may still come so.
Result<bool> Insertion::is_corrected_away(const StudyColumns& study, const PatientColumns& patient) {
    FID_TRY(const auto overlay, select_overlay(transaction_, row_key_, study.id));
    if (!overlay || !read_overlay_) return false;
    FID_TRY(const auto row, object_row(*overlay, {}));
    const auto read = read_overlay_(row.ref);
    if (!read) {  // what comes is then set aside, and nothing else hindered
        log::error("store", "a correction cannot be read", {{"study", study.study_uid}, {"why", read.error().message}});
        return false;
    }
    const auto& named = read->patient_in_data_sets;
    if (named.patient_id.value.empty())
        return patient.patient_key == patient_key_text(named.patient_id.value, named.issuer.value, study.study_uid);
    return is_one_patient(named.patient_id.value, named.issuer.value, patient.patient_id, patient.issuer);
}

Result<Insertion::Verdict> Insertion::judge(const StoredObject& object, const StudyColumns& study, const PatientColumns& patient) {
    Verdict verdict;
    FID_TRY(auto standing,
            select_instances(transaction_, row_key_, "WHERE i.sop_uid = :uid AND i.is_current = 1", {object.description.sop_uid.text()}));
    FID_TRY(const bool same_patient, is_same_patient(study, patient));
    const auto set_aside = [&](std::string reason) -> Result<Verdict> {
        verdict.admission = Admission::set_aside;
        verdict.state = ObjectState::set_aside;
        verdict.reason = std::move(reason);
        FID_TRY(const auto waiting, select_instances(transaction_, row_key_, "WHERE i.sop_uid = :uid AND i.is_current = 0",
                                                     {object.description.sop_uid.text()}));
        for (const auto& other : waiting) {
            if (other.object.state == number(ObjectState::set_aside) && other.object.sha256 == to_hex(object.sha256))
                verdict.state = ObjectState::duplicate;
        }
        return verdict;
    };
    if (standing.empty()) {
        FID_TRY(const auto apart, select_instances(transaction_, row_key_, "WHERE i.sop_uid = :uid AND i.is_current = 0",
                                                   {object.description.sop_uid.text()}));
        for (const auto& other : apart) {
            if (other.object.state != number(ObjectState::removed) || other.object.sha256 != to_hex(object.sha256)) continue;
            verdict.admission = Admission::duplicate;  // it stays removed
            verdict.state = ObjectState::duplicate;
            return verdict;
        }
        if (!same_patient) return set_aside("another patient than the study's");
        return verdict;
    }
    auto& former = standing.front();
    const bool same_bytes =
        former.object.sha256 == to_hex(object.sha256) && former.instance.transfer_syntax == object.description.transfer_syntax_uid.text();
    if (same_bytes && former.object.state != number(ObjectState::quarantined)) {
        verdict.admission = Admission::duplicate;
        verdict.state = ObjectState::duplicate;
        return verdict;
    }
    if (former.instance.study != study.id) return set_aside("its SOP Instance UID stands in another study");
    if (!same_patient) return set_aside("another patient than the study's");
    if (same_bytes) {  // a good copy of what was found damaged; the study stays what it is
        verdict.replaced = std::move(former);
        return verdict;
    }
    if (object.description.pixel_sha256 == kZero32 || former.object.pixel_sha256 != hex_or_empty(object.description.pixel_sha256)) {
        return set_aside("another object under a known SOP Instance UID");
    }
    verdict.admission = Admission::new_version;
    verdict.replaced = std::move(former);
    return verdict;
}

Result<void> Insertion::supersede(InstanceAndObject& former) {
    former.instance.is_current = 0;
    FID_CHECK(update_row(transaction_, row_key_, former.instance));
    if (former.object.state == number(ObjectState::quarantined)) {
        former.object.state_before = number(ObjectState::superseded);
    } else {
        former.object.state = number(ObjectState::superseded);
    }
    FID_CHECK(update_row(transaction_, row_key_, former.object));
    FID_TRY(auto* study, study_by_id(former.instance.study));
    mark_broken_chain(*study);
    return touch(*study, now_ms_);
}

Result<void> Insertion::series(const StudyColumns& study, const ObjectDescription& d) {
    if (series_seen_.contains({study.id, d.series_uid.text()})) return {};
    FID_TRY(const auto known, select_row<SeriesColumns>(transaction_, row_key_, "WHERE t.study = :study AND t.series_uid = :uid",
                                                        {std::to_string(study.id), d.series_uid.text()}));
    if (!known || known->attributes.empty()) {  // nothing is known of it: a rebuild found it lost
        auto c = known.value_or(SeriesColumns{});
        c.study = study.id;
        c.series_uid = d.series_uid.text();
        c.modality = d.attributes.first(tags::kModality);
        c.number = d.attributes.first(tags::kSeriesNumber);
        c.description = d.attributes.first(tags::kSeriesDescription);
        c.body_part = d.attributes.first(0x00180015);
        c.date = dicom::normalise_date(d.attributes.first(0x00080021)).value_or("");
        c.time = dicom::normalise_time(d.attributes.first(0x00080031)).value_or("");
        c.attributes = attributes_text(of_level(d.attributes, QueryLevel::series));
        FID_CHECK(known ? update_row(transaction_, row_key_, c) : insert_row(transaction_, row_key_, c));
    }
    series_seen_.insert({study.id, d.series_uid.text()});
    return {};
}

Result<void> Insertion::make_current(StudyColumns& study, const PatientColumns& patient, const ObjectDescription& d,
                                     InstanceColumns& instance, bool is_new) {
    if (study.patient == 0 || (study.patient == patient.id && study.attributes.empty())) {  // its first, or the first that was not lost
        study.patient = patient.id;
        study.date = dicom::normalise_date(d.attributes.first(tags::kStudyDate)).value_or("");
        study.time = dicom::normalise_time(d.attributes.first(tags::kStudyTime)).value_or("");
        study.accession_number = d.attributes.first(tags::kAccessionNumber);
        study.description = d.attributes.first(tags::kStudyDescription);
        study.description_normal = dicom::normalise_text(study.description);
        study.study_id = d.attributes.first(tags::kStudyId);
        study.referring_physician = d.attributes.first(0x00080090);
        study.referring_normal = dicom::normalise_person_name(study.referring_physician);
        study.attributes = attributes_text(of_level(d.attributes, QueryLevel::study));
    }
    if (study.patient == patient.id) {
        auto& known = patients_.at(patient.patient_key);
        const auto attributes = of_level(d.attributes, QueryLevel::patient);
        // A name is never lost to an instance without one.
        if (known.attributes != attributes_text(attributes) &&
            (known.attributes.empty() || !d.attributes.first(tags::kPatientName).empty())) {
            describe_patient(known, attributes);
            FID_CHECK(update_row(transaction_, row_key_, known));
        }
    }
    FID_CHECK(series(study, d));
    instance.is_current = 1;
    if (is_new) {
        FID_CHECK(insert_row(transaction_, row_key_, instance));
        study.chain = chain_next(row_key_, study.chain, instance.mac);
        study.instance_count += 1;
    } else {
        FID_CHECK(update_row(transaction_, row_key_, instance));
        mark_broken_chain(study);
    }
    return {};
}

Result<void> Insertion::insert(StoredObject& object) {
    const auto& d = object.description;
    const auto object_id = to_hex(object.ref.id);
    FID_TRY(const auto known, select_row<ObjectColumns>(transaction_, row_key_, "WHERE t.object_id = :id", {object_id}));
    if (known) return {};
    FID_TRY(auto* study, this->study(d.study_uid, object.ref.slot));
    ObjectColumns c;
    c.object_id = object_id;
    c.kind = static_cast<long long>(d.kind);
    c.state = number(ObjectState::current);
    c.study = study->id;
    c.slot = object.ref.slot;
    c.segment = object.ref.location.segment;
    c.position = static_cast<long long>(object.ref.location.offset);
    c.record_size = static_cast<long long>(object.record_size);
    c.stored_size = static_cast<long long>(object.stored_size);
    c.elsewhere = parts_text(object.elsewhere);
    c.size = static_cast<long long>(object.ref.size);
    c.prefix_size = static_cast<long long>(object.prefix_size);
    c.arrival_ms = static_cast<long long>(d.arrival_ms);
    c.header_hash = to_hex(object.ref.header_hash);
    c.chunk_root = to_hex(object.ref.chunk_root);
    c.sha256 = to_hex(object.sha256);
    c.pixel_sha256 = hex_or_empty(d.pixel_sha256);
    c.source_sha256 = hex_or_empty(d.source_sha256);
    c.prefix_sha256 = hex_or_empty(object.prefix_sha256);
    c.fragment_sha256 = hex_or_empty(object.fragment_sha256);
    c.source = d.source.value;
    if (d.kind != ObjectKind::instance) {
        object.admission = Admission::stored;
        if (d.kind == ObjectKind::overlay) c.state = number(ObjectState::set_aside);  // until it is accepted
        return insert_row(transaction_, row_key_, c);
    }
    FID_TRY(const auto patient, this->patient(d));
    FID_TRY(auto verdict, judge(object, *study, patient));
    object.admission = verdict.admission;
    object.reason = verdict.reason;
    c.state = number(verdict.state);
    c.reason = verdict.reason;
    FID_CHECK(insert_row(transaction_, row_key_, c));
    if (verdict.state == ObjectState::duplicate) return {};
    auto instance = instance_columns(d, object_id, study->id);
    if (verdict.state == ObjectState::set_aside) return insert_row(transaction_, row_key_, instance);
    if (verdict.replaced) FID_CHECK(supersede(*verdict.replaced));
    FID_CHECK(make_current(*study, patient, d, instance, true));
    return touch(*study, now_ms_ != 0 ? now_ms_ : d.arrival_ms);
}

Result<void> Insertion::accept(ObjectColumns& object, const ObjectDescription& d) {
    FID_TRY(auto* study, study_by_id(object.study));
    FID_TRY(const auto patient, this->patient(d));
    FID_TRY(auto standing, select_instances(transaction_, row_key_, "WHERE i.sop_uid = :uid AND i.is_current = 1", {d.sop_uid.text()}));
    for (auto& former : standing) FID_CHECK(supersede(former));
    FID_TRY(auto instance, select_row<InstanceColumns>(transaction_, row_key_, "WHERE t.object_id = :id", {object.object_id}));
    if (!instance)
        return fail(ErrorCode::corrupt,
                    "index: the instance of object " + object.object_id + " is missing; rebuild the index (fsck --rebuild-index)");
    FID_CHECK(make_current(*study, patient, d, *instance, false));
    FID_CHECK(touch(*study, now_ms_));
    object.state = number(ObjectState::current);
    return update_row(transaction_, row_key_, object);
}

// A current object that turned out to be torn: what it had superseded stands again.
Result<void> Insertion::withdraw(const ObjectColumns& object) {
    FID_TRY(auto instance,
            select_row<InstanceColumns>(transaction_, row_key_, "WHERE t.object_id = :id AND t.is_current = 1", {object.object_id}));
    if (!instance) return {};
    instance->is_current = 0;
    FID_CHECK(update_row(transaction_, row_key_, *instance));
    const auto superseded = number_text(ObjectState::superseded);
    FID_TRY(auto former, select_instances(transaction_, row_key_,
                                          "WHERE i.sop_uid = :uid AND (o.state = " + superseded +
                                              " OR (o.state = " + number_text(ObjectState::quarantined) +
                                              " AND o.state_before = " + superseded + ")) ORDER BY i.id DESC LIMIT 1",
                                          {instance->sop_uid}));
    if (!former.empty()) {
        auto& object_before = former.front().object;
        former.front().instance.is_current = 1;
        (object_before.state == number(ObjectState::quarantined) ? object_before.state_before : object_before.state) =
            number(ObjectState::current);
        FID_CHECK(update_row(transaction_, row_key_, former.front().instance));
        FID_CHECK(update_row(transaction_, row_key_, former.front().object));
    }
    FID_TRY(auto* study, study_by_id(instance->study));
    mark_broken_chain(*study);
    return touch(*study, now_ms_);
}

// An instance leaves its study, and its series the lists where it was the last one. (For what is no instance the state says it all.)
Result<void> Insertion::remove(const ObjectColumns& object) {
    FID_TRY(auto instance,
            select_row<InstanceColumns>(transaction_, row_key_, "WHERE t.object_id = :id AND t.is_current = 1", {object.object_id}));
    if (!instance) return {};
    instance->is_current = 0;
    FID_CHECK(update_row(transaction_, row_key_, *instance));
    const std::vector<std::string> of_series{std::to_string(instance->study), instance->series_uid};
    FID_TRY(const auto left,
            select_row<InstanceColumns>(transaction_, row_key_,
                                        "WHERE t.study = :study AND t.series_uid = :uid AND t.is_current = 1 LIMIT 1", of_series));
    if (!left) {
        FID_TRY(const auto series,
                select_row<SeriesColumns>(transaction_, row_key_, "WHERE t.study = :study AND t.series_uid = :uid", of_series));
        if (series) FID_CHECK(execute(transaction_, "DELETE FROM series WHERE id = " + std::to_string(series->id)));
    }
    FID_TRY(auto* study, study_by_id(instance->study));
    mark_broken_chain(*study);
    return touch(*study, now_ms_);
}

// A correction comes into force in the place of the one before it: the study is its patient's.
Result<void> Insertion::correct(ObjectColumns& overlay, const ObjectDescription& d) {
    FID_TRY(auto* study, study_by_id(overlay.study));
    FID_TRY(auto former, select_overlay(transaction_, row_key_, overlay.study));
    if (former) {
        (former->state == number(ObjectState::quarantined) ? former->state_before : former->state) = number(ObjectState::superseded);
        FID_CHECK(update_row(transaction_, row_key_, *former));
    }
    FID_TRY(const auto patient, this->patient(d));
    auto& known = patients_.at(patient.patient_key);
    dicom::Attributes attributes;
    FID_CHECK(add_attributes(attributes, known.attributes));
    for (const auto& [tag, values] : d.attributes) attributes.set(tag, values);
    if (const auto text = attributes_text(attributes); text != known.attributes) {
        describe_patient(known, attributes);
        FID_CHECK(update_row(transaction_, row_key_, known));
    }
    study->patient = patient.id;
    overlay.state = number(ObjectState::current);
    FID_CHECK(update_row(transaction_, row_key_, overlay));
    return touch(*study, now_ms_);
}

Result<void> Insertion::finish() {
    for (const auto id : rechain_) {
        FID_TRY(auto* study, study_by_id(id));
        study->chain.clear();
        study->instance_count = 0;
        FID_TRY(const auto rows,
                select_rows<InstanceColumns>(transaction_, row_key_, "WHERE t.study = :study AND t.is_current = 1 ORDER BY t.id",
                                             {std::to_string(id)}));
        for (const auto& row : rows) {
            study->chain = chain_next(row_key_, study->chain, row.mac);
            study->instance_count += 1;
        }
    }
    for (const auto id : changed_) {
        FID_TRY(auto* study, study_by_id(id));
        FID_CHECK(update_row(transaction_, row_key_, *study));
    }
    return {};
}

}  // namespace

Index::Index(const Keyring& keyring, ShredStore& secrets, std::vector<dicom::Tag> extra_attributes)
    : row_key_(keyring.row_key().clone()), secrets_(&secrets), extra_(std::move(extra_attributes)) {}

bool Index::is_indexed(dicom::Tag tag) const {
    const auto computed = dicom::computed_query_attributes();
    return dicom::find_query_attribute(tag) != nullptr || std::find(extra_.begin(), extra_.end(), tag) != extra_.end() ||
           std::any_of(computed.begin(), computed.end(), [tag](const auto& row) { return row.tag == tag; });
}

dicom::Attributes Index::keep_indexed(const dicom::Attributes& attributes) const {
    dicom::Attributes out;
    for (const auto& [tag, values] : attributes) {
        if (is_indexed(tag)) out.set(tag, values);
    }
    return out;
}

Result<Slot> Index::study_slot(database::Transaction& transaction, const Uid& study_uid) {
    if (study_uid.empty()) return fail(ErrorCode::invalid_argument, "an object without a Study Instance UID");
    Insertion insertion(transaction, row_key_, *secrets_, 0, read_overlay_);
    FID_TRY(const auto* study, insertion.study(study_uid, std::nullopt));
    return static_cast<Slot>(study->slot);
}

Result<Slot> Index::patient_slot(database::Transaction& transaction, const PatientText& patient_id, const PatientText& issuer,
                                 const Uid& study_uid, std::optional<Slot> known) {
    Insertion insertion(transaction, row_key_, *secrets_, 0, read_overlay_);
    ObjectDescription d;
    d.patient_id = patient_id;
    d.issuer = issuer;
    d.study_uid = study_uid;
    d.patient_slot = known;
    FID_TRY(const auto patient, insertion.patient(d));
    return static_cast<Slot>(patient.slot);
}

Result<void> Index::insert(database::Transaction& transaction, std::span<StoredObject> objects, std::uint64_t now_ms) {
    Insertion insertion(transaction, row_key_, *secrets_, now_ms, read_overlay_);
    for (auto& object : objects) FID_CHECK(insertion.insert(object));
    return insertion.finish();
}

Result<void> Index::apply(database::Transaction& transaction, const Mark& mark, const ObjectDescription* description) {
    FID_TRY(auto object, select_row<ObjectColumns>(transaction, row_key_, "WHERE t.object_id = :id", {to_hex(mark.object)}));
    if (!object) return {};
    const auto before = static_cast<ObjectState>(object->state);
    const bool leaves_quarantine =
        before == ObjectState::quarantined && mark.state != ObjectState::torn && mark.state != ObjectState::discarded;
    if (before == mark.state || (!leaves_quarantine && !may_become(before, mark.state))) return {};
    Insertion insertion(transaction, row_key_, *secrets_, mark.at_ms, read_overlay_);
    object->reason = mark.reason;
    object->state_ms = static_cast<long long>(mark.at_ms);
    if (leaves_quarantine) {
        object->state = std::exchange(object->state_before, 0);  // a new version may have come meanwhile
        return update_row(transaction, row_key_, *object);
    }
    object->state_before = number(before);
    if (mark.state == ObjectState::current) {
        if (description == nullptr) return fail(ErrorCode::internal, "an object is accepted without its description");
        const bool is_overlay = object->kind == static_cast<long long>(ObjectKind::overlay);
        FID_CHECK(is_overlay ? insertion.correct(*object, *description) : insertion.accept(*object, *description));
        return insertion.finish();
    }
    object->state = number(mark.state);
    FID_CHECK(update_row(transaction, row_key_, *object));
    if (mark.state == ObjectState::torn) FID_CHECK(insertion.withdraw(*object));
    if (mark.state == ObjectState::removed) FID_CHECK(insertion.remove(*object));
    return insertion.finish();
}

Result<void> Index::move_object(database::Transaction& transaction, const ObjectId& id, const Location& from, const ObjectPlace& to) {
    FID_TRY(auto object, select_row<ObjectColumns>(transaction, row_key_, "WHERE t.object_id = :id", {to_hex(id)}));
    if (!object || object->segment != from.segment || object->position != static_cast<long long>(from.offset)) return {};
    object->segment = to.location.segment;
    object->position = static_cast<long long>(to.location.offset);
    object->record_size = static_cast<long long>(to.record_size);
    object->stored_size = static_cast<long long>(to.stored_size);
    object->elsewhere = parts_text(to.elsewhere);
    object->header_hash = to_hex(to.header_hash);
    return update_row(transaction, row_key_, *object);
}

Result<void> Index::set_header_hash(database::Transaction& transaction, const ObjectId& id, const Hash& header_hash) {
    FID_TRY(auto object, select_row<ObjectColumns>(transaction, row_key_, "WHERE t.object_id = :id", {to_hex(id)}));
    if (!object) return fail(ErrorCode::not_found, "the index knows no object " + to_hex(id));
    object->header_hash = to_hex(header_hash);
    return update_row(transaction, row_key_, *object);
}

Result<void> Index::remove_study(database::Transaction& transaction, const Uid& study_uid) {
    FID_TRY(const auto study, select_row<StudyColumns>(transaction, row_key_, "WHERE t.study_uid = :uid", {study_uid.text()}));
    if (!study) return {};
    const auto id = std::to_string(study->id);
    for (const auto* sql : {"DELETE FROM instances WHERE study = ", "DELETE FROM objects WHERE study = ",
                            "DELETE FROM series WHERE study = ", "DELETE FROM studies WHERE id = "}) {
        FID_CHECK(execute(transaction, sql + id));
    }
    FID_TRY(auto versions, select_rows<VersionColumns>(transaction, row_key_, "WHERE t.study_uid = :uid", {study_uid.text()}));
    for (auto& version : versions) {
        version.study_revision = -1;  // of a study that is gone: covers nothing of one that may come again under this UID
        FID_CHECK(update_row(transaction, row_key_, version));
    }
    // A patient goes with the last study.
    return execute(transaction, "DELETE FROM patients WHERE id = " + std::to_string(study->patient) +
                                    " AND NOT EXISTS (SELECT 1 FROM studies s WHERE s.patient = patients.id)");
}

Result<void> Index::clear(database::Transaction& transaction) {
    for (const auto* table : {"instances", "objects", "series", "studies", "patients", "store_facts"})
        FID_CHECK(execute(transaction, std::string("DELETE FROM ") + table));
    FID_TRY(auto versions, select_rows<VersionColumns>(transaction, row_key_, ""));
    for (auto& version : versions) {
        if (version.study_revision <= 0) continue;
        version.study_revision = 0;  // revisions begin anew
        FID_CHECK(update_row(transaction, row_key_, version));
    }
    return {};
}

}  // namespace fiducial::store
