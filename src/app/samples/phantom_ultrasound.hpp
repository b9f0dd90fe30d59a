#pragma once
#include <cstdint>

#include "base/bytes.hpp"

namespace fiducial::app::samples {

/// A synthetic ultrasound cine: a sector with speckle and a chamber that beats.
struct UltrasoundPhantom {
    std::uint32_t columns = 400;
    std::uint32_t rows = 320;
    std::uint32_t frames = 15;
    std::uint64_t seed = 1;
};

/// Units: frames × rows × columns samples of 8 bits. The same parameters give the same pixels.
Bytes draw_ultrasound(const UltrasoundPhantom& phantom);

}  // namespace fiducial::app::samples
