#pragma once
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace fiducial::app {

/// What the QR code of a trust file says: "FIDUCIAL:TRUST:1:" and its SHA-256 in upper-case hex. Spec: docs/formats/trust_file.md
std::string trust_file_code(const Hash& sha256);

/// A QR code for the screen: two rows of modules a line, the light ones drawn, as terminals with light text on dark want it.
/// Spec: ISO/IEC 18004, error correction level M, with its quiet zone of four modules. Requires: at most 1,000 bytes.
std::string qr_for_terminal(std::string_view text);
/// The same for paper: an SVG image that is black on white.
std::string qr_as_svg(std::string_view text);

}  // namespace fiducial::app
