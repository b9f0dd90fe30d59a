#include <array>

#include "dicom/rendering.hpp"
#include "dicom/transfer_syntax.hpp"

// The first bytes choose a syntax and a small image, the rest is its frame: whatever it is, it is shown or refused, in bounded memory.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    using namespace fiducial::dicom;
    constexpr std::size_t kHead = 8;
    if (size < kHead) return 0;
    constexpr std::array<std::string_view, 9> kSyntaxes{"1.2.840.10008.1.2.1",    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51",
                                                        "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.5",
                                                        "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"};
    constexpr std::array<std::string_view, 6> kPhotometric{"MONOCHROME2", "MONOCHROME1", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT"};
    constexpr std::array<std::uint32_t, 4> kAllocated{8, 16, 1, 32};
    PixelDescription image;
    image.rows = 1 + data[1];
    image.columns = 1 + data[2];
    image.photometric = kPhotometric[data[3] % kPhotometric.size()];
    image.samples = data[3] % kPhotometric.size() < 2 ? 1 : 3;
    image.bits_allocated = kAllocated[data[4] % kAllocated.size()];
    image.bits_stored = 1 + data[5] % image.bits_allocated;
    image.high_bit = (data[6] & 1) != 0 ? image.bits_allocated - 1 : image.bits_stored - 1;
    image.is_signed = (data[6] & 2) != 0;
    image.is_planar = (data[6] & 4) != 0;
    if ((data[6] & 32) != 0) {
        OverlayPlane plane;
        plane.rows = 1 + data[2];
        plane.columns = 1 + data[1] / 2;
        plane.top = static_cast<std::int8_t>(data[7]);
        plane.left = static_cast<std::int8_t>(data[5]);
        plane.first = data[7] % 8;
        plane.bits.assign((std::size_t{plane.rows} * plane.columns + plane.first + 7) / 8, data[4]);
        image.overlays.push_back(plane);
        plane.in_value = data[5] % 40;
        plane.rows = image.rows;
        plane.columns = image.columns;
        image.overlays.push_back(plane);
    }
    RenderOptions options;
    options.format = (data[6] & 8) != 0 ? PictureFormat::png : PictureFormat::jpeg;
    if ((data[6] & 16) != 0) options.viewport = Viewport{1u + data[7], 50, data[7] % 8, 0, (data[7] & 64) != 0 ? -9 : 9, 0};
    const auto picture = render_frame(image, kSyntaxes[data[0] % kSyntaxes.size()], {data + kHead, size - kHead}, options);
    FID_INVARIANT(!picture || picture->size() > 20, "a picture without anything in it");
    return 0;
}
