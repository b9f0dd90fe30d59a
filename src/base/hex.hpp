#pragma once
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace fiducial {

/// Returns: lower-case hex, without prefix.
std::string to_hex(ByteView bytes);
/// Returns: "0x" and lower-case hex.
std::string to_0x(ByteView bytes);

/// Reads hex of either case, with or without "0x".
/// Errors: malformed for an odd length or a character that is not a hex digit; its offset is named.
Result<Bytes> from_hex(std::string_view text);

template <std::size_t N>
Result<std::array<std::uint8_t, N>> fixed_from_hex(std::string_view text, std::string_view what) {
    FID_TRY(auto bytes, from_hex(text));
    return fixed<N>(bytes, what);
}

}  // namespace fiducial
