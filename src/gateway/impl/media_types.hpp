#pragma once
#include <string_view>

namespace fiducial::gateway::impl {

inline constexpr std::string_view kOctets = "application/octet-stream";

/// The media type of pixel data in a transfer syntax; octets where it is native. Spec: PS3.18 table 8.7.3-5.
std::string_view media_of(std::string_view transfer_syntax);

/// The transfer syntax of bulk data of a media type that names none. Spec: PS3.18 tables 8.7.3-4, 8.7.3-5. Empty for another one.
std::string_view default_syntax_of(std::string_view media_type);

}  // namespace fiducial::gateway::impl
