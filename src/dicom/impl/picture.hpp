#pragma once
#include <cstdint>

#include "base/bytes.hpp"
#include "dicom/rendering.hpp"

namespace fiducial::dicom::impl {

/// 8 bits a sample, grey or RGB by pixel.
struct Picture {
    std::uint32_t rows = 0, columns = 0;
    std::uint32_t channels = 1;
    Bytes samples;
};

/// Cuts the part out, mirrors it and scales it to fit. Made smaller, each pixel is the mean of those it stands for; made larger, it lies
/// between its neighbours. Errors: invalid_argument where the part lies outside the image.
Result<Picture> fit_into(const Picture& picture, const Viewport& viewport);

/// Spec: ITU-T T.81, baseline. Errors: internal.
Result<Bytes> encode_jpeg(const Picture& picture, unsigned quality);
/// Spec: ISO/IEC 15948. Errors: internal.
Result<Bytes> encode_png(const Picture& picture);

}  // namespace fiducial::dicom::impl
