#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "store/impl/convert.hpp"
#include "store/index.hpp"

namespace fiducial::store {
namespace {

Result<std::optional<StudyColumns>> study_columns(database::Transaction& transaction, const crypto::Secret& row_key, const Uid& study_uid) {
    return select_row<StudyColumns>(transaction, row_key, "WHERE t.study_uid = :uid", {study_uid.text()});
}

Result<Uid> study_uid_of(database::Transaction& transaction, const crypto::Secret& row_key, long long study) {
    FID_TRY(const auto row, select_row<StudyColumns>(transaction, row_key, "WHERE t.id = :id", {std::to_string(study)}));
    if (!row)
        return fail(ErrorCode::corrupt,
                    "index: the row " + std::to_string(study) + " of studies is missing; rebuild the index (fsck --rebuild-index)");
    return uid_of(row->study_uid);
}

/// Of the correction in force; zeros: none.
Result<Hash> overlay_hash(database::Transaction& transaction, const crypto::Secret& row_key, long long study) {
    FID_TRY(const auto overlay, select_overlay(transaction, row_key, study));
    if (!overlay) return Hash{};
    return hash_of(overlay->sha256, "overlay");
}

Result<std::vector<InstanceRow>> with_study_uids(database::Transaction& transaction, const crypto::Secret& row_key,
                                                 const std::vector<InstanceAndObject>& found) {
    struct Study {
        Uid uid;
        Hash overlay_sha256{};
    };
    std::vector<InstanceRow> rows;
    std::map<long long, Study> studies;
    for (const auto& one : found) {
        auto& study = studies[one.instance.study];
        if (study.uid.empty()) {
            FID_TRY(study.uid, study_uid_of(transaction, row_key, one.instance.study));
            FID_TRY(study.overlay_sha256, overlay_hash(transaction, row_key, one.instance.study));
        }
        FID_TRY(auto row, instance_row(one.instance, one.object, study.uid));
        row.overlay_sha256 = study.overlay_sha256;
        rows.push_back(std::move(row));
    }
    return rows;
}

// Errors: corrupt when the current instances are not those that the study's row counts and chains.
Result<void> check_chain(const crypto::Secret& row_key, const StudyColumns& study, std::vector<InstanceAndObject>& current) {
    const auto by_id = [](const auto& a, const auto& b) { return a.instance.id < b.instance.id; };
    if (!std::is_sorted(current.begin(), current.end(), by_id)) std::sort(current.begin(), current.end(), by_id);
    std::string chain;
    for (const auto& one : current) chain = chain_next(row_key, chain, one.instance.mac);
    if (chain == study.chain && static_cast<long long>(current.size()) == study.instance_count) return {};
    return fail(ErrorCode::corrupt,
                "index: study " + study.study_uid + " should have " + std::to_string(study.instance_count) + " instances, " +
                    std::to_string(current.size()) + " rows are there" +
                    (static_cast<long long>(current.size()) == study.instance_count ? ", and not the same" : "") +
                    ": rows were deleted or put back behind the archive's back; rebuild the index (fsck --rebuild-index)");
}

}  // namespace

Result<Index::Known> Index::known(database::Transaction& transaction) const {
    std::string value;
    Statement select(transaction, "SELECT value FROM store_facts WHERE name = 'known_block'");
    select.out(value);
    FID_CHECK(select.run());
    FID_TRY(const bool there, select.next());
    if (!there) return Known{};
    const auto end = value.rfind(' ');
    std::istringstream numbers(value.substr(0, end));
    Known known;
    if (end == std::string::npos || value.substr(end + 1) != fact_mac(row_key_, "known_block", value.substr(0, end)) ||
        !(numbers >> known.block.segment >> known.block.offset)) {
        return fail(
            ErrorCode::corrupt,
            "index: the row known_block of store_facts was changed behind the archive's back; rebuild the index (fsck --rebuild-index)");
    }
    numbers >> known.segment;  // 0 where an earlier program wrote the row
    return known;
}

Result<void> Index::set_known(database::Transaction& transaction, const Known& known) {
    std::string value =
        std::to_string(known.block.segment) + " " + std::to_string(known.block.offset) + " " + std::to_string(known.segment);
    value += " " + fact_mac(row_key_, "known_block", value);
    Statement upsert(
        transaction,
        "INSERT INTO store_facts (name, value) VALUES ('known_block', :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    upsert.in(value);
    return upsert.run();
}

Result<std::vector<Index::Erasure>> Index::erasures(database::Transaction& transaction) const {
    std::string value;
    Statement select(transaction, "SELECT value FROM store_facts WHERE name = 'erasing'");
    select.out(value);
    FID_CHECK(select.run());
    FID_TRY(const bool there, select.next());
    std::vector<Erasure> erasures;
    if (!there) return erasures;
    const auto end = value.rfind(' ');
    if (end == std::string::npos || value.substr(end + 1) != fact_mac(row_key_, "erasing", value.substr(0, end))) {
        return fail(
            ErrorCode::corrupt,
            "index: the row erasing of store_facts was changed behind the archive's back; rebuild the index (fsck --rebuild-index)");
    }
    std::istringstream parts(value.substr(0, end));
    std::string uid;
    Slot slot = 0;
    while (parts >> uid >> slot) {
        FID_TRY(auto parsed, Uid::parse(uid));
        erasures.push_back({std::move(parsed), slot});
    }
    return erasures;
}

Result<void> Index::set_erasures(database::Transaction& transaction, std::span<const Erasure> erasures) {
    if (erasures.empty()) return execute(transaction, "DELETE FROM store_facts WHERE name = 'erasing'");
    std::string value;
    for (const auto& one : erasures) value += one.study_uid.text() + " " + std::to_string(one.patient_slot) + " ";
    value.pop_back();
    value += " " + fact_mac(row_key_, "erasing", value);
    Statement upsert(
        transaction,
        "INSERT INTO store_facts (name, value) VALUES ('erasing', :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    upsert.in(value);
    return upsert.run();
}

Result<bool> Index::is_patient_slot_used(database::Transaction& transaction, Slot slot) const {
    long long count = 0;
    Statement select(transaction, "SELECT COUNT(*) FROM patients WHERE slot = " + std::to_string(slot));
    select.out(count);
    FID_CHECK(select.run());
    FID_CHECK(select.next());
    return count > 0;
}

Result<std::map<std::uint32_t, std::uint64_t>> Index::bytes_in_segments(database::Transaction& transaction) const {
    std::string given_up;
    for (const auto state : {ObjectState::duplicate, ObjectState::discarded, ObjectState::torn})
        given_up += (given_up.empty() ? "" : ", ") + number_text(state);
    const std::string needed = "CASE WHEN state IN (" + given_up + ") THEN 0 ELSE stored_size END";
    std::map<std::uint32_t, std::uint64_t> bytes;
    long long segment = 0, sum = 0;
    Statement by_segment(transaction, "SELECT segment, SUM(record_size + " + needed + ") FROM objects GROUP BY segment");
    by_segment.out(segment).out(sum);
    FID_CHECK(by_segment.run());
    for (;;) {
        FID_TRY(const bool more, by_segment.next());
        if (!more) break;
        bytes[static_cast<std::uint32_t>(segment)] += static_cast<std::uint64_t>(sum);
    }
    std::string elsewhere;
    Statement split(transaction, "SELECT segment, elsewhere, " + needed + " FROM objects WHERE elsewhere <> ''");
    split.out(segment).out(elsewhere).out(sum);
    FID_CHECK(split.run());
    for (;;) {
        FID_TRY(const bool more, split.next());
        if (!more) return bytes;
        if (sum == 0) continue;
        std::istringstream parts(elsewhere);
        std::uint32_t number = 0;
        std::uint64_t part = 0;
        for (char colon = 0; parts >> number >> colon >> part;) {
            auto& own = bytes[static_cast<std::uint32_t>(segment)];
            own -= std::min(own, part);
            bytes[number] += part;
        }
    }
}

Result<void> Index::mark_slots_used(database::Transaction& transaction) const {
    long long study = 0, object = 0, patient = 0;
    Statement select(transaction,
                     "SELECT (SELECT COALESCE(MAX(slot), -1) FROM studies), (SELECT COALESCE(MAX(slot), -1) FROM objects), (SELECT "
                     "COALESCE(MAX(slot), -1) FROM patients)");
    select.out(study).out(object).out(patient);
    FID_CHECK(select.run());
    FID_CHECK(select.next());
    // Above what the pages hold: the secrets are lost, unless the row was forged, which hinders nobody from opening the site.
    const auto within = [&]<typename Columns>(Columns, std::string_view kind, long long highest, std::uint64_t slots) -> Result<long long> {
        if (highest < static_cast<long long>(slots)) return highest;
        const auto rows = select_rows<Columns>(transaction, row_key_, "WHERE t.slot = :slot", {std::to_string(highest)});
        if (rows) return fail(secrets_missing(kind, static_cast<std::uint64_t>(highest), slots));
        if (rows.error().code != ErrorCode::corrupt) return fail(rows.error());
        log::error("store", rows.error().message);
        return static_cast<long long>(slots) - 1;
    };
    FID_TRY(study, within(StudyColumns{}, "study", study, secrets_->study_slots()));
    FID_TRY(object, within(ObjectColumns{}, "study", object, secrets_->study_slots()));
    FID_TRY(patient, within(PatientColumns{}, "patient", patient, secrets_->patient_slots()));
    if (std::max(study, object) >= 0) secrets_->mark_study_slots_used(static_cast<Slot>(std::max(study, object)));
    if (patient >= 0) secrets_->mark_patient_slots_used(static_cast<Slot>(patient));
    return {};
}

Result<std::optional<InstanceRow>> Index::find_instance(database::Transaction& transaction, const Uid& sop_uid) const {
    FID_TRY(const auto found, select_instances(transaction, row_key_, "WHERE i.sop_uid = :uid AND i.is_current = 1", {sop_uid.text()}));
    FID_TRY(auto rows, with_study_uids(transaction, row_key_, found));
    if (rows.empty()) return std::optional<InstanceRow>();
    return std::optional<InstanceRow>(std::move(rows.front()));
}

Result<std::vector<InstanceRow>> Index::find_all_instances(database::Transaction& transaction, const Uid& sop_uid) const {
    FID_TRY(const auto found,
            select_instances(transaction, row_key_, "WHERE i.sop_uid = :uid ORDER BY o.arrival_ms, i.id", {sop_uid.text()}));
    return with_study_uids(transaction, row_key_, found);
}

Result<std::optional<InstanceRow>> Index::find_instance_of(database::Transaction& transaction, const ObjectId& object) const {
    FID_TRY(const auto found, select_instances(transaction, row_key_, "WHERE i.object_id = :id", {to_hex(object)}));
    FID_TRY(auto rows, with_study_uids(transaction, row_key_, found));
    if (rows.empty()) return std::optional<InstanceRow>();
    return std::optional<InstanceRow>(std::move(rows.front()));
}

Result<std::optional<ObjectRow>> Index::find_object(database::Transaction& transaction, const ObjectId& object) const {
    FID_TRY(const auto found, select_row<ObjectColumns>(transaction, row_key_, "WHERE t.object_id = :id", {to_hex(object)}));
    if (!found) return std::optional<ObjectRow>();
    FID_TRY(const auto uid, study_uid_of(transaction, row_key_, found->study));
    FID_TRY(auto row, object_row(*found, uid));
    return std::optional<ObjectRow>(std::move(row));
}

Result<std::optional<PatientRow>> Index::find_patient(database::Transaction& transaction, const PatientText& patient_id,
                                                      const PatientText& issuer, const Uid& study_uid) const {
    FID_TRY(const auto found, select_row<PatientColumns>(transaction, row_key_, "WHERE t.patient_key = :key",
                                                         {patient_key_text(patient_id.value, issuer.value, study_uid.text())}));
    if (!found) return std::optional<PatientRow>();
    return std::optional<PatientRow>(patient_row(*found));
}

Result<std::vector<PatientRow>> Index::patients_with_id(database::Transaction& transaction, const PatientText& patient_id) const {
    FID_TRY(const auto found,
            select_rows<PatientColumns>(transaction, row_key_, "WHERE t.patient_id = :id ORDER BY t.id", {patient_id.value}));
    std::vector<PatientRow> rows;
    for (const auto& columns : found) rows.push_back(patient_row(columns));
    return rows;
}

Result<dicom::Attributes> Index::attributes_of_patient(database::Transaction& transaction, std::int64_t patient) const {
    FID_TRY(const auto found, select_row<PatientColumns>(transaction, row_key_, "WHERE t.id = :id", {std::to_string(patient)}));
    dicom::Attributes attributes;
    if (found) FID_CHECK(add_attributes(attributes, found->attributes));
    return attributes;
}

Result<std::optional<ObjectRow>> Index::overlay_of_study(database::Transaction& transaction, const Uid& study_uid) const {
    FID_TRY(const auto study, study_columns(transaction, row_key_, study_uid));
    if (!study) return std::optional<ObjectRow>();
    FID_TRY(const auto overlay, select_overlay(transaction, row_key_, study->id));
    if (!overlay) return std::optional<ObjectRow>();
    FID_TRY(auto row, object_row(*overlay, study_uid));
    return std::optional<ObjectRow>(std::move(row));
}

Result<std::vector<InstanceRow>> Index::instances_of_study(database::Transaction& transaction, const Uid& study_uid) const {
    FID_TRY(const auto study, study_columns(transaction, row_key_, study_uid));
    if (!study) return std::vector<InstanceRow>();
    FID_TRY(auto found,
            select_instances(transaction, row_key_, "WHERE i.study = :study AND i.is_current = 1", {std::to_string(study->id)}));
    FID_CHECK(check_chain(row_key_, *study, found));
    FID_TRY(const auto overlay, overlay_hash(transaction, row_key_, study->id));
    std::vector<const InstanceAndObject*> by_uid;
    for (const auto& one : found) by_uid.push_back(&one);
    std::sort(by_uid.begin(), by_uid.end(), [](const auto* a, const auto* b) { return a->instance.sop_uid < b->instance.sop_uid; });
    std::vector<InstanceRow> rows;
    rows.reserve(found.size());
    for (const auto* one : by_uid) {
        FID_TRY(auto row, instance_row(one->instance, one->object, study_uid));
        row.overlay_sha256 = overlay;
        rows.push_back(std::move(row));
    }
    return rows;
}

Result<std::vector<InstanceRow>> Index::instances_of_series(database::Transaction& transaction, const Uid& study_uid,
                                                            const Uid& series_uid) const {
    FID_TRY(auto rows, instances_of_study(transaction, study_uid));
    std::erase_if(rows, [&](const InstanceRow& row) { return row.series_uid != series_uid; });
    return rows;
}

Result<std::vector<SeriesRow>> Index::series_of_study(database::Transaction& transaction, const Uid& study_uid) const {
    FID_TRY(const auto instances, instances_of_study(transaction, study_uid));
    std::map<std::string, std::uint64_t> counts;
    for (const auto& instance : instances) counts[instance.series_uid.text()] += 1;
    FID_TRY(const auto study, study_columns(transaction, row_key_, study_uid));
    std::vector<SeriesRow> rows;
    if (!study) return rows;
    FID_TRY(const auto found,
            select_rows<SeriesColumns>(transaction, row_key_, "WHERE t.study = :study ORDER BY t.series_uid", {std::to_string(study->id)}));
    for (const auto& columns : found) {
        const auto count = counts.find(columns.series_uid);
        if (count == counts.end()) continue;
        FID_TRY(auto row, series_row(columns));
        row.instance_count = count->second;
        counts.erase(count);
        rows.push_back(std::move(row));
    }
    if (!counts.empty())
        return fail(ErrorCode::corrupt, "index: series " + counts.begin()->first + " is missing; rebuild the index (fsck --rebuild-index)");
    return rows;
}

Result<dicom::Attributes> Index::attributes_of(database::Transaction& transaction, const ObjectId& object) const {
    FID_TRY(const auto found, select_row<InstanceColumns>(transaction, row_key_, "WHERE t.object_id = :id", {to_hex(object)}));
    if (!found) return fail(ErrorCode::not_found, "no instance has object " + to_hex(object));
    dicom::Attributes attributes;
    FID_TRY(const auto study, select_row<StudyColumns>(transaction, row_key_, "WHERE t.id = :id", {std::to_string(found->study)}));
    if (study) {
        FID_TRY(const auto patient,
                select_row<PatientColumns>(transaction, row_key_, "WHERE t.id = :id", {std::to_string(study->patient)}));
        if (patient) FID_CHECK(add_attributes(attributes, patient->attributes));
        FID_CHECK(add_attributes(attributes, study->attributes));
        FID_TRY(const auto series, select_row<SeriesColumns>(transaction, row_key_, "WHERE t.study = :study AND t.series_uid = :uid",
                                                             {std::to_string(study->id), found->series_uid}));
        if (series) FID_CHECK(add_attributes(attributes, series->attributes));
    }
    FID_CHECK(add_attributes(attributes, found->attributes));
    return attributes;
}

Result<std::vector<ObjectRow>> Index::objects_of_study(database::Transaction& transaction, const Uid& study_uid,
                                                       std::optional<ObjectKind> kind) const {
    std::vector<ObjectRow> rows;
    FID_TRY(const auto study, study_columns(transaction, row_key_, study_uid));
    if (!study) return rows;
    const std::string of_kind = kind ? " AND t.kind = " + std::to_string(static_cast<int>(*kind)) : "";
    FID_TRY(const auto found,
            select_rows<ObjectColumns>(transaction, row_key_, "WHERE t.study = :study" + of_kind + " ORDER BY t.arrival_ms, t.object_id",
                                       {std::to_string(study->id)}));
    for (const auto& columns : found) {
        FID_TRY(auto row, object_row(columns, study_uid));
        rows.push_back(std::move(row));
    }
    return rows;
}

Result<std::vector<SetAsideRow>> Index::list_set_aside(database::Transaction& transaction, const std::string& after_object_id,
                                                       std::uint32_t limit) const {
    FID_TRY(const auto found, select_instances(transaction, row_key_,
                                               "WHERE o.state = " + number_text(ObjectState::set_aside) +
                                                   " AND o.object_id > :after ORDER BY o.object_id LIMIT " + std::to_string(limit),
                                               {after_object_id}));
    FID_TRY(auto instances, with_study_uids(transaction, row_key_, found));
    std::vector<SetAsideRow> rows;
    for (std::size_t i = 0; i < found.size(); ++i) rows.push_back({std::move(instances[i]), found[i].object.reason});
    return rows;
}

Result<std::vector<SetAsideRow>> Index::list_removed(database::Transaction& transaction, const Uid& study_uid) const {
    std::vector<SetAsideRow> rows;
    FID_TRY(const auto study, study_columns(transaction, row_key_, study_uid));
    if (!study) return rows;
    FID_TRY(const auto found, select_instances(transaction, row_key_,
                                               "WHERE i.study = :study AND i.is_current = 0 AND o.state = " +
                                                   number_text(ObjectState::removed) + " ORDER BY i.sop_uid",
                                               {std::to_string(study->id)}));
    for (const auto& one : found) {
        FID_TRY(auto row, instance_row(one.instance, one.object, study_uid));
        rows.push_back({std::move(row), one.object.reason, static_cast<std::uint64_t>(one.object.state_ms)});
    }
    return rows;
}

Result<std::vector<ObjectRow>> Index::list_holds(database::Transaction& transaction) const {
    FID_TRY(const auto found, select_rows<ObjectColumns>(transaction, row_key_,
                                                         "WHERE t.kind = 5 AND t.state = " + number_text(ObjectState::current) +
                                                             " ORDER BY t.arrival_ms, t.object_id"));
    std::vector<ObjectRow> rows;
    for (const auto& columns : found) {
        FID_TRY(const auto uid, study_uid_of(transaction, row_key_, columns.study));
        FID_TRY(auto row, object_row(columns, uid));
        rows.push_back(std::move(row));
    }
    return rows;
}

Result<std::vector<QuarantineRow>> Index::list_quarantined(database::Transaction& transaction) const {
    FID_TRY(const auto found,
            select_rows<ObjectColumns>(transaction, row_key_,
                                       "WHERE t.state = " + number_text(ObjectState::quarantined) + " ORDER BY t.state_ms, t.object_id"));
    std::vector<QuarantineRow> rows;
    for (const auto& columns : found) {
        QuarantineRow row;
        FID_TRY(const auto uid, study_uid_of(transaction, row_key_, columns.study));
        FID_TRY(row.object, object_row(columns, uid));
        FID_TRY(const auto instance, select_row<InstanceColumns>(transaction, row_key_, "WHERE t.object_id = :id", {columns.object_id}));
        if (instance) {
            FID_TRY(row.sop_uid, uid_of(instance->sop_uid));
        }
        row.reason = columns.reason;
        row.at_ms = static_cast<std::uint64_t>(columns.state_ms);
        rows.push_back(std::move(row));
    }
    return rows;
}

Result<std::vector<ObjectRow>> Index::list_objects(database::Transaction& transaction, const std::string& after_object_id,
                                                   std::uint32_t limit) const {
    FID_TRY(const auto found, select_rows<ObjectColumns>(transaction, row_key_,
                                                         "WHERE t.object_id > :after ORDER BY t.object_id LIMIT " + std::to_string(limit),
                                                         {after_object_id}));
    std::vector<ObjectRow> rows;
    std::map<long long, Uid> uids;
    for (const auto& columns : found) {
        if (!uids.contains(columns.study)) {
            FID_TRY(uids[columns.study], study_uid_of(transaction, row_key_, columns.study));
        }
        FID_TRY(auto row, object_row(columns, uids[columns.study]));
        rows.push_back(std::move(row));
    }
    return rows;
}

Result<IndexCounts> Index::counts(database::Transaction& transaction) const {
    IndexCounts counts;
    long long patients = 0, studies = 0, series = 0, instances = 0, versions = 0, bytes = 0;
    Statement select(transaction,
                     "SELECT (SELECT COUNT(DISTINCT patient) FROM studies WHERE patient <> 0), (SELECT COUNT(*) FROM studies WHERE patient "
                     "<> 0), (SELECT COUNT(*) FROM series),"
                     " (SELECT COUNT(*) FROM instances WHERE is_current = 1), (SELECT COUNT(*) FROM study_versions), (SELECT "
                     "COALESCE(SUM(size), 0) FROM objects)");
    select.out(patients).out(studies).out(series).out(instances).out(versions).out(bytes);
    FID_CHECK(select.run());
    FID_CHECK(select.next());
    counts.patients = static_cast<std::uint64_t>(patients);
    counts.studies = static_cast<std::uint64_t>(studies);
    counts.series = static_cast<std::uint64_t>(series);
    counts.instances = static_cast<std::uint64_t>(instances);
    counts.versions = static_cast<std::uint64_t>(versions);
    counts.bytes = static_cast<std::uint64_t>(bytes);
    long long state = 0, count = 0;
    Statement by_state(transaction, "SELECT state, COUNT(*) FROM objects GROUP BY state");
    by_state.out(state).out(count);
    FID_CHECK(by_state.run());
    for (;;) {
        FID_TRY(const bool more, by_state.next());
        if (!more) break;
        counts.objects[static_cast<ObjectState>(state)] = static_cast<std::uint64_t>(count);
    }
    return counts;
}

namespace {

Result<std::vector<std::string>> select_names(database::Transaction& transaction, const std::string& sql) {
    std::vector<std::string> names;
    std::string name;
    Statement select(transaction, sql);
    select.out(name);
    FID_CHECK(select.run());
    while (true) {
        FID_TRY(const bool more, select.next());
        if (!more) return names;
        names.push_back(name);
    }
}

// Like select_rows, but goes on after a bad MAC.
template <typename Columns>
Result<void> check_table(database::Transaction& transaction, const crypto::Secret& row_key, std::vector<Error>& findings,
                         std::set<long long>* ids) {
    Columns row;
    Statement select(transaction, "SELECT " + column_list<Columns>("t") + " FROM " + std::string(Columns::kTable) + " t");
    bind_out(select, row);
    FID_CHECK(select.run());
    while (true) {
        FID_TRY(const bool more, select.next());
        if (!more) return {};
        if (auto fits = check_mac(row_key, row); !fits) findings.push_back(fits.error());
        if constexpr (Columns::kNumbered) {
            if (ids != nullptr) ids->insert(row.id);
        }
    }
}

}  // namespace

Result<std::vector<std::string>> Index::lost_manifests(database::Transaction& transaction) const {
    return select_names(
        transaction,
        "SELECT 'study ' || v.study_uid || ' version ' || v.version FROM study_versions v JOIN studies s ON s.study_uid = v.study_uid"
        " WHERE v.manifest <> '' AND v.study_revision >= 0 AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.object_id = v.manifest) LIMIT "
        "100");
}

Result<std::vector<Error>> Index::check_all(database::Transaction& transaction) const {
    std::vector<Error> findings;
    std::set<long long> patients, studies;
    FID_CHECK(check_table<PatientColumns>(transaction, row_key_, findings, &patients));
    FID_CHECK(check_table<StudyColumns>(transaction, row_key_, findings, &studies));
    FID_CHECK(check_table<SeriesColumns>(transaction, row_key_, findings, nullptr));
    FID_CHECK(check_table<ObjectColumns>(transaction, row_key_, findings, nullptr));
    FID_CHECK(check_table<InstanceColumns>(transaction, row_key_, findings, nullptr));
    FID_CHECK(check_table<VersionColumns>(transaction, row_key_, findings, nullptr));
    if (auto place = known(transaction); !place) findings.push_back(place.error());
    const auto report = [&](const std::string& what, const std::vector<std::string>& names) {
        for (const auto& name : names)
            findings.push_back(
                {ErrorCode::corrupt, "index: " + what + " " + name + " is missing; rebuild the index (fsck --rebuild-index)"});
    };
    FID_TRY(const auto without_study,
            select_names(transaction,
                         "SELECT o.object_id FROM objects o WHERE NOT EXISTS (SELECT 1 FROM studies s WHERE s.id = o.study) LIMIT 100"));
    report("the study of object", without_study);
    FID_TRY(
        const auto without_object,
        select_names(
            transaction,
            "SELECT i.object_id FROM instances i WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.object_id = i.object_id) LIMIT 100"));
    report("the row of object", without_object);
    FID_TRY(const auto without_manifest, lost_manifests(transaction));
    report("the manifest of", without_manifest);
    if (!findings.empty()) return findings;
    // Every row is as it was written; what is missing or was put back shows in what refers to it.
    for (const auto id : studies) {
        FID_TRY(const auto study, select_row<StudyColumns>(transaction, row_key_, "WHERE t.id = :id", {std::to_string(id)}));
        if (study->patient != 0 && !patients.contains(study->patient)) {
            findings.push_back({ErrorCode::corrupt, "index: the patient of study " + study->study_uid +
                                                        " is missing; rebuild the index (fsck --rebuild-index)"});
        }
        FID_TRY(auto found, select_instances(transaction, row_key_, "WHERE i.study = :study AND i.is_current = 1", {std::to_string(id)}));
        if (auto fits = check_chain(row_key_, *study, found); !fits) {
            findings.push_back(fits.error());
            continue;
        }
        FID_TRY(const auto uid, uid_of(study->study_uid));
        if (auto series = series_of_study(transaction, uid); !series) findings.push_back(series.error());
    }
    return findings;
}

}  // namespace fiducial::store
