#pragma once
#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"
#include "dicom/pixel_description.hpp"

namespace fiducial::dicom {

/// A picture in memory, by rows from the top: one byte a pixel where it is grey, three (red, green, blue) else.
struct Raster {
    std::uint32_t rows = 0, columns = 0;
    std::uint32_t channels = 1;
    Bytes samples;
};

/// One frame for machines to look at: values mapped as for eyes (PS3.3 §C.11.1, §C.11.2), padding black, no overlays drawn. Eight stored
/// bits that no window maps stay as they are. Colours are taken only where they are greys written as colours.
/// Errors: those of render_frame(); unsupported: a picture in colours
/// Threads: safe
Result<Raster> grey_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame);

/// Spec: ISO/IEC 15948. Errors: internal.
Result<Bytes> png_of(const Raster& raster);

}  // namespace fiducial::dicom
