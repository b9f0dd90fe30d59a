#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "dicom/grey_frame.hpp"

namespace fiducial::vision {

/// A radiograph as greys, and what its header says of it.
struct Film {
    dicom::Raster pixels;     // grey, 8 bits, turned as Patient Orientation (0020,0020) says: the patient upright, their right at the left
    bool has_header = false;  // a JPEG or PNG file has none
    std::string modality, body_part, view_position;
    std::optional<double> age_years;
    bool is_lateral = false;  // by its orientation
};

inline constexpr std::uint64_t kMostFilmBytes = std::uint64_t{256} << 20;  // of a file

/// Reads a DICOM instance, a JPEG or a PNG file of one grey frame. A file that is both nothing and anything ends in an error, never
/// elsewhere. Errors: malformed: damaged, or none of these; unsupported: colours, several frames, no pixels, 16 bits that nothing maps to
/// greys;
///         limit_exceeded: too large
/// Threads: safe
Result<Film> read_film(ByteView file);

}  // namespace fiducial::vision
