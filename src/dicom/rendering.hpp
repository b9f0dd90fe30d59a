#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "dicom/pixel_description.hpp"

namespace fiducial::dicom {

/// Which part of an image is shown, and how large. Spec: PS3.18 §8.3.5.1.3.
struct Viewport {
    std::uint32_t width = 0, height = 0;           // that it has to fit into, its proportions kept
    std::int64_t x = 0, y = 0;                     // of the part, in the image's pixels
    std::int64_t part_width = 0, part_height = 0;  // below 0: mirrored; 0: to the image's end
};

enum class PictureFormat : std::uint8_t { jpeg, png };

struct RenderOptions {
    PictureFormat format = PictureFormat::jpeg;
    unsigned quality = 90;         // of JPEG, 1 to 100
    std::optional<Window> window;  // in place of the image's own
    std::optional<Viewport> viewport;
    std::optional<std::array<double, 4>>
        region;  // x and y of its corners, as parts of the whole from 0 to 1; in place of the viewport's part
};

inline constexpr std::uint64_t kMostShownSamples = std::uint64_t{64} << 20;  // of one frame
inline constexpr std::uint32_t kMostViewport = 8'192;                        // pixels a side

/// One frame as a picture for eyes: values mapped (PS3.3 §C.11.1, §C.11.2), colours made RGB, overlays drawn in white (PS3.3 §C.9.2), cut,
/// scaled, encoded with 8 bits. Shutters and colour profiles are not applied.
/// Units:    `frame` holds the frame's bytes as they are stored
/// Errors:   malformed: damaged; unsupported: a kind of image that is not shown; limit_exceeded: too large to be shown
/// Threads:  safe. Needs about 8 bytes a sample while it works
Result<Bytes> render_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame, const RenderOptions& options);

}  // namespace fiducial::dicom
