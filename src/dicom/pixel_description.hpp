#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace fiducial::dicom {

/// A range of values that is spread over all greys. Spec: PS3.3 §C.11.2.1.2, §C.11.2.1.3.
enum class WindowShape : std::uint8_t { linear, linear_exact, sigmoid };
struct Window {
    double center = 0;
    double width = 1;  // at least 1 for linear, above 0 for the others
    WindowShape shape = WindowShape::linear;
};
/// Whether a window says anything.
bool is_usable(const Window& window);

/// Spec: PS3.3 §C.11.1.1, §C.11.2.1.1, §C.7.6.3.1.5. Values beyond its ends get the entry there.
struct LookUpTable {
    std::int64_t first = 0;  // the value that gets the first entry
    unsigned bits = 16;      // of an entry
    std::vector<std::uint16_t> entries;

    std::uint16_t at(std::int64_t value) const;
    double largest() const { return static_cast<double>((1u << bits) - 1); }
};

/// Lines, letters and the like that are drawn over a frame. Spec: PS3.3 §C.9.2
struct OverlayPlane {
    std::uint32_t rows = 0, columns = 0;
    std::int64_t top = 1, left = 1;         // of its first pixel in the image, counted from 1; may lie outside
    std::optional<std::uint32_t> in_value;  // where it stands in a bit of the image's values (retired); else in `bits`
    Bytes bits{};                           // the lowest of each byte first
    std::uint32_t first = 0;                // of the bits
};

/// What an image's header says of how one of its frames is to be shown.
struct PixelDescription {
    std::uint32_t rows = 0, columns = 0;
    std::uint32_t samples = 1;  // of a pixel
    std::uint32_t bits_allocated = 0, bits_stored = 0, high_bit = 0;
    bool is_signed = false;
    bool is_planar = false;  // all of one colour, then all of the next
    std::string photometric;

    double slope = 1, intercept = 0;
    std::optional<LookUpTable> modality_table;
    std::optional<Window> window;  // the first one
    std::optional<LookUpTable> window_table;
    bool is_inverse = false;  // the presentation's shape
    std::optional<std::int64_t> padding, padding_end;
    std::optional<LookUpTable> palette[3];
    std::vector<OverlayPlane> overlays;  // graphics alone; a region of interest (type R) is not drawn

    std::uint64_t sample_count() const { return std::uint64_t{rows} * columns * samples; }
};

/// Reads a value that the header names by BulkDataURI: at this path (BulkValue), of at most so many bytes.
using ReadValue = std::function<Result<Bytes>(std::string_view path, std::size_t most)>;

/// What a header, as DICOM JSON, says of how its frames are laid out, and nothing else.
/// Requires: the JSON is our own (InstanceHeader::dicom_json).
/// Errors: unsupported: no image, or one that cannot be shown.
Result<PixelDescription> describe_layout(std::string_view dicom_json);

/// What a header, as DICOM JSON, says of one frame, counted from 1: also by its functional groups (PS3.3 §C.7.6.16).
/// Requires: the JSON is our own (InstanceHeader::dicom_json).
/// Errors: unsupported: no image, or one that cannot be shown; those of read_value.
Result<PixelDescription> describe_pixels(std::string_view dicom_json, std::uint64_t frame, const ReadValue& read_value);

}  // namespace fiducial::dicom
