#pragma once
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace fiducial {

/// Spec: RFC 4648 §4, with padding.
std::string to_base64(ByteView bytes);
/// Errors: malformed for anything but the one encoding of some bytes.
Result<Bytes> from_base64(std::string_view text, std::string_view what);

}  // namespace fiducial
