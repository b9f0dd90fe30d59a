#include "gateway/impl/qido_request.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>

#include "dicom/matching.hpp"
#include "dicom/query_retrieve.hpp"
#include "dicom/timezone.hpp"

namespace fiducial::gateway::impl {
namespace {

using dicom::QueryLevel;
using dicom::Tag;
namespace tags = dicom::tags;

constexpr std::size_t kMostKeys = 128;
constexpr std::size_t kMostNamed = 16;  // ignored parameters in a warning

// What is always given, of each level. Spec: PS3.18 tables 10.6.3-3, 10.6.3-4, 10.6.3-5.
constexpr std::array kOfStudies = {tags::kSpecificCharacterSet,
                                   tags::kStudyDate,
                                   tags::kStudyTime,
                                   tags::kAccessionNumber,
                                   tags::kInstanceAvailability,
                                   tags::kModalitiesInStudy,
                                   tags::kReferringPhysicianName,
                                   tags::kTimezoneOffsetFromUtc,
                                   tags::kPatientName,
                                   tags::kPatientId,
                                   tags::kPatientBirthDate,
                                   tags::kPatientSex,
                                   tags::kStudyInstanceUid,
                                   tags::kStudyId,
                                   tags::kStudyRelatedSeries,
                                   tags::kStudyRelatedInstances};
constexpr std::array kOfSeries = {tags::kSpecificCharacterSet,
                                  tags::kModality,
                                  tags::kTimezoneOffsetFromUtc,
                                  tags::kSeriesDescription,
                                  tags::kStudyInstanceUid,
                                  tags::kSeriesInstanceUid,
                                  tags::kSeriesNumber,
                                  tags::kSeriesRelatedInstances,
                                  Tag{0x00400244},   // Performed Procedure Step Start Date
                                  Tag{0x00400245},   // … Time
                                  Tag{0x00400009},   // Request Attributes Sequence: Scheduled Procedure Step ID,
                                  Tag{0x00401001}};  // Requested Procedure ID
constexpr std::array kOfInstances = {tags::kSpecificCharacterSet,
                                     tags::kSopClassUid,
                                     tags::kSopInstanceUid,
                                     tags::kInstanceAvailability,
                                     tags::kTimezoneOffsetFromUtc,
                                     tags::kStudyInstanceUid,
                                     tags::kSeriesInstanceUid,
                                     tags::kInstanceNumber,
                                     tags::kRows,
                                     tags::kColumns,
                                     Tag{0x00280100},  // Bits Allocated
                                     tags::kNumberOfFrames};
// Given only where there is something: the tables say "if known", "if multi-frame".
constexpr std::array kWhereKnown = {tags::kTimezoneOffsetFromUtc,
                                    tags::kSeriesDescription,
                                    Tag{0x00400244},
                                    Tag{0x00400245},
                                    Tag{0x00400009},
                                    Tag{0x00401001},
                                    tags::kRows,
                                    tags::kColumns,
                                    Tag{0x00280100},
                                    tags::kNumberOfFrames};

// Parameters that are no attributes. What accept and charset say is the door's business.
constexpr std::array<std::string_view, 4> kOthers = {"accept", "charset", "emptyvaluematching", "multiplevaluematching"};

std::string shown(std::string_view name) {
    std::string out;
    for (const char c : name.substr(0, 64)) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_';
        out += plain ? c : '?';
    }
    return out;
}

/// The attribute that a parameter names: a keyword, a tag, or one in Request Attributes Sequence behind that and a dot.
std::optional<Tag> attribute_of(std::string_view name) {
    const auto dot = name.find('.');
    if (dot == std::string_view::npos) return dicom::parse_tag(name);
    if (dicom::parse_tag(name.substr(0, dot)) != tags::kRequestAttributesSequence) return std::nullopt;
    const auto tag = dicom::parse_tag(name.substr(dot + 1));
    if (!tag || !dicom::describe_query_attribute(*tag).in_request) return std::nullopt;
    return tag;
}

Result<std::uint64_t> number_of(std::string_view name, std::string_view text, std::uint64_t most) {
    std::uint64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || problem == std::errc::invalid_argument || end != text.data() + text.size())
        return fail(ErrorCode::malformed, std::string(name) + ": wanted is a number");
    if (problem == std::errc::result_out_of_range) return most;
    return std::min(value, most);
}

void note_ignored(QidoRequest& request, std::string_view name) {
    if (request.ignored.size() < kMostNamed) request.ignored.push_back(shown(name));
}

void add_include(QidoRequest& request, std::string_view list) {
    while (true) {
        const auto end = list.find(',');
        const auto name = list.substr(0, end);
        if (name == "all") {
            request.include_all = true;
        } else if (const auto tag = attribute_of(name)) {
            if (*tag == tags::kRequestAttributesSequence)
                request.include.insert(request.include.end(), {Tag{0x00400009}, Tag{0x00401001}});
            else
                request.include.push_back(*tag);
        } else {
            note_ignored(request, name);
        }
        if (end == std::string_view::npos) return;
        list.remove_prefix(end + 1);
    }
}

template <typename Tags>
bool contains(const Tags& all, Tag tag) {
    return std::find(all.begin(), all.end(), tag) != all.end();
}

}  // namespace

Result<QidoRequest> read_qido_request(const net::Query& parameters, QueryLevel level, const std::string& study_uid,
                                      const std::string& series_uid) {
    QidoRequest request;
    request.query.level = level;
    request.query.combined_date_time = true;  // PS3.18 §8.3.4.1
    request.limit = kMostResults;
    request.from_level = series_uid.empty() ? study_uid.empty() ? QueryLevel::study : QueryLevel::series : QueryLevel::instance;
    std::set<std::string_view> seen;
    for (const auto& [name, value] : parameters) {
        if (name == "includefield") {
            add_include(request, value);
            continue;
        }
        if (std::find(kOthers.begin(), kOthers.end(), name) != kOthers.end()) continue;
        if (!seen.insert(name).second) return fail(ErrorCode::malformed, shown(name) + ": given twice");
        if (name == "limit") {
            FID_TRY(request.limit, number_of(name, value, kMostResults));
        } else if (name == "offset") {
            FID_TRY(request.query.offset, number_of(name, value, kMostSkipped));
        } else if (name == "fuzzymatching") {
            if (value != "true" && value != "false") return fail(ErrorCode::malformed, "fuzzymatching: wanted is true or false");
            request.query.fuzzy_names = value == "true";
        } else if (const auto tag = attribute_of(name); tag == tags::kTimezoneOffsetFromUtc && !value.empty()) {
            request.query.utc_offset = dicom::parse_utc_offset(value);
            if (!request.query.utc_offset)
                return fail(ErrorCode::malformed, shown(name) + ": wanted is +HHMM or -HHMM, where an address writes + as %2B");
            request.include.push_back(*tag);
        } else if (tag) {
            if (request.query.keys.size() == kMostKeys)
                return fail(ErrorCode::malformed, "a query has at most " + std::to_string(kMostKeys) + " keys");
            request.query.keys.push_back({*tag, value});
            request.include.push_back(*tag);
        } else {
            note_ignored(request, name);
        }
    }
    if (!study_uid.empty()) request.query.keys.push_back({tags::kStudyInstanceUid, study_uid});
    if (!series_uid.empty()) request.query.keys.push_back({tags::kSeriesInstanceUid, series_uid});
    return request;
}

dicom::Attributes select_attributes(const QidoRequest& request, const dicom::Attributes& row) {
    const auto level = request.query.level;
    const auto wanted = [&](Tag tag) {
        if (request.from_level <= QueryLevel::study && contains(kOfStudies, tag)) return true;
        if (level >= QueryLevel::series && request.from_level <= QueryLevel::series && contains(kOfSeries, tag)) return true;
        if (level == QueryLevel::instance && contains(kOfInstances, tag)) return true;
        if (contains(request.include, tag)) return true;
        const auto of = dicom::describe_query_attribute(tag).level;
        return request.include_all && of <= level && (of >= request.from_level || request.from_level <= QueryLevel::study);
    };
    dicom::Attributes out;
    for (const auto& [tag, values] : row) {
        if (wanted(tag)) out.set(tag, values);
    }
    // What is asked for and known to be missing is given, empty.
    const auto fill = [&](const auto& always) {
        for (const auto tag : always) {
            if (!out.has(tag) && !contains(kWhereKnown, tag)) out.set(tag, {});
        }
    };
    if (request.from_level <= QueryLevel::study) fill(kOfStudies);
    if (level >= QueryLevel::series && request.from_level <= QueryLevel::series) fill(kOfSeries);
    if (level == QueryLevel::instance) fill(kOfInstances);
    return out;
}

}  // namespace fiducial::gateway::impl
