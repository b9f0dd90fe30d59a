#include "dicom/impl/frame_encoder.hpp"

#include <charls/charls.h>
#include <openjpeg.h>
#include <openjph/ojph_arch.h>
#include <openjph/ojph_base.h>
#include <openjph/ojph_codestream.h>
#include <openjph/ojph_file.h>
#include <openjph/ojph_mem.h>
#include <openjph/ojph_params.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace fiducial::dicom::impl {
namespace {

constexpr std::uint32_t kMostDecompositions = 5;

tl::unexpected<Error> failed(std::string_view codec) {
    return fail(ErrorCode::internal, "the image could not be compressed as " + std::string(codec));
}

/// Stored values, with their sign, colours by pixel.
using Values = std::vector<std::int32_t>;

Result<Values> values_of(const PixelDescription& image, ByteView frame) {
    const auto bits = image.bits_stored;
    const bool known = (image.bits_allocated == 8 || image.bits_allocated == 16) && bits >= 2 && image.high_bit + 1 == bits;
    if (!known) return fail(ErrorCode::unsupported, "the image's values are of a width that is not compressed");
    const bool colours = image.samples == 1 || image.photometric == "RGB" || image.photometric == "YBR_FULL";
    if (!colours) return fail(ErrorCode::unsupported, "the image's colours are of a kind that is not compressed");
    const std::size_t pixels = std::size_t{image.rows} * image.columns, samples = image.samples;
    const auto mask = (1u << bits) - 1, unused = (image.bits_allocated == 8 ? 0xffu : 0xffffu) & ~mask;
    Values out(pixels * samples);
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto at = image.is_planar ? i % samples * pixels + i / samples : i;
        const std::uint32_t whole = image.bits_allocated == 8 ? frame[at] : frame[2 * at] | std::uint32_t{frame[2 * at + 1]} << 8;
        const bool negative = image.is_signed && (whole >> (bits - 1) & 1u) != 0;
        const auto beyond = whole & unused;
        if (beyond != 0 && !(negative && beyond == unused))
            return fail(ErrorCode::unsupported, "the image holds something in bits beyond those stored, which compressing would lose");
        out[i] = static_cast<std::int32_t>(whole & mask) - (negative ? 1 << bits : 0);
    }
    return out;
}

/// Spec: ISO/IEC 14495-1, PS3.5 §8.2.3. It knows no sign: values go by their stored bits.
Result<Bytes> jpeg_ls(const PixelDescription& image, const Values& values) {
    const std::size_t width = image.bits_stored <= 8 ? 1 : 2;
    const auto mask = (1u << image.bits_stored) - 1;
    Bytes samples(values.size() * width);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto value = static_cast<std::uint32_t>(values[i]) & mask;
        samples[i * width] = static_cast<std::uint8_t>(value);
        if (width == 2) samples[i * width + 1] = static_cast<std::uint8_t>(value >> 8);
    }
    // Noise becomes longer than it is; how long at most, the standard's limit on the length of a code says.
    for (const auto most : {samples.size() + samples.size() / 8 + 65'536, 5 * samples.size() + 65'536}) {
        try {
            charls::jpegls_encoder encoder;
            encoder.frame_info({image.columns, image.rows, static_cast<int>(image.bits_stored), static_cast<int>(image.samples)});
            if (image.samples == 3) encoder.interleave_mode(charls::interleave_mode::sample);
            Bytes out(most);
            encoder.destination(out);
            out.resize(encoder.encode(samples.data(), samples.size()));
            return out;
        } catch (const charls::jpegls_error& error) {
            if (error.code() != charls::jpegls_errc::destination_buffer_too_small) break;
        }
    }
    return failed("JPEG-LS");
}

/// So many that the smaller side is halved no further than to a pixel.
std::uint32_t decompositions_of(const PixelDescription& image) {
    std::uint32_t count = 0;
    while (count < kMostDecompositions && std::min(image.rows, image.columns) >> (count + 1) != 0) ++count;
    return count;
}
bool mixes_colours(const PixelDescription& image) {
    return image.samples == 3 && image.photometric == "RGB";
}

OPJ_SIZE_T append_to_bytes(void* from, OPJ_SIZE_T size, void* to) {
    append(*static_cast<Bytes*>(to), {static_cast<const std::uint8_t*>(from), size});
    return size;
}

/// Spec: ISO/IEC 15444-1, PS3.5 §8.2.4
Result<Bytes> jpeg_2000(const PixelDescription& image, const Values& values) {
    opj_cparameters_t parameters;
    opj_set_default_encoder_parameters(&parameters);
    parameters.tcp_numlayers = 1;
    parameters.cp_disto_alloc = 1;
    parameters.numresolution = static_cast<int>(decompositions_of(image)) + 1;
    parameters.tcp_mct = mixes_colours(image) ? 1 : 0;
    std::vector<opj_image_cmptparm_t> components(image.samples);
    for (auto& one : components) {
        one = {};
        one.dx = one.dy = 1;
        one.w = image.columns;
        one.h = image.rows;
        one.prec = image.bits_stored;
        one.sgnd = image.is_signed ? 1 : 0;
    }
    const auto space = image.samples == 1 ? OPJ_CLRSPC_GRAY : mixes_colours(image) ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_SYCC;
    const std::unique_ptr<opj_image_t, void (*)(opj_image_t*)> picture(opj_image_create(image.samples, components.data(), space),
                                                                       [](opj_image_t* one) { opj_image_destroy(one); });
    const std::unique_ptr<opj_codec_t, void (*)(opj_codec_t*)> codec(opj_create_compress(OPJ_CODEC_J2K),
                                                                     [](opj_codec_t* one) { opj_destroy_codec(one); });
    const std::unique_ptr<opj_stream_t, void (*)(opj_stream_t*)> stream(opj_stream_create(65'536, OPJ_FALSE),
                                                                        [](opj_stream_t* one) { opj_stream_destroy(one); });
    if (!picture || !codec || !stream) return fail(ErrorCode::limit_exceeded, "there is no memory left to compress the image");
    picture->x1 = image.columns;
    picture->y1 = image.rows;
    for (std::size_t i = 0; i < values.size(); ++i) picture->comps[i % image.samples].data[i / image.samples] = values[i];
    Bytes out;
    opj_stream_set_user_data(stream.get(), &out, nullptr);
    opj_stream_set_write_function(stream.get(), append_to_bytes);
    const bool done = opj_setup_encoder(codec.get(), &parameters, picture.get()) != OPJ_FALSE &&
                      opj_start_compress(codec.get(), picture.get(), stream.get()) != OPJ_FALSE &&
                      opj_encode(codec.get(), stream.get()) != OPJ_FALSE && opj_end_compress(codec.get(), stream.get()) != OPJ_FALSE;
    if (!done) return failed("JPEG 2000");
    return out;
}

class ByteSink : public ojph::outfile_base {
public:
    size_t write(const void* bytes, size_t size) override {
        append(taken, {static_cast<const std::uint8_t*>(bytes), size});
        return size;
    }
    ojph::si64 tell() override { return static_cast<ojph::si64>(taken.size()); }

    Bytes taken;
};

/// Spec: ISO/IEC 15444-15, PS3.5 §8.2.15
Result<Bytes> htj2k(const PixelDescription& image, const Values& values) {
    try {
        ojph::codestream stream;
        auto size = stream.access_siz();
        size.set_image_extent(ojph::point(image.columns, image.rows));
        size.set_num_components(image.samples);
        for (std::uint32_t i = 0; i < image.samples; ++i) size.set_component(i, ojph::point(1, 1), image.bits_stored, image.is_signed);
        size.set_image_offset(ojph::point(0, 0));
        size.set_tile_size(ojph::size(image.columns, image.rows));
        size.set_tile_offset(ojph::point(0, 0));
        auto coding = stream.access_cod();
        coding.set_num_decomposition(decompositions_of(image));
        coding.set_reversible(true);
        coding.set_color_transform(mixes_colours(image));
        stream.set_planar(false);
        ByteSink sink;
        stream.write_headers(&sink);
        ojph::ui32 component = 0;
        auto* line = stream.exchange(nullptr, component);
        for (std::size_t row = 0; row < image.rows; ++row) {
            for (std::uint32_t i = 0; i < image.samples; ++i) {
                const auto* from = values.data() + row * image.columns * image.samples + component;
                for (std::size_t x = 0; x < image.columns; ++x) line->i32[x] = from[x * image.samples];
                line = stream.exchange(line, component);
            }
        }
        stream.flush();
        stream.close();
        return std::move(sink.taken);
    } catch (const std::exception&) {
        return failed("HTJ2K");
    }
}

}  // namespace

bool is_encoded(std::string_view transfer_syntax) {
    return std::find(std::begin(kLosslessEncodings), std::end(kLosslessEncodings), transfer_syntax) != std::end(kLosslessEncodings);
}

std::string encoded_photometric(std::string_view native, std::string_view transfer_syntax) {
    return std::string(native == "RGB" && transfer_syntax != kJpegLsLossless ? "YBR_RCT" : native);
}

Result<Bytes> encode_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame) {
    FID_TRY(const auto values, values_of(image, frame));
    if (transfer_syntax == kJpegLsLossless) return jpeg_ls(image, values);
    return transfer_syntax == kJpeg2000Lossless ? jpeg_2000(image, values) : htj2k(image, values);
}

}  // namespace fiducial::dicom::impl
