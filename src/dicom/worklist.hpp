#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "base/result.hpp"
#include "dicom/attributes.hpp"
#include "dicom/identifier.hpp"
#include "dicom/matching.hpp"

// The Modality Worklist. Spec: PS3.4 Annex K
namespace fiducial::dicom {

inline constexpr std::string_view kModalityWorklistFind = "1.2.840.10008.5.1.4.31";

namespace tags {
inline constexpr Tag kScheduledProcedureStepSequence = 0x00400100;
inline constexpr Tag kScheduledStationAeTitle = 0x00400001;
inline constexpr Tag kScheduledStartDate = 0x00400002;
inline constexpr Tag kScheduledStartTime = 0x00400003;
inline constexpr Tag kScheduledPerformingPhysician = 0x00400006;
inline constexpr Tag kScheduledStepDescription = 0x00400007;
inline constexpr Tag kScheduledStepId = 0x00400009;
inline constexpr Tag kScheduledStepStatus = 0x00400020;
inline constexpr Tag kRequestedProcedureCodeSequence = 0x00321064;
inline constexpr Tag kRequestedProcedureDescription = 0x00321060;
inline constexpr Tag kRequestedProcedureId = 0x00401001;
}  // namespace tags

/// One row of the table that entries are made of.
struct WorklistAttribute {
    Tag tag;
    Tag sequence;  // in whose item it stands in a query and its answers; 0: in none
    bool required;
    bool multiple;  // may have several values
};
/// Spec: PS3.4 table K.6-1. Each can be matched and is given out. In order of sequence, then tag.
std::span<const WorklistAttribute> worklist_attributes();
const WorklistAttribute* find_worklist_attribute(Tag tag);

/// An entry, a scheduled procedure step with all that belongs to it, is attributes of the table, flat.
/// Makes one of keywords and values as a file or a form has them (a backslash between several values of one); empty values are left out.
/// Dates may have dashes, times colons. Errors: invalid_argument, naming the keyword and nothing of its value.
using NamedText = std::pair<std::string, std::string>;
Result<Attributes> read_worklist_entry(std::span<const NamedText> fields);
/// Whether what the table requires is there. Errors: invalid_argument, naming what is missing.
Result<void> check_worklist_entry(const Attributes& entry);
/// Lines of a table (RFC 4180, UTF-8) whose first line has keywords. Errors: malformed, invalid_argument, naming line and keyword;
/// limit_exceeded beyond 16 MiB or kMostWorklistEntries.
Result<std::vector<Attributes>> read_worklist_table(std::string_view csv);
inline constexpr std::size_t kMostWorklistEntries = 10'000;
/// The same of a file or a request: such a table, or JSON, an object of keywords and values (several in a list) or a list of such objects.
Result<std::vector<Attributes>> read_worklist(std::string_view text);
/// An entry as such an object.
boost::json::object worklist_entry_json(const Attributes& entry);

/// What is asked of entries; all of it has to fit.
class WorklistCriteria {
public:
    /// Errors: malformed, limit_exceeded (Matcher::compile), naming the keyword.
    Result<void> add(Tag tag, std::string_view value);
    /// A range of start dates and one of times are of the same moments. Spec: PS3.4 §K.6.1.2.2. Requires: after the last add().
    void combine_moments();
    /// An entry that names no station is anybody's.
    bool fit(const Attributes& entry) const;
    /// The start dates asked for, both inclusive, empty where open: what an index may narrow by.
    std::pair<std::string, std::string> dates() const;

private:
    std::vector<Matcher> keys_;
    std::vector<DateTimeMatcher> moments_;
};

/// A C-FIND of the worklist.
struct WorklistRequest {
    WorklistCriteria criteria;
    Identifier asked;          // as it came
    std::vector<Tag> ignored;  // keys that are not in the table
};
/// Errors: malformed, limit_exceeded: a key's value.
Result<WorklistRequest> read_worklist_request(Identifier identifier);
/// What of an entry is given out: the keys that were asked for and are in the table; of a sequence asked for without keys, all.
/// `station`: who asks, for entries that name no station.
Identifier worklist_answer(const WorklistRequest& request, const Attributes& entry, std::string_view station);

}  // namespace fiducial::dicom
