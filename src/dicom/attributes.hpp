#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/identifiers.hpp"

namespace fiducial::dicom {

using Tag = std::uint32_t;  // group << 16 | element

constexpr Tag make_tag(std::uint16_t group, std::uint16_t element) {
    return (Tag{group} << 16) | element;
}
constexpr std::uint16_t group_of(Tag tag) {
    return static_cast<std::uint16_t>(tag >> 16);
}
constexpr std::uint16_t element_of(Tag tag) {
    return static_cast<std::uint16_t>(tag & 0xffff);
}

namespace tags {
inline constexpr Tag kTransferSyntaxUid = 0x00020010;
inline constexpr Tag kSpecificCharacterSet = 0x00080005;
inline constexpr Tag kSopClassUid = 0x00080016;
inline constexpr Tag kSopInstanceUid = 0x00080018;
inline constexpr Tag kStudyDate = 0x00080020;
inline constexpr Tag kStudyTime = 0x00080030;
inline constexpr Tag kAccessionNumber = 0x00080050;
inline constexpr Tag kInstanceAvailability = 0x00080056;
inline constexpr Tag kModality = 0x00080060;
inline constexpr Tag kModalitiesInStudy = 0x00080061;
inline constexpr Tag kReferringPhysicianName = 0x00080090;
inline constexpr Tag kStudyDescription = 0x00081030;
inline constexpr Tag kSeriesDescription = 0x0008103e;
inline constexpr Tag kPatientName = 0x00100010;
inline constexpr Tag kPatientId = 0x00100020;
inline constexpr Tag kIssuerOfPatientId = 0x00100021;
inline constexpr Tag kPatientBirthDate = 0x00100030;
inline constexpr Tag kPatientSex = 0x00100040;
inline constexpr Tag kStudyInstanceUid = 0x0020000d;
inline constexpr Tag kSeriesInstanceUid = 0x0020000e;
inline constexpr Tag kStudyId = 0x00200010;
inline constexpr Tag kSeriesNumber = 0x00200011;
inline constexpr Tag kInstanceNumber = 0x00200013;
inline constexpr Tag kStudyRelatedSeries = 0x00201206;
inline constexpr Tag kStudyRelatedInstances = 0x00201208;
inline constexpr Tag kSeriesRelatedInstances = 0x00201209;
inline constexpr Tag kNumberOfFrames = 0x00280008;
inline constexpr Tag kRows = 0x00280010;
inline constexpr Tag kColumns = 0x00280011;
inline constexpr Tag kRequestAttributesSequence = 0x00400275;
inline constexpr Tag kFloatPixelData = 0x7fe00008;
inline constexpr Tag kDoubleFloatPixelData = 0x7fe00009;
inline constexpr Tag kPixelData = 0x7fe00010;
}  // namespace tags

/// "00100020", as DICOM JSON writes it.
std::string tag_text(Tag tag);
/// "(0010,0020)", as people write it.
std::string tag_name(Tag tag);
/// Reads "00100020", "(0010,0020)", "0010,0020" or a keyword of the data dictionary ("PatientID").
std::optional<Tag> parse_tag(std::string_view text);
/// Keyword of the data dictionary; empty for a tag that is not in it.
std::string keyword_of(Tag tag);
/// Value representation of the data dictionary, "UN" for a tag that is not in it. Ambiguous ones: "OW" (pixel data, LUTs), "US".
std::string_view dictionary_vr(Tag tag);

/// Top-level attributes of a data set as text in UTF-8: one string a value, padding removed, numbers in decimal.
/// Empty attributes are present with no values. Sequences and bulk values are not in here.
class Attributes {
public:
    using Map = std::map<Tag, std::vector<std::string>>;
    bool has(Tag tag) const { return values_.contains(tag); }
    /// Returns: the values, none where the attribute is absent or empty.
    std::span<const std::string> all(Tag tag) const;
    /// Returns: the first value, empty where there is none.
    const std::string& first(Tag tag) const;
    /// Returns: the values joined by backslash, as DICOM writes them.
    std::string joined(Tag tag) const;
    void set(Tag tag, std::vector<std::string> values) { values_.insert_or_assign(tag, std::move(values)); }
    void erase(Tag tag) { values_.erase(tag); }
    bool empty() const { return values_.empty(); }
    std::size_t size() const { return values_.size(); }
    Map::const_iterator begin() const { return values_.begin(); }
    Map::const_iterator end() const { return values_.end(); }

private:
    Map values_;
};

enum class QueryLevel : std::uint8_t { patient, study, series, instance };

/// How an attribute is compared when it is asked for.
enum class Matching : std::uint8_t {
    exact,        // code strings, identifiers: single value, list, wildcard where the VR permits
    uid,          // single value or list
    text,         // wildcard, without regard to case
    person_name,  // wildcard on normalised component groups
    date,         // range
    time,         // range
    number,       // exact, as integer
};

/// One row of the table that the index is made from.
struct QueryAttribute {
    Tag tag;
    std::string_view keyword;
    std::string_view vr;
    QueryLevel level;
    Matching matching;
    bool multiple;      // may have several values
    bool required_key;  // required or unique key of PS3.4 C.6.2, or mandatory in PS3.18 10.6.1.2.3
    bool in_request;    // stands in Request Attributes Sequence (0040,0275); Attributes holds the first item's value
};

/// Spec: PS3.4 Tables C.6-1 to C.6-5 (study root and patient root), PS3.18 Tables 10.6.1-5 and 10.6.3-3 to -5.
/// Returns: rows in order of level, then tag. Computed ones (numbers of related instances, modalities in study) are not in it.
std::span<const QueryAttribute> query_attributes();
const QueryAttribute* find_query_attribute(Tag tag);

/// A person's name taken apart. Spec: PS3.5 §6.2.1.
struct PersonName {
    std::string alphabetic;
    std::string ideographic;
    std::string phonetic;
};
/// Component groups without outer spaces and empty components at their ends.
PersonName split_person_name(std::string_view value);

/// Form in which names are compared: case folded (Latin, Greek, Cyrillic, with the common accents taken off), component
/// delimiters turned to single spaces, outer and double spaces gone, component groups kept apart by '='.
/// Requires: UTF-8. Wildcards (* ?) stay as they are.
std::string normalise_person_name(std::string_view value);
/// The same folding for other text (descriptions); '^' and '=' stay.
std::string normalise_text(std::string_view value);
/// Returns: "YYYYMMDD" for DA, also in the old form YYYY.MM.DD; nothing for what is not a date.
std::optional<std::string> normalise_date(std::string_view value);
/// Returns: "HHMMSS.FFFFFF" for TM, short and old forms (HH:MM:SS) filled up with zeros; nothing for what is not a time.
std::optional<std::string> normalise_time(std::string_view value);
/// Returns: the first characters that form a DA and a TM out of a DT value.
std::optional<std::string> date_of_date_time(std::string_view value);

}  // namespace fiducial::dicom
