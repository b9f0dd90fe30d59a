// libjpeg and libpng leave by longjmp where something is wrong: what stands between setjmp and the calls has no destructors.
#include "dicom/impl/picture.hpp"

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>
#include <png.h>

namespace fiducial::dicom::impl {
namespace {

/// What one side of the result is made of: for each of its pixels where it begins in the source, and how much of each pixel there counts.
struct Share {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::size_t weights = 0;  // where they begin
};
struct Shares {
    std::vector<Share> shares;
    std::vector<std::uint32_t> weights;  // of one share: 2^14 in sum
};
constexpr unsigned kShift = 14;

void add_share(Shares& out, std::uint32_t first, const std::vector<double>& parts) {
    double sum = 0;
    for (const double part : parts) sum += part;
    Share share{first, static_cast<std::uint32_t>(parts.size()), out.weights.size()};
    std::uint32_t left = 1u << kShift;
    for (const double part : parts) {
        const auto weight = std::min(left, static_cast<std::uint32_t>(std::lround(part / sum * (1u << kShift))));
        out.weights.push_back(weight);
        left -= weight;
    }
    out.weights[share.weights + parts.size() / 2] += left;
    out.shares.push_back(share);
}

Shares shares_of(std::uint32_t from, std::uint32_t to) {
    Shares out;
    const double step = static_cast<double>(from) / to;
    std::vector<double> parts;
    for (std::uint32_t i = 0; i < to; ++i) {
        parts.clear();
        if (step > 1) {  // the mean of what it covers
            const double begin = i * step, end = std::min<double>(from, (i + 1) * step);
            const auto first = static_cast<std::uint32_t>(begin);
            for (auto at = first; at < from && at < end; ++at)
                parts.push_back(std::max(0.0, std::min(end, at + 1.0) - std::max<double>(begin, at)));
            add_share(out, first, parts);
        } else {  // between two
            const double at = std::clamp((i + 0.5) * step - 0.5, 0.0, from - 1.0);
            const auto first = static_cast<std::uint32_t>(at);
            parts.push_back(1 - (at - first));
            if (first + 1 < from) parts.push_back(at - first);
            add_share(out, first, parts);
        }
    }
    return out;
}

std::uint8_t rounded(std::uint32_t sum) {
    return static_cast<std::uint8_t>(std::min(255u, (sum + (1u << (kShift - 1))) >> kShift));
}

/// Rows first, as they lie in memory.
Picture scaled(const Picture& picture, std::uint32_t columns, std::uint32_t rows) {
    const auto across = shares_of(picture.columns, columns), down = shares_of(picture.rows, rows);
    const std::size_t channels = picture.channels, stride = columns * channels;
    Bytes narrow(stride * picture.rows);
    for (std::uint32_t y = 0; y < picture.rows; ++y) {
        const auto* from = picture.samples.data() + std::size_t{y} * picture.columns * channels;
        auto* to = narrow.data() + y * stride;
        for (const auto& share : across.shares) {
            for (std::size_t c = 0; c < channels; ++c) {
                std::uint32_t sum = 0;
                for (std::uint32_t i = 0; i < share.count; ++i)
                    sum += across.weights[share.weights + i] * from[(share.first + i) * channels + c];
                *to++ = rounded(sum);
            }
        }
    }
    Picture out{rows, columns, picture.channels, Bytes(stride * rows)};
    std::vector<std::uint32_t> sums(stride);
    for (std::uint32_t y = 0; y < rows; ++y) {
        const auto& share = down.shares[y];
        std::fill(sums.begin(), sums.end(), 0u);
        for (std::uint32_t i = 0; i < share.count; ++i) {
            const auto weight = down.weights[share.weights + i];
            const auto* from = narrow.data() + (share.first + i) * stride;
            for (std::size_t x = 0; x < stride; ++x) sums[x] += weight * from[x];
        }
        for (std::size_t x = 0; x < stride; ++x) out.samples[y * stride + x] = rounded(sums[x]);
    }
    return out;
}

struct Part {
    std::uint32_t x, y, columns, rows;
    bool mirrored, upside_down;
};

Result<Part> part_of(const Picture& picture, const Viewport& viewport) {
    const auto outside = [] { return fail(ErrorCode::invalid_argument, "the viewport's part lies outside the image"); };
    if (viewport.x < 0 || viewport.y < 0 || viewport.x >= picture.columns || viewport.y >= picture.rows) return outside();
    Part part{static_cast<std::uint32_t>(viewport.x),
              static_cast<std::uint32_t>(viewport.y),
              0,
              0,
              viewport.part_width < 0,
              viewport.part_height < 0};
    const auto side = [](std::int64_t wanted, std::uint32_t left) {
        const auto size = wanted < 0 ? -wanted : wanted;
        return wanted == 0 || size > left ? left : static_cast<std::uint32_t>(size);
    };
    part.columns = side(viewport.part_width, picture.columns - part.x);
    part.rows = side(viewport.part_height, picture.rows - part.y);
    return part;
}

Picture cut_out(const Picture& picture, const Part& part) {
    const std::size_t channels = picture.channels;
    Picture out{part.rows, part.columns, picture.channels, Bytes(std::size_t{part.rows} * part.columns * channels)};
    for (std::uint32_t y = 0; y < part.rows; ++y) {
        const auto from_row = part.y + (part.upside_down ? part.rows - 1 - y : y);
        const auto* from = picture.samples.data() + (std::size_t{from_row} * picture.columns + part.x) * channels;
        auto* to = out.samples.data() + std::size_t{y} * part.columns * channels;
        for (std::uint32_t x = 0; x < part.columns; ++x)
            std::copy_n(from + (part.mirrored ? part.columns - 1 - x : x) * channels, channels, to + x * channels);
    }
    return out;
}

struct JpegErrors {
    jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
    std::jmp_buf jump;
};
[[noreturn]] void leave_jpeg(j_common_ptr info) {
    std::longjmp(reinterpret_cast<JpegErrors*>(info->err)->jump, 1);
}

bool run_jpeg(const Picture& picture, unsigned quality, JpegErrors& errors, jpeg_compress_struct& info, unsigned char** out,
              unsigned long* size) {
    info.err = jpeg_std_error(&errors.manager);
    errors.manager.error_exit = leave_jpeg;
    if (setjmp(errors.jump) != 0) {
        jpeg_destroy_compress(&info);
        return false;
    }
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, out, size);
    info.image_width = picture.columns;
    info.image_height = picture.rows;
    info.input_components = static_cast<int>(picture.channels);
    info.in_color_space = picture.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, static_cast<int>(quality), TRUE);
    jpeg_start_compress(&info, TRUE);
    const std::size_t stride = std::size_t{picture.columns} * picture.channels;
    while (info.next_scanline < info.image_height) {
        auto* row = const_cast<JSAMPROW>(picture.samples.data() + stride * info.next_scanline);
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return true;
}

void write_png(png_structp png, png_bytep bytes, png_size_t count) {
    append(*static_cast<Bytes*>(png_get_io_ptr(png)), {bytes, count});
}
void flush_png(png_structp) {}
void drop_png_warning(png_structp, png_const_charp) {}
[[noreturn]] void leave_png(png_structp png, png_const_charp) {
    png_longjmp(png, 1);
}

bool run_png(const Picture& picture, png_structp png, png_infop info, Bytes& out) {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_write_fn(png, &out, write_png, flush_png);
    png_set_compression_level(png, 4);
    png_set_IHDR(png, info, picture.columns, picture.rows, 8, picture.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    const std::size_t stride = std::size_t{picture.columns} * picture.channels;
    for (std::uint32_t y = 0; y < picture.rows; ++y) png_write_row(png, picture.samples.data() + y * stride);
    png_write_end(png, info);
    return true;
}

}  // namespace

Result<Picture> fit_into(const Picture& picture, const Viewport& viewport) {
    FID_TRY(const auto part, part_of(picture, viewport));
    const double scale = std::min(static_cast<double>(viewport.width) / part.columns, static_cast<double>(viewport.height) / part.rows);
    const auto side = [scale](std::uint32_t size, std::uint32_t most) {
        return std::clamp(static_cast<std::uint32_t>(std::lround(size * scale)), 1u, most);
    };
    const auto columns = side(part.columns, viewport.width), rows = side(part.rows, viewport.height);
    const bool whole = part.columns == picture.columns && part.rows == picture.rows && !part.mirrored && !part.upside_down;
    if (whole) return scaled(picture, columns, rows);
    return scaled(cut_out(picture, part), columns, rows);
}

Result<Bytes> encode_jpeg(const Picture& picture, unsigned quality) {
    JpegErrors errors{};
    jpeg_compress_struct info{};
    unsigned char* encoded = nullptr;
    unsigned long size = 0;
    const bool done = run_jpeg(picture, quality, errors, info, &encoded, &size);
    Bytes out;
    if (done) out.assign(encoded, encoded + size);
    std::free(encoded);  // libjpeg's
    if (!done) return fail(ErrorCode::internal, "a picture could not be encoded as JPEG");
    return out;
}

Result<Bytes> encode_png(const Picture& picture) {
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, leave_png, drop_png_warning);
    png_infop info = png != nullptr ? png_create_info_struct(png) : nullptr;
    Bytes out;
    const bool done = info != nullptr && run_png(picture, png, info, out);
    png_destroy_write_struct(&png, &info);
    if (!done) return fail(ErrorCode::internal, "a picture could not be encoded as PNG");
    return out;
}

}  // namespace fiducial::dicom::impl
