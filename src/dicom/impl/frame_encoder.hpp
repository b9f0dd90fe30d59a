#pragma once
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "dicom/pixel_description.hpp"
#include "dicom/transcoding.hpp"

namespace fiducial::dicom::impl {

/// Whether encode_frame() makes it.
bool is_encoded(std::string_view transfer_syntax);

/// Photometric Interpretation of a native image once encode_frame() has compressed it.
std::string encoded_photometric(std::string_view native, std::string_view transfer_syntax);

/// A frame as a native data set holds it, compressed so that exactly its values come back: JPEG-LS (CharLS), JPEG 2000 (OpenJPEG) and HTJ2K
/// (OpenJPH), RGB with the reversible colour transformation in the latter two.
/// Spec:     PS3.5 §8.2.3, §8.2.4, §8.2.15
/// Requires: `frame` is of the size that native_frame_bytes() says.
/// Errors:   unsupported: no values of 2 to 16 bits in 8 or 16, other colours than RGB and YBR_FULL, or something in the bits beyond those
///           stored, which would be lost.
Result<Bytes> encode_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame);

}  // namespace fiducial::dicom::impl
