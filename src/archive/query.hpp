#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "dicom/attributes.hpp"

namespace fiducial::archive {

/// What a list is asked for: C-FIND and QIDO-RS alike. The keys all have to fit; what they may hold, dicom::Matcher says.
struct Query {
    struct Key {
        dicom::Tag tag = 0;
        std::string value;  // empty: universal
    };
    dicom::QueryLevel level = dicom::QueryLevel::study;
    std::vector<Key> keys;            // of this level and those above, by whatever way they came: UIDs of a path are keys like others
    bool fuzzy_names = false;         // see dicom::Matcher::compile
    bool combined_date_time = false;  // a range of dates and one of times are one of moments
    std::optional<std::chrono::minutes> utc_offset;  // the timezone of the keys' dates and times; none: each row's own
    std::uint64_t offset = 0;                        // rows that are left out at the beginning
};

/// A list, as far as the requester may see it. What is denied is not in it and counts nowhere.
/// Order:   studies by date, newest first, then by UID, descending; in them series by Series Number, then UID; in them instances by
///          Instance Number, then UID. Patients as their newest study comes.
/// Threads: one at a time.
class QueryAnswer {
public:
    virtual ~QueryAnswer() = default;
    /// The next rows. Each holds what is indexed of its level and of those above, and what is counted (dicom::computed_query_attributes(),
    /// Instance Availability); of a request's sequence (QueryAttribute::in_request) the first item, flat.
    /// Its trace entries are durable when this returns: one for each patient shown, and another one once that was not of all the studies
    /// shown; or one without a patient where the whole list is empty.
    /// Returns: most rows, fewer only at the end. Errors: unavailable; corrupt.
    virtual Result<std::vector<dicom::Attributes>> next(std::size_t most) = 0;
    /// Whether next() would give a row.
    virtual Result<bool> has_more() = 0;
    /// Keys that were let pass: of attributes that are not indexed, or of a lower level.
    virtual const std::vector<dicom::Tag>& ignored() const = 0;
};

}  // namespace fiducial::archive
