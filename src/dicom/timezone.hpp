#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

// Dates and times in another timezone than the one in which they were written.
namespace fiducial::dicom {

/// Timezone Offset From UTC (0008,0201), &ZZXX: "+0100", "-0330". Spec: PS3.3 §C.12.1.1.8; from -1200 to +1400, PS3.5 §6.2
/// Returns: minutes east of UTC; nothing for anything else.
std::optional<std::chrono::minutes> parse_utc_offset(std::string_view text);

/// A DA with its TM, in the forms of normalise_date and normalise_time.
struct LocalDateTime {
    std::string date;  // YYYYMMDD
    std::string time;  // HHMMSS.FFFFFF
};
/// The same moment on a clock that is that much ahead. What is no date of the calendar stays as it is.
LocalDateTime moved(const LocalDateTime& at, std::chrono::minutes ahead);
/// How far this machine's clocks are ahead of UTC at that date and time.
std::chrono::minutes local_utc_offset(const LocalDateTime& at);

}  // namespace fiducial::dicom
