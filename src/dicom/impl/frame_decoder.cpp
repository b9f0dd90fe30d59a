#include "dicom/impl/frame_decoder.hpp"

#include <charls/charls.h>
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/oflog/oflog.h>
#include <openjpeg.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include "dicom/impl/image_decode.hpp"
#include "dicom/impl/inflater.hpp"
#include "dicom/impl/jpeg_markers.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom::impl {
namespace {

constexpr std::string_view kRle = "1.2.840.10008.1.2.5";

tl::unexpected<Error> damaged(std::string_view codec) {
    return fail(ErrorCode::malformed, "the image's " + std::string(codec) + " data cannot be decoded");
}
tl::unexpected<Error> other_size(std::string_view codec) {
    return fail(ErrorCode::malformed, "the image's " + std::string(codec) + " data is of another size than its header says");
}

RawFrame frame_like(const PixelDescription& image, Bytes decoded, std::uint32_t sample_bits) {
    RawFrame out;
    out.decoded = std::move(decoded);
    out.values = out.decoded;
    out.sample_bits = sample_bits;
    out.bits_stored = std::min(image.bits_stored, sample_bits);
    out.high_bit = std::min(image.high_bit, sample_bits - 1);
    out.is_signed = image.is_signed;
    out.photometric = image.photometric;
    return out;
}

Result<RawFrame> native(const PixelDescription& image, ByteView frame) {
    RawFrame out = frame_like(image, {}, image.bits_allocated);
    const auto bits = image.bits_allocated;
    if (bits != 1 && bits != 8 && bits != 16 && bits != 32)
        return fail(ErrorCode::unsupported, "the image's pixels are of a kind that is not shown");
    out.is_planar = image.is_planar && image.samples > 1;
    out.is_subsampled = image.photometric.find("_422") != std::string::npos;
    if (out.is_subsampled && (image.samples != 3 || bits != 8 || image.columns % 2 != 0))
        return fail(ErrorCode::unsupported, "the image's pixels are of a kind that is not shown");
    auto wanted = (image.sample_count() * bits + 7) / 8;
    if (out.is_subsampled) wanted = wanted / 3 * 2;
    if (frame.size() < wanted) return other_size("pixel");
    out.values = frame.first(wanted);
    return out;
}

/// Spec: PS3.5 §A.4.13
Result<RawFrame> deflated(const PixelDescription& image, ByteView frame) {
    const auto most = image.sample_count() * image.bits_allocated / 8 + 16;
    Bytes inflated;
    Inflater inflater(most);
    const auto done = inflater.feed(frame, [&](ByteView piece) -> Result<void> {
        append(inflated, piece);
        return {};
    });
    if (!done || !inflater.finish()) return damaged("deflated");
    FID_TRY(auto out, native(image, inflated));
    out.decoded = to_bytes(out.values);
    out.values = out.decoded;
    return out;
}

// JPEG with 8 bits: what the program reads pictures with, too.
Result<RawFrame> jpeg_8(const PixelDescription& image, ByteView frame) {
    auto decoded = decode_jpeg(frame, image.sample_count());
    if (!decoded) return damaged("JPEG");
    if (decoded->rows != image.rows || decoded->columns != image.columns || decoded->samples != image.samples) return other_size("JPEG");
    auto out = frame_like(image, std::move(decoded->pixels), 8);
    if (image.samples == 3) out.photometric = "RGB";
    return out;
}

// What else there is of JPEG: DCMTK takes data sets, so that it gets one with this frame alone.
Result<RawFrame> jpeg_by_dcmtk(const PixelDescription& image, E_TransferSyntax syntax, ByteView frame) {
    static std::once_flag registered;
    std::call_once(registered, [] {
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        DJDecoderRegistration::registerCodecs(EDC_photometricInterpretation, EUC_never, EPC_colorByPixel);
    });
    DcmDataset set;
    set.putAndInsertUint16(DCM_Rows, static_cast<Uint16>(image.rows));
    set.putAndInsertUint16(DCM_Columns, static_cast<Uint16>(image.columns));
    set.putAndInsertUint16(DCM_SamplesPerPixel, static_cast<Uint16>(image.samples));
    set.putAndInsertUint16(DCM_BitsAllocated, static_cast<Uint16>(image.bits_allocated));
    set.putAndInsertUint16(DCM_BitsStored, static_cast<Uint16>(image.bits_stored));
    set.putAndInsertUint16(DCM_HighBit, static_cast<Uint16>(image.high_bit));
    set.putAndInsertUint16(DCM_PixelRepresentation, image.is_signed ? 1 : 0);
    set.putAndInsertString(DCM_PhotometricInterpretation, image.photometric.c_str());
    if (image.samples > 1) set.putAndInsertUint16(DCM_PlanarConfiguration, image.is_planar ? 1 : 0);
    auto items = std::make_unique<DcmPixelSequence>(DcmTag(DCM_PixelData, EVR_OB));
    auto* table = new DcmPixelItem(DcmTag(DCM_Item, EVR_OB));
    auto* fragment = new DcmPixelItem(DcmTag(DCM_Item, EVR_OB));
    const bool filled = items->insert(table).good() && items->insert(fragment).good() &&
                        fragment->putUint8Array(frame.data(), static_cast<unsigned long>(frame.size())).good();
    auto pixels = std::make_unique<DcmPixelData>(DCM_PixelData);
    pixels->putOriginalRepresentation(syntax, nullptr, items.release());
    if (!filled || set.insert(pixels.release(), true).bad() || set.chooseRepresentation(EXS_LittleEndianExplicit, nullptr).bad())
        return damaged("JPEG");
    DcmElement* element = nullptr;
    if (set.findAndGetElement(DCM_PixelData, element).bad() || element == nullptr) return damaged("JPEG");
    Uint8* bytes = nullptr;
    Uint16* words = nullptr;
    const auto sample_bits = image.bits_allocated <= 8 ? 8u : 16u;
    const std::size_t size = image.sample_count() * sample_bits / 8;
    if (element->getLength() < size) return other_size("JPEG");
    if (element->getUint8Array(bytes).bad() || bytes == nullptr) {
        if (element->getUint16Array(words).bad() || words == nullptr) return damaged("JPEG");
        bytes = reinterpret_cast<Uint8*>(words);
    }
    auto out = frame_like(image, Bytes(bytes, bytes + size), sample_bits);
    Uint16 planar = 0;
    OFString photometric;
    out.is_planar = image.samples > 1 && set.findAndGetUint16(DCM_PlanarConfiguration, planar).good() && planar == 1;
    if (set.findAndGetOFString(DCM_PhotometricInterpretation, photometric).good()) out.photometric = photometric.c_str();
    return out;
}

Result<RawFrame> jpeg(const PixelDescription& image, E_TransferSyntax syntax, ByteView frame) {
    FID_TRY(const auto header, read_jpeg_header(frame));
    if (header.rows != image.rows || header.columns != image.columns || header.components != image.samples) return other_size("JPEG");
    const bool sequential = header.process == JpegProcess::baseline || header.process == JpegProcess::extended;
    if (sequential && header.precision == 8) return jpeg_8(image, frame);
    if (header.process == JpegProcess::progressive || header.precision > image.bits_allocated || image.bits_allocated > 16)
        return fail(ErrorCode::unsupported, "the image is a JPEG of a kind that is not shown");
    return jpeg_by_dcmtk(image, syntax, frame);
}

/// One segment. Spec: PS3.5 §G.3.1. Puts a byte at each `step`. Returns: false where it does not fill `count` of them.
bool unpack(ByteView segment, std::uint8_t* out, std::size_t count, std::size_t step) {
    std::size_t at = 0, done = 0;
    while (done < count && at < segment.size()) {
        const int control = static_cast<std::int8_t>(segment[at++]);
        if (control == -128) continue;
        const auto run = static_cast<std::size_t>(control >= 0 ? control + 1 : 1 - control);
        if (run > count - done || (control >= 0 ? run : 1) > segment.size() - at) return false;
        for (std::size_t i = 0; i < run; ++i) out[(done + i) * step] = segment[at + (control >= 0 ? i : 0)];
        at += control >= 0 ? run : 1;
        done += run;
    }
    return done == count;
}

/// Spec: PS3.5 Annex G: a segment for each byte of each sample, the highest first. Single bits are packed into bytes before.
Result<RawFrame> rle(const PixelDescription& image, ByteView frame) {
    constexpr std::size_t kHeader = 64;
    const bool are_bits = image.bits_allocated == 1 && image.samples == 1;
    const std::size_t width = are_bits ? 1 : image.bits_allocated / 8, segments = image.samples * width;
    if ((image.bits_allocated % 8 != 0 && !are_bits) || segments > 15)
        return fail(ErrorCode::unsupported, "the image's pixels are of a kind that is not shown");
    const auto number = [&](std::size_t index) {
        const auto* at = frame.data() + 4 * index;
        return std::uint32_t{at[0]} | std::uint32_t{at[1]} << 8 | std::uint32_t{at[2]} << 16 | std::uint32_t{at[3]} << 24;
    };
    if (frame.size() < kHeader) return damaged("RLE");
    if (number(0) != segments) return other_size("RLE");
    std::size_t pixels = std::size_t{image.rows} * image.columns;
    if (are_bits) pixels = (pixels + 7) / 8;
    Bytes decoded(pixels * segments);
    for (std::size_t i = 0; i < segments; ++i) {
        const std::size_t begin = number(i + 1), end = i + 1 < segments ? number(i + 2) : frame.size();
        if (begin < kHeader || begin > end || end > frame.size()) return damaged("RLE");
        const auto place = i / width * width + (width - 1 - i % width);  // little-endian, by pixel
        if (!unpack(frame.subspan(begin, end - begin), decoded.data() + place, pixels, segments)) return damaged("RLE");
    }
    return frame_like(image, std::move(decoded), image.bits_allocated);
}

/// JPEG-LS knows no sign: the bits above a negative value's are set, as they are where it is not compressed.
void extend_signs(Bytes& values, std::uint32_t sample_bits, std::uint32_t bits_stored) {
    const std::size_t width = sample_bits / 8;
    const auto above = bits_stored < sample_bits ? ~0u << bits_stored : 0u;
    for (std::size_t at = 0; at < values.size(); at += width) {
        std::uint32_t value = values[at];
        if (width == 2) value |= std::uint32_t{values[at + 1]} << 8;
        if ((value >> (bits_stored - 1) & 1u) == 0) continue;
        value |= above;
        values[at] = static_cast<std::uint8_t>(value);
        if (width == 2) values[at + 1] = static_cast<std::uint8_t>(value >> 8);
    }
}

Result<RawFrame> jpeg_ls(const PixelDescription& image, ByteView frame) {
    try {
        Bytes ended = to_bytes(frame);
        append(ended, Bytes{0xff, 0xd9});  // without an end of image CharLS 2.4 reads for ever
        charls::jpegls_decoder decoder;
        decoder.source(ended.data(), ended.size()).read_header();
        const auto info = decoder.frame_info();
        if (info.width != image.columns || info.height != image.rows || info.component_count != static_cast<int>(image.samples))
            return other_size("JPEG-LS");
        if (info.bits_per_sample > 16) return fail(ErrorCode::unsupported, "the image's pixels are of a kind that is not shown");
        const std::uint32_t sample_bits = info.bits_per_sample <= 8 ? 8 : 16;
        Bytes decoded(image.sample_count() * sample_bits / 8);
        if (decoder.destination_size() != decoded.size()) return other_size("JPEG-LS");
        decoder.decode(decoded.data(), decoded.size());
        if (image.is_signed && image.bits_stored <= sample_bits) extend_signs(decoded, sample_bits, image.bits_stored);
        auto out = frame_like(image, std::move(decoded), sample_bits);
        out.is_planar = image.samples > 1 && decoder.interleave_mode() == charls::interleave_mode::none;
        return out;
    } catch (const std::exception&) {
        return damaged("JPEG-LS");
    }
}

struct Source {
    ByteView bytes;
    std::size_t at = 0;
};

OPJ_SIZE_T read_source(void* out, OPJ_SIZE_T count, void* from) {
    auto& source = *static_cast<Source*>(from);
    const auto got = std::min<std::size_t>(count, source.bytes.size() - source.at);
    if (got == 0) return static_cast<OPJ_SIZE_T>(-1);
    std::copy_n(source.bytes.begin() + static_cast<std::ptrdiff_t>(source.at), got, static_cast<std::uint8_t*>(out));
    source.at += got;
    return got;
}
OPJ_OFF_T skip_source(OPJ_OFF_T count, void* from) {
    auto& source = *static_cast<Source*>(from);
    const auto left = static_cast<OPJ_OFF_T>(source.bytes.size() - source.at);
    if (count < 0 || left == 0) return -1;
    count = std::min(count, left);
    source.at += static_cast<std::size_t>(count);
    return count;
}
OPJ_BOOL seek_source(OPJ_OFF_T to, void* from) {
    auto& source = *static_cast<Source*>(from);
    if (to < 0 || static_cast<std::size_t>(to) > source.bytes.size()) return OPJ_FALSE;
    source.at = static_cast<std::size_t>(to);
    return OPJ_TRUE;
}

/// Whether all components have the size and depth that we can take. Returns: the depth; 0 where they do not.
std::uint32_t common_depth(const opj_image_t& decoded, const PixelDescription& image) {
    if (decoded.numcomps != image.samples) return 0;
    for (OPJ_UINT32 i = 0; i < decoded.numcomps; ++i) {
        const auto& component = decoded.comps[i];
        if (component.w != image.columns || component.h != image.rows || component.dx != 1 || component.dy != 1) return 0;
        if (component.prec < 1 || component.prec > 16 || component.prec != decoded.comps[0].prec) return 0;
    }
    return decoded.comps[0].prec;
}

Bytes interleaved(const opj_image_t& decoded, const PixelDescription& image, std::uint32_t sample_bits) {
    const std::size_t pixels = std::size_t{image.rows} * image.columns, samples = image.samples;
    Bytes out(pixels * samples * sample_bits / 8);
    for (std::size_t s = 0; s < samples; ++s) {
        const auto* from = decoded.comps[s].data;
        for (std::size_t i = 0; i < pixels; ++i) {
            const auto value = static_cast<std::uint32_t>(from[i]);
            const auto at = i * samples + s;
            if (sample_bits == 8) {
                out[at] = static_cast<std::uint8_t>(value);
            } else {
                out[2 * at] = static_cast<std::uint8_t>(value);
                out[2 * at + 1] = static_cast<std::uint8_t>(value >> 8);
            }
        }
    }
    return out;
}

Result<RawFrame> jpeg_2000(const PixelDescription& image, ByteView frame) {
    constexpr std::uint8_t kJp2[] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
    const bool boxed = frame.size() > sizeof kJp2 && std::equal(std::begin(kJp2), std::end(kJp2), frame.begin());
    Source source{frame};
    const std::unique_ptr<opj_stream_t, void (*)(opj_stream_t*)> stream(opj_stream_create(65'536, OPJ_TRUE),
                                                                        [](opj_stream_t* one) { opj_stream_destroy(one); });
    const std::unique_ptr<opj_codec_t, void (*)(opj_codec_t*)> codec(opj_create_decompress(boxed ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K),
                                                                     [](opj_codec_t* one) { opj_destroy_codec(one); });
    if (!stream || !codec) return fail(ErrorCode::limit_exceeded, "there is no memory left to decode the image");
    opj_stream_set_user_data(stream.get(), &source, nullptr);
    opj_stream_set_user_data_length(stream.get(), frame.size());
    opj_stream_set_read_function(stream.get(), read_source);
    opj_stream_set_skip_function(stream.get(), skip_source);
    opj_stream_set_seek_function(stream.get(), seek_source);
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    opj_image_t* made = nullptr;
    if (opj_setup_decoder(codec.get(), &parameters) == OPJ_FALSE || opj_read_header(stream.get(), codec.get(), &made) == OPJ_FALSE)
        return damaged("JPEG 2000");
    const std::unique_ptr<opj_image_t, void (*)(opj_image_t*)> decoded(made, [](opj_image_t* one) { opj_image_destroy(one); });
    if (common_depth(*decoded, image) == 0) return other_size("JPEG 2000");
    if (opj_decode(codec.get(), stream.get(), decoded.get()) == OPJ_FALSE || opj_end_decompress(codec.get(), stream.get()) == OPJ_FALSE)
        return damaged("JPEG 2000");
    const auto depth = common_depth(*decoded, image);  // again: boxes may change it
    for (OPJ_UINT32 i = 0; i < decoded->numcomps; ++i) {
        if (depth == 0 || decoded->comps[i].data == nullptr) return damaged("JPEG 2000");
    }
    const std::uint32_t sample_bits = depth <= 8 ? 8 : 16;
    auto out = frame_like(image, interleaved(*decoded, image, sample_bits), sample_bits);
    if (image.photometric == "YBR_RCT" || image.photometric == "YBR_ICT") out.photometric = "RGB";  // undone by the decoder
    return out;
}

struct DcmtkSyntax {
    std::string_view uid;
    E_TransferSyntax syntax;
};
constexpr DcmtkSyntax kJpeg[] = {
    {"1.2.840.10008.1.2.4.50", EXS_JPEGProcess1},
    {"1.2.840.10008.1.2.4.51", EXS_JPEGProcess2_4},
    {"1.2.840.10008.1.2.4.57", EXS_JPEGProcess14},
    {"1.2.840.10008.1.2.4.70", EXS_JPEGProcess14SV1},
};
constexpr std::string_view kJpegLs[] = {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"};
constexpr std::string_view kJpeg2000[] = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.201",
                                          "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"};

}  // namespace

Result<RawFrame> decode_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame) {
    const auto* known = find_transfer_syntax(transfer_syntax);
    if (known != nullptr && !known->encapsulated && !known->big_endian) return native(image, frame);
    for (const auto& [uid, syntax] : kJpeg) {
        if (uid == transfer_syntax) return jpeg(image, syntax, frame);
    }
    if (transfer_syntax == kRle) return rle(image, frame);
    if (transfer_syntax == kEncapsulatedUncompressed) return native(image, frame);
    if (transfer_syntax == kDeflatedImageFrame) return deflated(image, frame);
    if (std::find(std::begin(kJpegLs), std::end(kJpegLs), transfer_syntax) != std::end(kJpegLs)) return jpeg_ls(image, frame);
    if (std::find(std::begin(kJpeg2000), std::end(kJpeg2000), transfer_syntax) != std::end(kJpeg2000)) return jpeg_2000(image, frame);
    return fail(ErrorCode::unsupported,
                "images in transfer syntax " + std::string(transfer_syntax) + " are not shown; retrieve the instance");
}

}  // namespace fiducial::dicom::impl
