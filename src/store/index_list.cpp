#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "base/hex.hpp"
#include "store/impl/convert.hpp"
#include "store/index.hpp"

namespace fiducial::store {
namespace {

// Conditions with their values, in the order of their placeholders.
struct Where {
    std::string sql = "WHERE s.patient <> 0";
    std::vector<std::string> values;

    std::string mark(std::string value) {
        values.push_back(std::move(value));
        return ":w" + std::to_string(values.size());
    }
    void add(const std::string& condition) { sql += " AND " + condition; }
    // Single value, or with the wildcards * and ?. A prefix is asked for as a range, so that an ordinary index serves it in any collation.
    void text(const std::string& column, const std::string& wanted) {
        if (wanted.empty() || wanted == "*") return;
        const auto wild = wanted.find_first_of("*?");
        if (wild == std::string::npos) return add(column + " = " + mark(wanted));
        if (wild > 0) {
            const auto low = wanted.substr(0, wild);
            add(column + " >= " + mark(low));
            add(column + " < " + mark(low + "\xf4\x8f\xbf\xbf"));
            if (wild + 1 == wanted.size() && wanted[wild] == '*') return;
        }
        std::string like;
        for (const char c : wanted) {
            if (c == '*')
                like += '%';
            else if (c == '?')
                like += '_';
            else {
                if (c == '%' || c == '_' || c == '!') like += '!';
                like += c;
            }
        }
        add(column + " LIKE " + mark(like) + " ESCAPE '!'");
    }
    void one_of(const std::string& column, const std::vector<std::string>& wanted) {
        if (wanted.empty()) return;
        std::string list;
        for (const auto& value : wanted) list += (list.empty() ? "" : ", ") + mark(value);
        add(column + " IN (" + list + ")");
    }
    void range(const std::string& column, const std::string& from, const std::string& to) {
        if (!from.empty()) add(column + " >= " + mark(from));
        if (!to.empty()) add(column + " <= " + mark(to));
        if (from.empty() && !to.empty()) add(column + " <> ''");  // no date is no early date
    }
};

bool matches_wildcards(std::string_view text, std::string_view pattern) {
    std::size_t t = 0, p = 0, star = std::string_view::npos, back = 0;
    while (t < text.size()) {
        if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++t, ++p;
        } else if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            back = t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++back;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

bool matches_range(const std::optional<std::string>& value, const std::string& wanted,
                   std::optional<std::string> (*normalise)(std::string_view)) {
    if (!value) return false;
    const auto dash = wanted.find('-');
    if (dash == std::string::npos) return *value == normalise(wanted).value_or(wanted);
    const auto from = normalise(wanted.substr(0, dash));
    const auto to = normalise(wanted.substr(dash + 1));
    return (!from || *value >= *from) && (!to || *value <= *to);
}

bool matches(dicom::Tag tag, const std::string& value, const std::string& wanted) {
    const auto* known = dicom::find_query_attribute(tag);
    switch (known != nullptr ? known->matching : dicom::Matching::text) {
        case dicom::Matching::exact: return matches_wildcards(value, wanted);
        case dicom::Matching::uid: return value == wanted;
        case dicom::Matching::text: return matches_wildcards(dicom::normalise_text(value), dicom::normalise_text(wanted));
        case dicom::Matching::person_name:
            return matches_wildcards(dicom::normalise_person_name(value), dicom::normalise_person_name(wanted));
        case dicom::Matching::date: return matches_range(dicom::normalise_date(value), wanted, dicom::normalise_date);
        case dicom::Matching::time: return matches_range(dicom::normalise_time(value), wanted, dicom::normalise_time);
        case dicom::Matching::number: return std::strtoll(value.c_str(), nullptr, 10) == std::strtoll(wanted.c_str(), nullptr, 10);
    }
    return false;
}

bool any_matches(const dicom::Attributes& attributes, dicom::Tag tag, const std::string& wanted) {
    const auto values = attributes.all(tag);
    return std::any_of(values.begin(), values.end(), [&](const std::string& value) { return matches(tag, value, wanted); });
}

struct StudyAndPatient {
    StudyColumns study;
    PatientColumns patient;
};

Where where_of(const StudyFilter& filter) {
    Where where;
    where.text("p.patient_id", filter.patient_id);
    where.text("p.issuer", filter.issuer);
    where.text("p.name_normal", dicom::normalise_person_name(filter.patient_name));
    where.text("s.accession_number", filter.accession_number);
    where.text("s.description_normal", dicom::normalise_text(filter.study_description));
    where.text("s.study_id", filter.study_id);
    where.text("s.referring_normal", dicom::normalise_person_name(filter.referring_physician));
    where.one_of("s.study_uid", filter.study_uids);
    where.range("s.date", filter.date_from, filter.date_to);
    where.range("s.time", filter.time_from, filter.time_to);
    if (!filter.modalities.empty()) {
        std::string list;
        for (const auto& modality : filter.modalities) list += (list.empty() ? "" : ", ") + where.mark(modality);
        where.add("EXISTS (SELECT 1 FROM series e WHERE e.study = s.id AND e.modality IN (" + list + "))");
    }
    return where;
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

Result<StudyPage> Index::list_studies(database::Transaction& transaction, const StudyFilter& filter, const std::string& cursor,
                                      std::uint32_t limit) const {
    if (limit < 1 || limit > 1000) return fail(ErrorCode::invalid_argument, "a page has 1 to 1000 studies, not " + std::to_string(limit));
    StudyPage page;
    std::string place = cursor;
    // Attributes without a column of their own are looked at here, so that a page may take several rounds.
    while (true) {
        auto where = where_of(filter);
        if (!place.empty()) {
            const auto slash = place.find('/');
            if (slash == std::string::npos) return fail(ErrorCode::invalid_argument, "that is no place in a list of studies");
            const auto date = where.mark(place.substr(0, slash));
            where.add("(s.date, s.study_uid) < (" + date + ", " + where.mark(place.substr(slash + 1)) + ")");
        }
        const std::uint32_t wanted = limit + 1;
        StudyAndPatient row;
        Statement select(transaction, "SELECT " + column_list<StudyColumns>("s") + ", " + column_list<PatientColumns>("p") +
                                          " FROM studies s JOIN patients p ON p.id = s.patient " + where.sql +
                                          " ORDER BY s.date DESC, s.study_uid DESC LIMIT " + std::to_string(wanted));
        for (auto& value : where.values) select.in(value);
        bind_out(select, row.study);
        bind_out(select, row.patient);
        FID_CHECK(select.run());
        std::uint32_t seen = 0;
        bool full = false;
        while (!full) {
            FID_TRY(const bool more, select.next());
            if (!more) break;
            if (page.studies.size() == limit) {
                full = true;
                break;
            }
            ++seen;
            FID_CHECK(check_mac(row_key_, row.study));
            FID_CHECK(check_mac(row_key_, row.patient));
            place = row.study.date + "/" + row.study.study_uid;
            if (!filter.other.empty()) {
                dicom::Attributes attributes;
                FID_CHECK(add_attributes(attributes, row.patient.attributes));
                FID_CHECK(add_attributes(attributes, row.study.attributes));
                const bool fits = std::all_of(filter.other.begin(), filter.other.end(),
                                              [&](const auto& item) { return any_matches(attributes, item.first, item.second); });
                if (!fits) continue;
            }
            FID_TRY(auto study, study_row(row.study, row.patient));
            page.studies.push_back(std::move(study));
        }
        if (full) page.next = place;
        if (full || seen < wanted) break;
    }

    for (auto& study : page.studies) FID_CHECK(add_series_facts(transaction, row_key_, study));
    return page;
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
                         std::to_string(static_cast<int>(ObjectKind::manifest)) +
                         " AND NOT EXISTS (SELECT 1 FROM study_versions v WHERE v.manifest = o.object_id) ORDER BY s.study_uid");
    select.out(uid);
    FID_CHECK(select.run());
    return uids_of(select, uid);
}

}  // namespace fiducial::store
