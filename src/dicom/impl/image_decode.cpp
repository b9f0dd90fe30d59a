// libjpeg and libpng leave by longjmp where something is wrong: what stands between setjmp and the calls has no destructors.
#include "dicom/impl/image_decode.hpp"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <string>

#include <jpeglib.h>
#include <png.h>

namespace fiducial::dicom::impl {
namespace {

constexpr std::uint32_t kMaxSide = 65535;  // Rows and Columns are 16 bits wide

struct JpegErrors {
    jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
    std::jmp_buf jump;
    long damage;
};

[[noreturn]] void leave_jpeg(j_common_ptr info) {
    std::longjmp(reinterpret_cast<JpegErrors*>(info->err)->jump, 1);
}
void note_jpeg_warning(j_common_ptr info, int level) {
    if (level < 0) ++reinterpret_cast<JpegErrors*>(info->err)->damage;
}
void drop_jpeg_message(j_common_ptr) {}

struct JpegTarget {
    Bytes* pixels;
    std::uint64_t max_pixels;
    std::uint32_t rows, columns;
    int components;
    bool inverted;
    bool too_large;
};

// Returns: false where libjpeg gave up.
bool run_jpeg(ByteView file, JpegTarget& target, JpegErrors& errors, jpeg_decompress_struct& info) {
    info.err = jpeg_std_error(&errors.manager);
    errors.manager.error_exit = leave_jpeg;
    errors.manager.emit_message = note_jpeg_warning;
    errors.manager.output_message = drop_jpeg_message;
    if (setjmp(errors.jump) != 0) {
        jpeg_destroy_decompress(&info);
        return false;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, file.data(), static_cast<unsigned long>(file.size()));
    jpeg_read_header(&info, TRUE);
    target.rows = info.image_height;
    target.columns = info.image_width;
    if (std::uint64_t{target.rows} * target.columns > target.max_pixels) {
        target.too_large = true;
        jpeg_destroy_decompress(&info);
        return false;
    }
    info.out_color_space = info.num_components == 1 ? JCS_GRAYSCALE : info.num_components == 3 ? JCS_RGB : JCS_CMYK;
    info.dct_method = JDCT_ISLOW;  // the same on every machine
    target.inverted = info.saw_Adobe_marker != 0;
    jpeg_start_decompress(&info);
    target.components = info.output_components;
    const std::size_t stride = std::size_t{info.output_width} * static_cast<std::size_t>(info.output_components);
    target.pixels->reserve(stride * info.output_height + kRoomForHead);
    target.pixels->resize(stride * info.output_height);
    while (info.output_scanline < info.output_height) {
        JSAMPROW row = target.pixels->data() + stride * info.output_scanline;
        jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    return true;
}

// In place: three bytes take the place of four.
void rgb_from_cmyk(Bytes& pixels, bool inverted) {
    std::size_t out = 0;
    for (std::size_t i = 0; i + 4 <= pixels.size(); i += 4) {
        const auto ink = [&](std::size_t c) { return inverted ? std::uint32_t{pixels[i + c]} : 255u - pixels[i + c]; };
        const auto black = ink(3);
        const std::uint32_t inks[] = {ink(0), ink(1), ink(2)};
        for (const auto one : inks) pixels[out++] = static_cast<std::uint8_t>((one * black + 127) / 255);
    }
    pixels.resize(out);
}

struct PngSource {
    const std::uint8_t* at;
    std::size_t left;
};

void read_png(png_structp png, png_bytep out, png_size_t count) {
    auto* source = static_cast<PngSource*>(png_get_io_ptr(png));
    if (count > source->left) png_error(png, "cut off");
    std::copy_n(source->at, count, out);
    source->at += count;
    source->left -= count;
}
void drop_png_warning(png_structp, png_const_charp) {}
[[noreturn]] void leave_png(png_structp png, png_const_charp) {
    png_longjmp(png, 1);
}

struct PngTarget {
    DecodedImage* image;
    std::uint64_t max_pixels;
    bool grey_palette;
    bool too_large;
};

bool palette_is_grey(png_structp png, png_infop info) {
    png_colorp colours = nullptr;
    int count = 0;
    if (png_get_PLTE(png, info, &colours, &count) == 0) return false;
    return std::all_of(colours, colours + count, [](const png_color& c) { return c.red == c.green && c.green == c.blue; });
}

bool run_png(PngSource& source, PngTarget& target, png_structp png, png_infop info) {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_user_limits(png, kMaxSide, kMaxSide);
    png_set_chunk_malloc_max(png, 16u << 20);
    png_set_chunk_cache_max(png, 100);
    png_set_read_fn(png, &source, read_png);
    png_read_info(png, info);
    auto& image = *target.image;
    image.rows = png_get_image_height(png, info);
    image.columns = png_get_image_width(png, info);
    if (std::uint64_t{image.rows} * image.columns > target.max_pixels) {
        target.too_large = true;
        return false;
    }
    const int colour = png_get_color_type(png, info);
    const bool grey = (colour & PNG_COLOR_MASK_COLOR) == 0;
    const bool deep = png_get_bit_depth(png, info) == 16;
    target.grey_palette = colour == PNG_COLOR_TYPE_PALETTE && palette_is_grey(png, info);
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (grey && !deep) png_set_expand_gray_1_2_4_to_8(png);
    if (deep && grey) png_set_swap(png);
    if (deep && !grey) png_set_scale_16(png);
    png_set_strip_alpha(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const std::size_t stride = png_get_rowbytes(png, info);
    image.samples = grey ? 1 : 3;
    image.bits = grey && deep ? 16 : 8;
    if (stride != std::size_t{image.columns} * image.samples * (image.bits / 8u)) return false;
    image.pixels.reserve(stride * image.rows + kRoomForHead);
    image.pixels.resize(stride * image.rows);
    for (int pass = 0; pass < passes; ++pass) {
        for (std::uint32_t row = 0; row < image.rows; ++row) png_read_row(png, image.pixels.data() + stride * row, nullptr);
    }
    png_read_end(png, nullptr);
    return true;
}

}  // namespace

Result<DecodedImage> decode_jpeg(ByteView file, std::uint64_t max_pixels) {
    DecodedImage image;
    JpegTarget target{&image.pixels, max_pixels, 0, 0, 0, false, false};
    JpegErrors errors{};
    jpeg_decompress_struct info{};
    if (!run_jpeg(file, target, errors, info)) {
        if (target.too_large)
            return fail(ErrorCode::limit_exceeded, "the JPEG image has more than " + std::to_string(max_pixels) + " pixels");
        return fail(ErrorCode::malformed, "the JPEG image cannot be decoded");
    }
    if (errors.damage != 0) return fail(ErrorCode::malformed, "the JPEG image is damaged");
    image.rows = target.rows;
    image.columns = target.columns;
    image.samples = target.components == 1 ? 1 : 3;
    if (target.components == 4) rgb_from_cmyk(image.pixels, target.inverted);
    return image;
}

Result<DecodedImage> decode_png(ByteView file, std::uint64_t max_pixels) {
    DecodedImage image;
    PngSource source{file.data(), file.size()};
    PngTarget target{&image, max_pixels, false, false};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, leave_png, drop_png_warning);
    if (png == nullptr) return fail(ErrorCode::internal, "libpng cannot start");
    png_infop info = png_create_info_struct(png);
    const bool done = info != nullptr && run_png(source, target, png, info);
    png_destroy_read_struct(&png, &info, nullptr);
    if (target.too_large) return fail(ErrorCode::limit_exceeded, "the PNG image has more than " + std::to_string(max_pixels) + " pixels");
    if (!done) return fail(ErrorCode::malformed, "the PNG image cannot be decoded");
    if (target.grey_palette) {
        for (std::size_t i = 0; i < image.pixels.size() / 3; ++i) image.pixels[i] = image.pixels[i * 3];
        image.pixels.resize(image.pixels.size() / 3);
        image.samples = 1;
    }
    return image;
}

}  // namespace fiducial::dicom::impl
