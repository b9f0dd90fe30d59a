#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "dicom/pixel_description.hpp"

namespace fiducial::dicom::impl {

inline constexpr std::string_view kEncapsulatedUncompressed = "1.2.840.10008.1.2.1.98";
inline constexpr std::string_view kDeflatedImageFrame = "1.2.840.10008.1.2.8.1";

/// One frame's stored values, decoded.
struct RawFrame {
    RawFrame() = default;
    RawFrame(RawFrame&&) = default;  // values stay where they are
    RawFrame& operator=(RawFrame&&) = default;

    Bytes decoded;                  // empty where the frame was native
    ByteView values;                // little-endian, a whole number of bytes each; or bits, the lowest first, where sample_bits is 1
    std::uint32_t sample_bits = 8;  // that a value takes: 1, 8, 16, 32
    std::uint32_t bits_stored = 8, high_bit = 7;
    bool is_signed = false;
    bool is_planar = false;
    bool is_subsampled = false;  // YBR_FULL_422: two pixels share their colour
    std::string photometric;     // as it is now: a decoder may have made RGB of it
};

/// Native, JPEG (8 and 12 bits, lossless), JPEG-LS, JPEG 2000 and HTJ2K, RLE.
/// Nothing is decoded whose own header does not say the size that the instance's header does: memory is bounded by what was checked before.
/// Requires: `frame` lives as long as what is returned.
/// Errors: malformed: damaged, or not of the size the header says; unsupported: a syntax or kind of pixels that is not shown.
/// Security: takes bytes from outside; the decoders are libjpeg, DCMTK's, CharLS, OpenJPEG, and one of our own for RLE
Result<RawFrame> decode_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame);

}  // namespace fiducial::dicom::impl
