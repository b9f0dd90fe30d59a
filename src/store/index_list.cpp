#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/hex.hpp"
#include "dicom/query_retrieve.hpp"
#include "store/impl/convert.hpp"
#include "store/index.hpp"

namespace fiducial::store {
namespace {

using Alternative = dicom::Matcher::Alternative;

constexpr std::string_view kAfterAll = "\xf4\x8f\xbf\xbf";  // no text begins with more

std::string like_of(std::string_view pattern) {
    std::string like;
    for (const char c : pattern) {
        if (c == '*') {
            like += '%';
        } else if (c == '?') {
            like += '_';
        } else {
            if (c == '%' || c == '_' || c == '!') like += '!';
            like += c;
        }
    }
    return like;
}

// Conditions with their values, in the order of their placeholders. They hold for every row that fits; whether a row of which they hold
// does fit, dicom::Matcher says.
struct Where {
    std::string sql = "WHERE s.patient <> 0";
    std::vector<std::string> values;

    std::string mark(std::string value) {
        values.push_back(std::move(value));
        return ":w" + std::to_string(values.size());
    }
    void add(const std::string& condition) {
        if (!condition.empty()) sql += " AND " + condition;
    }
    std::string like(const std::string& column, const std::string& pattern) { return column + " LIKE " + mark(pattern) + " ESCAPE '!'"; }
    // A prefix is asked for as a range, so that an ordinary index serves it in any collation.
    std::string prefix(const std::string& column, const std::string& low) {
        const auto from = column + " >= " + mark(low);
        return from + " AND " + column + " < " + mark(low + std::string(kAfterAll));
    }
    std::string pattern(const std::string& column, const std::string& wanted) {
        const auto wild = wanted.find_first_of("*?");
        std::string out = "(";
        if (wild > 0) out += prefix(column, wanted.substr(0, wild));
        if (wild + 1 == wanted.size() && wanted[wild] == '*') return out + ")";
        if (wild > 0) out += " AND ";
        return out + like(column, like_of(wanted)) + ")";
    }
    std::string text(const std::string& column, const dicom::Matcher& key) {
        std::string list, patterns;  // one after the other: placeholders stand in the order of their values
        for (const auto& one : key.alternatives()) {
            if (one.kind == Alternative::Kind::value) list += (list.empty() ? "" : ", ") + mark(one.text);
        }
        for (const auto& one : key.alternatives()) {
            if (one.kind == Alternative::Kind::pattern) patterns += (patterns.empty() ? "" : " OR ") + pattern(column, one.text);
        }
        if (list.empty()) return "(" + patterns + ")";
        return "(" + column + " IN (" + list + ")" + (patterns.empty() ? "" : " OR " + patterns) + ")";
    }
    std::string range(const std::string& column, const dicom::Matcher& key) {
        std::string out;
        for (const auto& one : key.alternatives()) {
            std::string both = column + " <> ''";  // no date is no early date
            if (!one.from.empty()) both += " AND " + column + " >= " + mark(one.from);
            if (!one.to.empty()) both += " AND " + column + " <= " + mark(one.to);
            out += (out.empty() ? "(" : " OR ") + both;
        }
        return out + ")";
    }
    // Names in normal form, "doe john=group=group". Each condition of the list serves by itself: the first two by an index.
    std::vector<std::string> names(const std::string& column, const dicom::Matcher& key) {
        std::vector<std::string> any_of;
        for (const auto& one : key.alternatives()) {
            if (one.kind == Alternative::Kind::words) {
                std::string all;
                for (const auto& word : one.words) all += (all.empty() ? "" : " AND ") + like(column, "%" + like_of(word) + "%");
                any_of.push_back(all);
                continue;
            }
            const auto wild = std::min(one.text.find_first_of("*?"), one.text.size());
            if (one.text.find('=') != std::string::npos) {
                any_of.push_back(name_groups(column, one.text));
            } else if (wild == 0) {
                any_of.push_back(like(column, "%" + like_of(one.text) + "%"));
            } else {
                any_of.push_back(prefix(column, one.text.substr(0, wild)));
                any_of.push_back(column + " LIKE '%=%' AND " + like(column, "%=" + like_of(one.text.substr(0, wild)) + "%"));
            }
        }
        return any_of;
    }
    // What is asked group by group: what stands before each group's first wildcard.
    std::string name_groups(const std::string& column, std::string_view wanted) {
        std::string all;
        for (bool is_first = true;; is_first = false) {
            const auto end = std::min(wanted.find('='), wanted.size());
            const std::string literal(wanted.substr(0, std::min(wanted.find_first_of("*?"), end)));
            if (!literal.empty()) {
                all += all.empty() ? "" : " AND ";
                all += is_first ? prefix(column, literal) : like(column, "%=" + like_of(literal) + "%");
            }
            if (end == wanted.size()) return all.empty() ? "1 = 1" : all;
            wanted.remove_prefix(end + 1);
        }
    }
    void narrow(const dicom::Matcher& key);
};

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
    std::string out;
    for (const auto& part : parts) out += (out.empty() ? "" : std::string(between)) + part;
    return out;
}

void Where::narrow(const dicom::Matcher& key) {
    if (key.is_universal()) return;
    namespace tags = dicom::tags;
    switch (key.tag()) {
        case tags::kPatientId: return add(text("p.patient_id", key));
        case tags::kIssuerOfPatientId: return add(text("p.issuer", key));
        case tags::kPatientName: {
            auto selects = names("name_normal", key);
            for (auto& one : selects) one.insert(0, "SELECT id FROM patients WHERE ");
            return add("p.id IN (" + joined(selects, " UNION ") + ")");
        }
        case tags::kPatientBirthDate: return add(range("p.birth_date", key));
        case tags::kStudyInstanceUid: return add(text("s.study_uid", key));
        case tags::kStudyDate: return add(range("s.date", key));
        case tags::kStudyTime: return add(range("s.time", key));
        case tags::kAccessionNumber: return add(text("s.accession_number", key));
        case tags::kStudyId: return add(text("s.study_id", key));
        case tags::kStudyDescription: return add(text("s.description_normal", key));
        case tags::kReferringPhysicianName: return add("((" + joined(names("s.referring_normal", key), ") OR (") + "))");
        case tags::kModality:
        case tags::kModalitiesInStudy:
            return add("EXISTS (SELECT 1 FROM series e WHERE e.study = s.id AND " + text("e.modality", key) + ")");
        case tags::kSeriesInstanceUid: return add("s.id IN (SELECT e.study FROM series e WHERE " + text("e.series_uid", key) + ")");
        case tags::kSopInstanceUid:
            return add("s.id IN (SELECT i.study FROM instances i WHERE i.is_current = 1 AND " + text("i.sop_uid", key) + ")");
        case tags::kSopClassUid:
            return add("EXISTS (SELECT 1 FROM instances i WHERE i.study = s.id AND i.is_current = 1 AND " + text("i.sop_class", key) + ")");
        default: return;
    }
}

struct StudyAndPatient {
    StudyColumns study;
    PatientColumns patient;
};

/// Studies with a current instance that is not served.
Result<std::set<std::int64_t>> studies_with_quarantined(database::Transaction& transaction) {
    std::set<std::int64_t> found;
    long long study = 0;
    const auto current = std::to_string(static_cast<int>(ObjectState::current));
    Statement select(transaction, "SELECT DISTINCT o.study FROM objects o JOIN instances i ON i.object_id = o.object_id WHERE o.state <> " +
                                      current + " AND o.state = " + std::to_string(static_cast<int>(ObjectState::quarantined)) +
                                      " AND i.is_current = 1");
    select.out(study);
    FID_CHECK(select.run());
    while (true) {
        FID_TRY(const bool more, select.next());
        if (!more) return found;
        found.insert(study);
    }
}

Result<void> add_series_facts(database::Transaction& transaction, const crypto::Secret& row_key, StudyRow& study) {
    FID_TRY(const auto series, select_rows<SeriesColumns>(transaction, row_key, "WHERE t.study = :study", {std::to_string(study.id)}));
    std::set<std::string> modalities;
    for (const auto& one : series) {
        if (!one.modality.empty()) modalities.insert(one.modality);
    }
    study.series_count = series.size();
    study.modalities.assign(modalities.begin(), modalities.end());
    return {};
}

}  // namespace

Result<std::optional<StudyRow>> Index::find_study(database::Transaction& transaction, const Uid& study_uid) const {
    FID_TRY(const auto study,
            select_row<StudyColumns>(transaction, row_key_, "WHERE t.study_uid = :uid AND t.patient <> 0", {study_uid.text()}));
    if (!study) return std::optional<StudyRow>();
    FID_TRY(const auto patient, select_row<PatientColumns>(transaction, row_key_, "WHERE t.id = :id", {std::to_string(study->patient)}));
    if (!patient)
        return fail(ErrorCode::corrupt,
                    "index: the patient of study " + study_uid.text() + " is missing; rebuild the index (fsck --rebuild-index)");
    FID_TRY(auto row, study_row(*study, *patient));
    FID_CHECK(add_series_facts(transaction, row_key_, row));
    return std::optional<StudyRow>(std::move(row));
}

Result<std::uint64_t> Index::study_revision(database::Transaction& transaction, const Uid& study_uid) const {
    FID_TRY(const auto study,
            select_row<StudyColumns>(transaction, row_key_, "WHERE t.study_uid = :uid AND t.patient <> 0", {study_uid.text()}));
    return study ? static_cast<std::uint64_t>(study->revision) : std::uint64_t{0};
}

Result<StudyPage> Index::list_studies(database::Transaction& transaction, const dicom::Criteria& criteria, const std::string& cursor,
                                      std::uint32_t limit) const {
    if (limit < 1 || limit > 1000) return fail(ErrorCode::invalid_argument, "a page has 1 to 1000 studies, not " + std::to_string(limit));
    StudyPage page;
    FID_TRY(const auto quarantined, studies_with_quarantined(transaction));
    std::string place = cursor;
    // Not all that is asked can be said in SQL, so that a page may take several rounds.
    while (true) {
        Where where;
        for (const auto& key : criteria.keys()) where.narrow(key);
        if (!place.empty()) {
            const auto slash = place.find('/');
            if (slash == std::string::npos) return fail(ErrorCode::invalid_argument, "that is no place in a list of studies");
            const auto date = where.mark(place.substr(0, slash));
            where.add("(s.date, s.study_uid) < (" + date + ", " + where.mark(place.substr(slash + 1)) + ")");
        }
        const std::uint32_t wanted = limit + 1;
        StudyAndPatient row;
        std::vector<StudyAndPatient> rows;
        Statement select(transaction, "SELECT " + column_list<StudyColumns>("s") + ", " + column_list<PatientColumns>("p") +
                                          " FROM studies s JOIN patients p ON p.id = s.patient " + where.sql +
                                          " ORDER BY s.date DESC, s.study_uid DESC LIMIT " + std::to_string(wanted));
        for (auto& value : where.values) select.in(value);
        bind_out(select, row.study);
        bind_out(select, row.patient);
        FID_CHECK(select.run());
        while (true) {
            FID_TRY(const bool more, select.next());
            if (!more) break;
            rows.push_back(row);
        }
        for (auto& one : rows) {
            if (page.studies.size() == limit) {
                page.next = place;
                return page;
            }
            FID_CHECK(check_mac(row_key_, one.study));
            FID_CHECK(check_mac(row_key_, one.patient));
            place = one.study.date + "/" + one.study.study_uid;
            FID_TRY(auto study, study_row(one.study, one.patient));
            study.attributes.set(dicom::tags::kPatientId, {one.patient.patient_id});
            FID_CHECK(add_attributes(study.attributes, one.patient.attributes));
            FID_CHECK(add_attributes(study.attributes, one.study.attributes));
            study.attributes.set(dicom::tags::kStudyInstanceUid, {one.study.study_uid});
            if (!criteria.fit(dicom::QueryLevel::patient, study.attributes)) continue;
            FID_CHECK(add_series_facts(transaction, row_key_, study));
            study.attributes.set(dicom::tags::kModalitiesInStudy, study.modalities);
            study.attributes.set(dicom::tags::kStudyRelatedSeries, {std::to_string(study.series_count)});
            study.attributes.set(dicom::tags::kStudyRelatedInstances, {std::to_string(study.instance_count)});
            study.misses_some = quarantined.contains(study.id);
            if (criteria.fit(dicom::QueryLevel::study, study.attributes, study.attributes.first(dicom::tags::kTimezoneOffsetFromUtc)))
                page.studies.push_back(std::move(study));
        }
        if (rows.size() < wanted) return page;
    }
}

namespace {

/// Ascending by the number that an attribute holds, those without one last; then by the UID.
template <typename Row>
void sort_by_number(std::vector<Row>& rows, dicom::Tag number, const Uid& (*uid)(const Row&)) {
    const auto place = [&](const Row& row) {
        const auto& text = row.attributes.first(number);
        long long value = 0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
        return std::pair(problem == std::errc{} ? value : std::numeric_limits<long long>::max(), uid(row).text());
    };
    std::sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) { return place(a) < place(b); });
}

}  // namespace

Result<std::vector<SeriesRow>> Index::list_series(database::Transaction& transaction, const StudyRow& study,
                                                  const dicom::Criteria& criteria) const {
    std::map<std::string, std::uint64_t> counts;
    std::string uid;
    long long count = 0;
    Statement select(transaction, "SELECT series_uid, COUNT(*) FROM instances WHERE is_current = 1 AND study = " +
                                      std::to_string(study.id) + " GROUP BY series_uid");
    select.out(uid).out(count);
    FID_CHECK(select.run());
    while (true) {
        FID_TRY(const bool more, select.next());
        if (!more) break;
        counts.emplace(uid, count);
    }
    FID_TRY(const auto found, select_rows<SeriesColumns>(transaction, row_key_, "WHERE t.study = :study", {std::to_string(study.id)}));
    std::vector<SeriesRow> rows;
    for (const auto& columns : found) {
        const auto counted = counts.find(columns.series_uid);
        if (counted == counts.end()) continue;
        FID_TRY(auto row, series_row(columns));
        row.instance_count = counted->second;
        counts.erase(counted);
        FID_CHECK(add_attributes(row.attributes, columns.attributes));
        row.attributes.set(dicom::tags::kSeriesInstanceUid, {columns.series_uid});
        row.attributes.set(dicom::tags::kSeriesRelatedInstances, {std::to_string(row.instance_count)});
        if (criteria.fit(dicom::QueryLevel::series, row.attributes, study.attributes.first(dicom::tags::kTimezoneOffsetFromUtc)))
            rows.push_back(std::move(row));
    }
    if (!counts.empty())
        return fail(ErrorCode::corrupt, "index: series " + counts.begin()->first + " is missing; rebuild the index (fsck --rebuild-index)");
    sort_by_number<SeriesRow>(rows, dicom::tags::kSeriesNumber, [](const SeriesRow& row) -> const Uid& { return row.series_uid; });
    return rows;
}

Result<std::vector<InstanceRow>> Index::list_instances(database::Transaction& transaction, const StudyRow& study, const SeriesRow& series,
                                                       const dicom::Criteria& criteria) const {
    std::string rest = "WHERE i.study = :study AND i.series_uid = :series AND i.is_current = 1";
    std::vector<std::string> values{std::to_string(study.id), series.series_uid.text()};
    if (const auto* key = criteria.find(dicom::tags::kSopInstanceUid); key != nullptr && !key->is_universal()) {
        Where where;
        rest += " AND " + where.text("i.sop_uid", *key);
        values.insert(values.end(), where.values.begin(), where.values.end());
    }
    FID_TRY(const auto found, select_instances(transaction, row_key_, rest, values));
    std::vector<InstanceRow> rows;
    for (const auto& one : found) {
        FID_TRY(auto row, instance_row(one.instance, one.object, study.study_uid));
        FID_CHECK(add_attributes(row.attributes, one.instance.attributes));
        row.attributes.set(dicom::tags::kSopInstanceUid, {one.instance.sop_uid});
        row.attributes.set(dicom::tags::kSopClassUid, {one.instance.sop_class});
        if (criteria.fit(dicom::QueryLevel::instance, row.attributes, study.attributes.first(dicom::tags::kTimezoneOffsetFromUtc)))
            rows.push_back(std::move(row));
    }
    sort_by_number<InstanceRow>(rows, dicom::tags::kInstanceNumber, [](const InstanceRow& row) -> const Uid& { return row.sop_uid; });
    return rows;
}

Result<void> Index::insert_version(database::Transaction& transaction, const StudyVersionRow& row) {
    auto columns = version_columns(row);
    FID_TRY(const auto same_place,
            select_row<VersionColumns>(transaction, row_key_, "WHERE t.study_uid = :uid AND t.version = :version AND t.study_key = :key",
                                       {columns.study_uid, std::to_string(columns.version), columns.study_key}));
    if (same_place) {
        if (same_place->record_hash == columns.record_hash) return {};
        return fail(ErrorCode::conflict,
                    "study " + columns.study_uid + " has another version " + std::to_string(columns.version) + " already");
    }
    return insert_row(transaction, row_key_, columns);
}

Result<void> Index::cover_revision(database::Transaction& transaction, const Hash& record, std::uint64_t revision) {
    FID_TRY(auto row, select_row<VersionColumns>(transaction, row_key_, "WHERE t.record_hash = :hash", {to_hex(record)}));
    if (!row) return fail(ErrorCode::not_found, "there is no version with record " + to_hex(record));
    row->study_revision = static_cast<long long>(revision);
    return update_row(transaction, row_key_, *row);
}

namespace {

Result<std::optional<StudyVersionRow>> as_version(Result<std::optional<VersionColumns>> found) {
    if (!found) return fail(found.error());
    if (!*found) return std::optional<StudyVersionRow>();
    FID_TRY(auto row, version_row(**found));
    return std::optional<StudyVersionRow>(std::move(row));
}

}  // namespace

Result<std::optional<StudyVersionRow>> Index::find_version(database::Transaction& transaction, const Uid& study_uid,
                                                           std::uint64_t version) const {
    return as_version(select_row<VersionColumns>(transaction, row_key_,
                                                 "WHERE t.study_uid = :uid AND t.version = :version ORDER BY t.created_ms DESC LIMIT 1",
                                                 {study_uid.text(), std::to_string(version)}));
}

Result<std::optional<StudyVersionRow>> Index::latest_version(database::Transaction& transaction, const Uid& study_uid) const {
    // After an erasure the same exam begins again at version 1, under another study key: the newest of the newest.
    FID_TRY(const auto found, select_rows<VersionColumns>(transaction, row_key_, "WHERE t.study_uid = :uid", {study_uid.text()}));
    if (found.empty()) return std::optional<StudyVersionRow>();
    const auto newest =
        std::max_element(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.created_ms < b.created_ms; });
    const VersionColumns* last = nullptr;
    for (const auto& one : found) {
        if (one.study_key == newest->study_key && (last == nullptr || one.version > last->version)) last = &one;
    }
    FID_TRY(auto row, version_row(*last));
    if (row.record.reasons & evidence::kReasonErased) {
        FID_TRY(const auto study, select_row<StudyColumns>(transaction, row_key_, "WHERE t.study_uid = :uid", {study_uid.text()}));
        if (study) return std::optional<StudyVersionRow>();  // it came back, with new secrets and no version yet
    }
    return std::optional<StudyVersionRow>(std::move(row));
}

Result<std::vector<StudyVersionRow>> Index::versions_of(database::Transaction& transaction, const Uid& study_uid) const {
    FID_TRY(const auto found, select_rows<VersionColumns>(transaction, row_key_,
                                                          "WHERE t.study_uid = :uid ORDER BY t.created_ms, t.version", {study_uid.text()}));
    std::vector<StudyVersionRow> rows;
    for (const auto& columns : found) {
        FID_TRY(auto row, version_row(columns));
        rows.push_back(std::move(row));
    }
    return rows;
}

Result<std::optional<StudyVersionRow>> Index::find_version_by_record(database::Transaction& transaction, const Hash& record) const {
    return as_version(select_row<VersionColumns>(transaction, row_key_, "WHERE t.record_hash = :hash", {to_hex(record)}));
}

namespace {

/// Reads a statement that gives UIDs into `uid` to its end.
Result<std::vector<Uid>> uids_of(Statement& select, const std::string& uid) {
    std::vector<Uid> uids;
    while (true) {
        FID_TRY(const bool more, select.next());
        if (!more) return uids;
        FID_TRY(auto parsed, uid_of(uid));
        uids.push_back(std::move(parsed));
    }
}

}  // namespace

Result<std::vector<Uid>> Index::studies_without_version(database::Transaction& transaction, std::uint64_t changed_before_ms,
                                                        std::uint64_t now_ms, std::uint32_t limit) const {
    std::string uid;
    std::string before = std::to_string(changed_before_ms);
    std::string now = std::to_string(now_ms);
    // A version whose revision is not known (0: the index was made again) covers nothing until its study was looked at.
    Statement select(transaction,
                     "SELECT s.study_uid FROM studies s WHERE s.patient <> 0 AND "
                     "(s.changed_ms < CAST(:before AS INTEGER) OR s.changed_ms > CAST(:now AS INTEGER)) AND NOT EXISTS ("
                     "SELECT 1 FROM study_versions v WHERE v.study_uid = s.study_uid AND v.reasons < 16 AND v.study_revision >= s.revision "
                     "AND v.study_revision > 0)"
                     " ORDER BY s.changed_ms, s.study_uid LIMIT " +
                         std::to_string(limit));
    select.in(before).in(now).out(uid);
    FID_CHECK(select.run());
    return uids_of(select, uid);
}

Result<std::vector<Uid>> Index::studies_with_unnamed_manifests(database::Transaction& transaction) const {
    std::string uid;
    Statement select(transaction,
                     "SELECT DISTINCT s.study_uid FROM objects o JOIN studies s ON s.id = o.study WHERE o.kind = " +
                         std::to_string(static_cast<int>(ObjectKind::manifest)) + " AND o.state <> " +
                         std::to_string(static_cast<int>(ObjectState::torn)) +
                         " AND NOT EXISTS (SELECT 1 FROM study_versions v WHERE v.manifest = o.object_id) ORDER BY s.study_uid");
    select.out(uid);
    FID_CHECK(select.run());
    return uids_of(select, uid);
}

}  // namespace fiducial::store
