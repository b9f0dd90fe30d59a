#pragma once
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "archive/archive.hpp"
#include "archive/overlays.hpp"
#include "base/json.hpp"

namespace fiducial::archive {

/// Why an instance is taken out of its study: what rejection notes say as a code, and "other".
/// Spec: IHE RAD TF-2 4.66.4 (IOCM); DICOM PS3.16 CID 7011.
struct RemovalReason {
    std::string_view name;
    std::string_view dicom_code;  // of the scheme DCM; empty: none
};
std::span<const RemovalReason> removal_reasons();
/// Errors: invalid_argument for a reason that the list lacks, or without words.
Result<void> check_removal_ground(const CorrectionGround& ground);
/// The same of corrections that need no word of a list.
Result<void> check_words(const CorrectionGround& ground);

/// What a Key Object Selection with the title of a rejection note takes out.
struct RejectionNote {
    std::string reason;                                  // of removal_reasons()
    std::string sop_uid;                                 // its own
    std::map<std::string, std::set<std::string>> named;  // SOP Instance UIDs by Study Instance UID
};
inline constexpr std::string_view kKeyObjectSelection = "1.2.840.10008.5.1.4.1.1.88.59";
/// Returns: nothing for a document that is no rejection note. `dicom_json`: as DataSetScanner makes it of a Key Object Selection.
std::optional<RejectionNote> rejection_note_of(std::string_view sop_uid, std::string_view dicom_json);

/// The study that an instance was moved from, by what its manifest says of its source; empty: from none.
Uid moved_from(std::string_view source);

/// While it stands nothing is taken out of its study.
struct Hold {
    store::ObjectRow row;
    std::string text;  // why
};
Result<std::vector<Hold>> holds_of(database::Transaction& transaction, store::Store& store, const Uid& study_uid);
Result<Hold> read_hold(const store::Store& store, store::ObjectRow row);
boost::json::array shown_holds(std::span<const Hold> holds);

/// Days since 1970 up to which a study is kept whatever happens. Requires: date is YYYYMMDD, or empty.
std::int64_t kept_until_day(std::string_view study_date, std::uint64_t arrival_ms, std::int64_t retention_days);

}  // namespace fiducial::archive
