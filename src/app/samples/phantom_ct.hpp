#pragma once
#include <cstdint>
#include <vector>

namespace fiducial::app::samples {

/// A synthetic CT of a chest: axial slices of an analytic body with lungs, heart, great vessels, spine and ribs.
struct CtPhantom {
    std::uint32_t size = 512;  // rows and columns
    std::uint32_t slices = 64;
    double pixel_mm = 0.74;
    double slice_mm = 4.0;
    std::uint64_t seed = 1;
    bool nodule = false;  // a round lesion in the right upper lobe
};

inline constexpr int kCtIntercept = -1024;  // Hounsfield units = stored value + intercept

/// Units: size × size stored values of slice 0 (feet) to slices - 1 (head). The same parameters give the same values.
std::vector<std::uint16_t> draw_ct_slice(const CtPhantom& phantom, std::uint32_t slice);

}  // namespace fiducial::app::samples
