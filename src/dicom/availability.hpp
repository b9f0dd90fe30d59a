#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

// The Instance Availability Notification service class. Spec: PS3.4 Annex R.
namespace fiducial::dicom {

inline constexpr std::string_view kInstanceAvailabilitySopClass = "1.2.840.10008.5.1.4.33";
inline constexpr std::string_view kOnline = "ONLINE", kNearline = "NEARLINE";  // of Instance Availability (0008,0056)

struct AvailableInstance {
    std::string series_uid, sop_class, sop_instance;
    std::string availability;       // a defined term of (0008,0056): ONLINE, NEARLINE, OFFLINE, UNAVAILABLE
    std::string retrieve_ae_title;  // from whom it is fetched
};

/// What an N-CREATE says: which instances of a study are where.
struct Availability {
    std::string study_uid;
    std::vector<AvailableInstance> instances;  // those of a series stand together
};

/// Spec: PS3.4 table R.3.2-1. Errors: malformed: an attribute of type 1 is missing or is none; unsupported (transfer syntax);
/// limit_exceeded: more than kMostIdentifierBytes
Result<Availability> decode_availability(ByteView data_set, std::string_view transfer_syntax);

/// Requires: transfer_syntax is Explicit or Implicit VR Little Endian
Bytes encode_availability(const Availability& availability, std::string_view transfer_syntax);

}  // namespace fiducial::dicom
