#pragma once
#include <cstdint>

#include "base/bytes.hpp"

namespace fiducial::dicom::impl {

enum class JpegProcess : std::uint8_t { baseline, extended, progressive, other };
enum class JpegColour : std::uint8_t { grey, ycc, rgb, cmyk };

/// What a JPEG file says about itself, without decoding it.
struct JpegHeader {
    JpegProcess process = JpegProcess::other;
    JpegColour colour = JpegColour::grey;
    std::uint16_t rows = 0;
    std::uint16_t columns = 0;
    std::uint8_t precision = 0;
    std::uint8_t components = 0;
    std::uint32_t scans = 0;
    bool clean_end = false;  // nothing but zeros after the end marker
};

/// Walks over the markers of a JPEG file. Never reads past its end; time is linear in its size.
/// Spec: ITU-T T.81 Annex B.
/// Errors: malformed with the offset; limit_exceeded beyond 200 scans.
Result<JpegHeader> read_jpeg_header(ByteView file);

}  // namespace fiducial::dicom::impl
