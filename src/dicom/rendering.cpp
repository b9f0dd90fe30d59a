#include "dicom/rendering.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "dicom/grey_frame.hpp"
#include "dicom/impl/frame_decoder.hpp"
#include "dicom/impl/picture.hpp"

namespace fiducial::dicom {
namespace {

using impl::Picture;
using impl::RawFrame;

/// Reads stored values out of a frame: bits beyond those stored are dropped, the sign is kept.
class StoredValues {
public:
    explicit StoredValues(const RawFrame& frame)
        : frame_(frame), shift_(frame.high_bit + 1 - frame.bits_stored), bits_(frame.bits_stored) {}

    std::uint32_t raw(std::size_t index) const {
        const auto* bytes = frame_.values.data();
        std::uint32_t value = 0;
        switch (frame_.sample_bits) {
            case 1: return bytes[index / 8] >> (index % 8) & 1u;
            case 8: value = bytes[index]; break;
            case 16: value = static_cast<std::uint32_t>(bytes[2 * index] | bytes[2 * index + 1] << 8); break;
            default:
                for (std::size_t i = 4; i > 0; --i) value = value << 8 | bytes[4 * index + i - 1];
        }
        value >>= shift_;
        return bits_ == 32 ? value : value & ((1u << bits_) - 1);
    }
    std::int64_t value_of(std::uint32_t raw) const {
        const bool negative = frame_.is_signed && (raw >> (bits_ - 1) & 1u) != 0;
        return negative ? static_cast<std::int64_t>(raw) - (std::int64_t{1} << bits_) : static_cast<std::int64_t>(raw);
    }

private:
    const RawFrame& frame_;
    const std::uint32_t shift_, bits_;
};

/// Spec: PS3.3 §C.11.2.1.2.1, §C.11.2.1.3. Returns: 0 to 1.
double through_window(const Window& window, double x) {
    const double c = window.center, w = window.width;
    switch (window.shape) {
        case WindowShape::linear:
            if (x <= c - 0.5 - (w - 1) / 2) return 0;
            if (x > c - 0.5 + (w - 1) / 2) return 1;
            return (x - (c - 0.5)) / (w - 1) + 0.5;
        case WindowShape::linear_exact:
            if (x <= c - w / 2) return 0;
            if (x > c + w / 2) return 1;
            return (x - c) / w + 0.5;
        default: return 1 / (1 + std::exp(-4 * (x - c) / w));
    }
}

/// From a stored value to a grey, as the image and who asks for it want.
class GreyMap {
public:
    GreyMap(const PixelDescription& image, const std::optional<Window>& wanted)
        : image_(image), window_(wanted ? wanted : image.window), uses_table_(!wanted && image.window_table) {
        inverse_ = (image.photometric == "MONOCHROME1") != image.is_inverse;
    }
    bool needs_range() const { return !window_ && !uses_table_; }
    bool is_padding(std::int64_t stored) const {
        if (!image_.padding) return false;
        const auto other = image_.padding_end.value_or(*image_.padding);
        return stored >= std::min(*image_.padding, other) && stored <= std::max(*image_.padding, other);
    }
    double modality(std::int64_t stored) const {
        return image_.modality_table ? image_.modality_table->at(stored) : image_.slope * static_cast<double>(stored) + image_.intercept;
    }
    void set_range(double least, double most) {
        window_ = Window{(least + most) / 2, std::max(most - least, 1e-9), WindowShape::linear_exact};
    }
    std::uint8_t grey(std::int64_t stored) const {
        const double x = modality(stored);
        const double shown = uses_table_ ? table_value(x) : through_window(*window_, x);
        const auto value = static_cast<int>(std::lround(std::clamp(shown, 0.0, 1.0) * 255));
        return static_cast<std::uint8_t>(inverse_ ? 255 - value : value);
    }

private:
    double table_value(double x) const {
        const auto& table = *image_.window_table;
        return table.at(static_cast<std::int64_t>(std::clamp(x, -1e9, 1e9))) / table.largest();
    }

    const PixelDescription& image_;
    std::optional<Window> window_;
    bool uses_table_;
    bool inverse_;
};

/// Where nothing says which values matter, all of them do: but for padding.
void set_range_of(GreyMap& map, const StoredValues& values, std::size_t count) {
    double least = 0, most = 0;
    bool any = false;
    for (std::size_t i = 0; i < count; ++i) {
        const auto stored = values.value_of(values.raw(i));
        if (map.is_padding(stored)) continue;
        const double x = map.modality(stored);
        least = any ? std::min(least, x) : x;
        most = any ? std::max(most, x) : x;
        any = true;
    }
    map.set_range(least, most);
}

Picture grey_picture(const PixelDescription& image, const RawFrame& frame, const std::optional<Window>& wanted) {
    const StoredValues values(frame);
    const std::size_t count = std::size_t{image.rows} * image.columns;
    GreyMap map(image, wanted);
    if (map.needs_range()) set_range_of(map, values, count);
    Picture out{image.rows, image.columns, 1, Bytes(count)};
    if (frame.bits_stored > 16) {
        for (std::size_t i = 0; i < count; ++i) out.samples[i] = map.grey(values.value_of(values.raw(i)));
        return out;
    }
    Bytes table(std::size_t{1} << frame.bits_stored);
    for (std::size_t raw = 0; raw < table.size(); ++raw) table[raw] = map.grey(values.value_of(static_cast<std::uint32_t>(raw)));
    for (std::size_t i = 0; i < count; ++i) out.samples[i] = table[values.raw(i)];
    return out;
}

/// What stands for no pixel at all is black, whatever the window makes of it.
void blacken_padding(const PixelDescription& image, const RawFrame& frame, Picture& picture) {
    const StoredValues values(frame);
    const GreyMap map(image, std::nullopt);
    for (std::size_t i = 0; i < picture.samples.size(); ++i) {
        if (map.is_padding(values.value_of(values.raw(i)))) picture.samples[i] = 0;
    }
}

constexpr int kMostTint = 12;  // between the channels of a pixel that is grey all the same: what lossy coding leaves

/// Errors: unsupported where more than one pixel in a hundred has a colour.
Result<Raster> without_colours(const Picture& picture) {
    Raster out{picture.rows, picture.columns, 1, Bytes(std::size_t{picture.rows} * picture.columns)};
    std::size_t coloured = 0;
    for (std::size_t i = 0; i < out.samples.size(); ++i) {
        const auto* pixel = &picture.samples[3 * i];
        const auto [least, most] = std::minmax({pixel[0], pixel[1], pixel[2]});
        if (most - least > kMostTint) ++coloured;
        // ITU-R BT.601 in 15 bits, as OpenCV has it: three equal channels give just their value.
        out.samples[i] = static_cast<std::uint8_t>((pixel[0] * 9798u + pixel[1] * 19235u + pixel[2] * 3735u + (1u << 14)) >> 15);
    }
    if (coloured > out.samples.size() / 100) return fail(ErrorCode::unsupported, "the picture is in colours");
    return out;
}

Picture palette_picture(const PixelDescription& image, const RawFrame& frame) {
    const StoredValues values(frame);
    const std::size_t count = std::size_t{image.rows} * image.columns;
    Picture out{image.rows, image.columns, 3, Bytes(count * 3)};
    for (std::size_t i = 0; i < count; ++i) {
        const auto stored = values.value_of(values.raw(i));
        for (std::size_t c = 0; c < 3; ++c) {
            const auto& table = *image.palette[c];
            out.samples[3 * i + c] = static_cast<std::uint8_t>(table.at(stored) >> (table.bits - 8));
        }
    }
    return out;
}

std::uint8_t clamped(double value) {
    return static_cast<std::uint8_t>(std::clamp(std::lround(value), 0l, 255l));
}

/// Spec: PS3.3 §C.7.6.3.1.2 (ITU-R BT.601), in place.
void make_rgb_of_ycc(Bytes& samples) {
    for (std::size_t i = 0; i + 3 <= samples.size(); i += 3) {
        const double y = samples[i], cb = samples[i + 1] - 128.0, cr = samples[i + 2] - 128.0;
        samples[i] = clamped(y + 1.402 * cr);
        samples[i + 1] = clamped(y - 0.344136 * cb - 0.714136 * cr);
        samples[i + 2] = clamped(y + 1.772 * cb);
    }
}

/// Y Y Cb Cr for each two pixels.
Bytes unfolded_422(ByteView values) {
    Bytes out;
    out.reserve(values.size() / 2 * 3);
    for (std::size_t i = 0; i + 4 <= values.size(); i += 4) {
        for (std::size_t pixel = 0; pixel < 2; ++pixel) {
            out.push_back(values[i + pixel]);
            out.push_back(values[i + 2]);
            out.push_back(values[i + 3]);
        }
    }
    return out;
}

Result<Picture> colour_picture(const PixelDescription& image, const RawFrame& frame) {
    const bool ycc = frame.photometric.starts_with("YBR_FULL");
    if (!ycc && frame.photometric != "RGB")
        return fail(ErrorCode::unsupported, "images in colours " + frame.photometric.substr(0, 16) + " are not shown");
    if (frame.sample_bits != 8 && frame.sample_bits != 16)
        return fail(ErrorCode::unsupported, "the image's pixels are of a kind that is not shown");
    const std::size_t pixels = std::size_t{image.rows} * image.columns;
    Picture out{image.rows, image.columns, 3, {}};
    if (frame.is_subsampled) {
        out.samples = unfolded_422(frame.values);
    } else if (frame.sample_bits == 8 && !frame.is_planar) {
        out.samples = to_bytes(frame.values);
    } else {
        const StoredValues values(frame);
        out.samples.resize(pixels * 3);
        for (std::size_t i = 0; i < pixels; ++i) {
            for (std::size_t c = 0; c < 3; ++c) {
                const auto raw = values.raw(frame.is_planar ? c * pixels + i : 3 * i + c);
                out.samples[3 * i + c] = static_cast<std::uint8_t>(frame.bits_stored > 8 ? raw >> (frame.bits_stored - 8) : raw);
            }
        }
    }
    if (ycc) make_rgb_of_ycc(out.samples);
    return out;
}

Result<Picture> picture_of(const PixelDescription& image, const RawFrame& frame, const std::optional<Window>& wanted) {
    if (image.samples == 3) return colour_picture(image, frame);
    if (image.photometric == "PALETTE COLOR" && image.palette[0] && image.palette[1] && image.palette[2])
        return palette_picture(image, frame);
    return grey_picture(image, frame, wanted);
}

/// White, whatever is below it. Spec: PS3.3 §C.9.2
void draw(const OverlayPlane& plane, const RawFrame& frame, Picture& picture) {
    // In the values themselves: only where these are as they were stored, and of one piece.
    const bool in_values = frame.decoded.empty() && picture.columns == plane.columns && picture.rows == plane.rows &&
                           frame.values.size() == std::size_t{plane.rows} * plane.columns * frame.sample_bits / 8 &&
                           frame.sample_bits >= 8 && plane.in_value.value_or(0) < frame.sample_bits;
    if (plane.in_value && !in_values) return;
    for (std::uint64_t row = 0; row < plane.rows; ++row) {
        const auto y = plane.top - 1 + static_cast<std::int64_t>(row);
        if (y < 0 || y >= picture.rows) continue;
        for (std::uint64_t column = 0; column < plane.columns; ++column) {
            const auto x = plane.left - 1 + static_cast<std::int64_t>(column);
            if (x < 0 || x >= picture.columns) continue;
            const auto index = row * plane.columns + column;
            const auto at = plane.in_value ? index * frame.sample_bits + *plane.in_value : index + plane.first;
            const auto& bits = plane.in_value ? frame.values : ByteView(plane.bits);
            if ((bits[at / 8] >> (at % 8) & 1u) == 0) continue;
            const auto place = (static_cast<std::size_t>(y) * picture.columns + static_cast<std::size_t>(x)) * picture.channels;
            std::fill_n(picture.samples.begin() + static_cast<std::ptrdiff_t>(place), picture.channels, std::uint8_t{255});
        }
    }
}

/// The viewport with that part of the picture. Spec: PS3.18 §9.1.2.2.7
Viewport with_region(const Picture& picture, const std::optional<Viewport>& viewport, const std::array<double, 4>& region) {
    const auto place = [](double part, std::uint32_t size) { return std::lround(std::clamp(part, 0.0, 1.0) * size); };
    const auto left = std::min<long>(place(region[0], picture.columns), picture.columns - 1l);
    const auto top = std::min<long>(place(region[1], picture.rows), picture.rows - 1l);
    const auto width = std::max(place(region[2], picture.columns) - left, 1l), height = std::max(place(region[3], picture.rows) - top, 1l);
    Viewport out{static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height), left, top, width, height};
    if (viewport) {
        out.width = viewport->width;
        out.height = viewport->height;
    }
    return out;
}

}  // namespace

Result<Bytes> render_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame, const RenderOptions& options) {
    if (image.sample_count() > kMostShownSamples) return fail(ErrorCode::limit_exceeded, "the image is too large to be shown as a picture");
    FID_TRY(const auto raw, impl::decode_frame(image, transfer_syntax, frame));
    FID_TRY(auto picture, picture_of(image, raw, options.window));
    for (const auto& plane : image.overlays) draw(plane, raw, picture);
    auto viewport = options.viewport;
    if (options.region) viewport = with_region(picture, viewport, *options.region);
    if (viewport) {
        FID_TRY(picture, impl::fit_into(picture, *viewport));
    }
    return options.format == PictureFormat::png ? impl::encode_png(picture) : impl::encode_jpeg(picture, options.quality);
}

Result<Raster> grey_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame) {
    if (image.sample_count() > kMostShownSamples) return fail(ErrorCode::limit_exceeded, "the image is too large to be looked at");
    FID_TRY(const auto raw, impl::decode_frame(image, transfer_syntax, frame));
    const bool mapped = image.window || image.window_table || image.modality_table || image.slope != 1 || image.intercept != 0;
    std::optional<Window> as_stored;
    if (!mapped && image.bits_stored == 8 && !image.is_signed) as_stored = Window{128, 256, WindowShape::linear};
    FID_TRY(auto picture, picture_of(image, raw, as_stored));
    if (picture.channels == 3) return without_colours(picture);
    if (image.padding) blacken_padding(image, raw, picture);
    return Raster{picture.rows, picture.columns, 1, std::move(picture.samples)};
}

Result<Bytes> png_of(const Raster& raster) {
    return impl::encode_png({raster.rows, raster.columns, raster.channels, raster.samples});
}

}  // namespace fiducial::dicom
