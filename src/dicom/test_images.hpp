#pragma once
// Images for tests, and what other programs make of them without loss.
#include <charls/charls.h>
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrleerg.h>
#include <dcmtk/dcmdata/dcrlerp.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmjpeg/djencode.h>
#include <dcmtk/dcmjpeg/djrplol.h>
#include <gtest/gtest.h>
#include <openjpeg.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/pixel_description.hpp"

namespace fiducial::dicom::test {

inline constexpr std::string_view kJpegLossless = "1.2.840.10008.1.2.4.70", kRle = "1.2.840.10008.1.2.5",
                                  kJpegLs = "1.2.840.10008.1.2.4.80", kJpeg2000 = "1.2.840.10008.1.2.4.90";

inline PixelDescription grey(std::uint32_t rows, std::uint32_t columns, std::uint32_t allocated, std::uint32_t stored,
                             bool is_signed = false) {
    PixelDescription image;
    image.rows = rows;
    image.columns = columns;
    image.bits_allocated = allocated;
    image.bits_stored = stored;
    image.high_bit = stored - 1;
    image.is_signed = is_signed;
    image.photometric = "MONOCHROME2";
    return image;
}
inline PixelDescription colour(std::uint32_t rows, std::uint32_t columns, std::string photometric = "RGB") {
    auto image = grey(rows, columns, 8, 8);
    image.samples = 3;
    image.photometric = std::move(photometric);
    return image;
}

inline Bytes noise(std::size_t size, unsigned seed = 1) {
    Bytes out(size);
    for (auto& byte : out) {
        seed = seed * 1'103'515'245u + 12'345u;
        byte = static_cast<std::uint8_t>(seed >> 16);
    }
    return out;
}

inline Bytes by_charls(const PixelDescription& image, ByteView frame) {
    charls::jpegls_encoder encoder;
    encoder.frame_info({image.columns, image.rows, static_cast<int>(image.bits_stored), static_cast<int>(image.samples)});
    if (image.samples == 3) encoder.interleave_mode(charls::interleave_mode::sample);
    Bytes out(encoder.estimated_destination_size());
    encoder.destination(out);
    out.resize(encoder.encode(frame.data(), frame.size()));
    return out;
}

inline Bytes by_openjpeg(const PixelDescription& image, ByteView frame) {
    opj_cparameters_t parameters;
    opj_set_default_encoder_parameters(&parameters);
    parameters.tcp_numlayers = 1;
    parameters.cp_disto_alloc = 1;
    parameters.numresolution = 3;
    parameters.tcp_mct = image.samples == 3 ? 1 : 0;
    std::vector<opj_image_cmptparm_t> components(image.samples);
    for (auto& one : components) {
        one = {};
        one.dx = one.dy = 1;
        one.w = image.columns;
        one.h = image.rows;
        one.prec = image.bits_stored;
        one.sgnd = image.is_signed ? 1 : 0;
    }
    auto* made = opj_image_create(image.samples, components.data(), image.samples == 3 ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_GRAY);
    made->x1 = image.columns;
    made->y1 = image.rows;
    for (std::size_t i = 0; i < image.sample_count(); ++i) {
        int value = frame[i];
        if (image.bits_allocated == 16) value = frame[2 * i] | frame[2 * i + 1] << 8;
        value &= (1 << image.bits_stored) - 1;
        if (image.is_signed && (value >> (image.bits_stored - 1) & 1) != 0) value -= 1 << image.bits_stored;
        made->comps[i % image.samples].data[i / image.samples] = value;
    }
    auto* codec = opj_create_compress(OPJ_CODEC_J2K);
    auto* stream = opj_stream_create(4096, OPJ_FALSE);
    Bytes out;
    opj_stream_set_user_data(stream, &out, nullptr);
    opj_stream_set_write_function(stream, [](void* from, OPJ_SIZE_T size, void* to) -> OPJ_SIZE_T {
        append(*static_cast<Bytes*>(to), {static_cast<const std::uint8_t*>(from), size});
        return size;
    });
    EXPECT_TRUE(opj_setup_encoder(codec, &parameters, made) && opj_start_compress(codec, made, stream) && opj_encode(codec, stream) &&
                opj_end_compress(codec, stream));
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(made);
    return out;
}

inline Bytes by_dcmtk(const PixelDescription& image, ByteView frame, E_TransferSyntax syntax, const DcmRepresentationParameter& parameter) {
    static const bool registered = [] {
        DJEncoderRegistration::registerCodecs();
        DcmRLEEncoderRegistration::registerCodecs();
        return true;
    }();
    EXPECT_TRUE(registered);
    DcmDataset set;
    set.putAndInsertUint16(DCM_Rows, static_cast<Uint16>(image.rows));
    set.putAndInsertUint16(DCM_Columns, static_cast<Uint16>(image.columns));
    set.putAndInsertUint16(DCM_SamplesPerPixel, static_cast<Uint16>(image.samples));
    set.putAndInsertUint16(DCM_BitsAllocated, static_cast<Uint16>(image.bits_allocated));
    set.putAndInsertUint16(DCM_BitsStored, static_cast<Uint16>(image.bits_stored));
    set.putAndInsertUint16(DCM_HighBit, static_cast<Uint16>(image.high_bit));
    set.putAndInsertUint16(DCM_PixelRepresentation, image.is_signed ? 1 : 0);
    set.putAndInsertString(DCM_PhotometricInterpretation, image.photometric.c_str());
    set.putAndInsertString(DCM_SOPClassUID, UID_SecondaryCaptureImageStorage);
    set.putAndInsertString(DCM_SOPInstanceUID, "1.2.3");
    if (image.samples == 3) set.putAndInsertUint16(DCM_PlanarConfiguration, 0);
    if (image.bits_allocated == 8) {
        set.putAndInsertUint8Array(DCM_PixelData, frame.data(), static_cast<unsigned long>(frame.size()));
    } else {
        set.putAndInsertUint16Array(DCM_PixelData, reinterpret_cast<const Uint16*>(frame.data()),
                                    static_cast<unsigned long>(frame.size() / 2));
    }
    EXPECT_TRUE(set.chooseRepresentation(syntax, &parameter).good());
    DcmElement* element = nullptr;
    EXPECT_TRUE(set.findAndGetElement(DCM_PixelData, element).good());
    auto* pixels = dynamic_cast<DcmPixelData*>(element);
    DcmPixelSequence* items = nullptr;
    EXPECT_TRUE(pixels != nullptr && pixels->getEncapsulatedRepresentation(syntax, &parameter, items).good());
    Bytes out;
    for (unsigned long i = 1; items != nullptr && i < items->card(); ++i) {
        DcmPixelItem* item = nullptr;
        Uint8* bytes = nullptr;
        if (items->getItem(item, i).bad() || item->getUint8Array(bytes).bad()) break;
        append(out, {bytes, item->getLength()});
    }
    return out;
}

struct Encoded {
    std::string_view syntax;
    Bytes bytes;
};

inline std::vector<Encoded> encoded(const PixelDescription& image, ByteView frame) {
    std::vector<Encoded> out{{kJpeg2000, by_openjpeg(image, frame)},
                             {kRle, by_dcmtk(image, frame, EXS_RLELossless, DcmRLERepresentationParameter())},
                             {kJpegLossless, by_dcmtk(image, frame, EXS_JPEGProcess14SV1, DJ_RPLossless(1, 0))}};
    if (!image.is_signed) out.push_back({kJpegLs, by_charls(image, frame)});
    return out;
}

}  // namespace fiducial::dicom::test
