#pragma once
#include <cstdint>

#include "base/bytes.hpp"

namespace fiducial::dicom::impl {

struct DecodedImage {
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::uint8_t samples = 1;  // 1 grey, 3 RGB by pixel
    std::uint8_t bits = 8;     // 8, or 16 little-endian for grey
    Bytes pixels;              // with room for a data set's head, so that it can be put before them without a second copy
};
inline constexpr std::size_t kRoomForHead = 64u << 10;  // bytes

/// Decodes a JPEG file of 1, 3 or 4 components (CMYK is turned into RGB) with 8 bits.
/// Requires: the header was read and accepted. Errors: malformed, limit_exceeded.
Result<DecodedImage> decode_jpeg(ByteView file, std::uint64_t max_pixels);
/// Decodes a PNG file. Errors: malformed, limit_exceeded.
Result<DecodedImage> decode_png(ByteView file, std::uint64_t max_pixels);

}  // namespace fiducial::dicom::impl
