#pragma once
#include <cstdint>
#include <string_view>

// The Modality Performed Procedure Step. Spec: PS3.4 Annex F
namespace fiducial::dicom {

inline constexpr std::string_view kPerformedProcedureStep = "1.2.840.10008.3.1.2.3.3";

/// Of N-CREATE and N-SET. Spec: PS3.7 §10.1.3, §10.1.5, Annex C
namespace status {
inline constexpr std::uint16_t kInvalidAttributeValue = 0x0106;
inline constexpr std::uint16_t kDuplicateSopInstance = 0x0111;
inline constexpr std::uint16_t kNoSuchSopInstance = 0x0112;
inline constexpr std::uint16_t kNoSuchSopClass = 0x0118;
inline constexpr std::uint16_t kMissingAttribute = 0x0120;
inline constexpr std::uint16_t kResourceLimitation = 0x0213;
}  // namespace status

}  // namespace fiducial::dicom
