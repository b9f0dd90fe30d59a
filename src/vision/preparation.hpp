#pragma once
#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "dicom/grey_frame.hpp"

namespace fiducial::vision {

inline constexpr std::uint32_t kStretchedSide = 224;  // that films are trained from
inline constexpr std::uint32_t kSide = 160;           // that the network takes

/// What the network sees of a film: stretched to 224 × 224, then to 160 × 160, each by area; then windowed between the percentiles 1
/// and 99. Bit for bit what ml/preparation.py makes. Requires: a grey raster with pixels. Units: kSide rows of kSide bytes.
Bytes prepare(const dicom::Raster& film);

/// The first of these steps alone: what training keeps of a film.
dicom::Raster stretched(const dicom::Raster& film, std::uint32_t side);

/// Spreads what lies between the percentiles over all greys. One value only: black.
void window_by_percentiles(MutableByteView samples);

}  // namespace fiducial::vision
