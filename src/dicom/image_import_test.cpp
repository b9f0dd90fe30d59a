#include "dicom/image_import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include <jpeglib.h>
#include <png.h>

#include "base/file.hpp"
#include "crypto/hash.hpp"
#include "dicom/data_set_scanner.hpp"

namespace fiducial::dicom {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const Bytes kSecret(32, 7);

ImportedPatient jane() {
    ImportedPatient p;
    p.patient_id.value = "4711";
    p.issuer.value = "HOSPITAL";
    p.name.value = "Müller^Jane";
    p.birth_date.value = "19800229";
    p.sex = "F";
    p.study_description.value = "Chest";
    p.study_date = "20240102";
    return p;
}

struct JpegKind {
    int components = 1;
    bool progressive = false;
    int restart = 0;
};

// A gradient with an edge, so that a decoder has something to do.
Bytes gradient(int width, int height, int components) {
    Bytes out;
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            for (int c = 0; c < components; ++c)
                out.push_back(static_cast<std::uint8_t>((x * 3 + y * 2 * (c + 1) + (x > width / 2 ? 60 : 0)) & 255));
        }
    }
    return out;
}

Bytes make_jpeg(int width, int height, JpegKind kind) {
    jpeg_compress_struct info{};
    jpeg_error_mgr errors{};
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char* memory = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&info, &memory, &size);
    info.image_width = static_cast<JDIMENSION>(width);
    info.image_height = static_cast<JDIMENSION>(height);
    info.input_components = kind.components;
    info.in_color_space = kind.components == 1 ? JCS_GRAYSCALE : kind.components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 90, TRUE);
    if (kind.progressive) jpeg_simple_progression(&info);
    info.restart_interval = static_cast<unsigned>(kind.restart);
    jpeg_start_compress(&info, TRUE);
    auto pixels = gradient(width, height, kind.components);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = pixels.data() + info.next_scanline * static_cast<unsigned>(width * kind.components);
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    Bytes out(memory, memory + size);
    free(memory);
    jpeg_destroy_compress(&info);
    return out;
}

Bytes make_png(int width, int height, int colour, int depth, const Bytes& rows, const std::vector<png_color>& palette = {}) {
    Bytes out;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(
        png, &out,
        [](png_structp p, png_bytep data, png_size_t size) { append(*static_cast<Bytes*>(png_get_io_ptr(p)), ByteView(data, size)); },
        nullptr);
    png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), depth, colour, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (!palette.empty()) png_set_PLTE(png, info, palette.data(), static_cast<int>(palette.size()));
    png_write_info(png, info);
    const std::size_t stride = rows.size() / static_cast<std::size_t>(height);
    for (int y = 0; y < height; ++y) png_write_row(png, rows.data() + static_cast<std::size_t>(y) * stride);
    png_write_end(png, nullptr);
    png_destroy_write_struct(&png, &info);
    return out;
}

InstanceHeader scanned(const ImportedImage& image) {
    Bytes file = image.prefix;
    append(file, image.data_set);
    const auto header = scan_file(file);
    EXPECT_TRUE(header) << header.error().message;
    if (!header) return {};
    EXPECT_TRUE(header->warnings.empty()) << header->warnings.front();
    EXPECT_EQ(header->identity.transfer_syntax, image.transfer_syntax);
    EXPECT_EQ(header->identity.sop_instance, image.sop_instance);
    EXPECT_EQ(header->identity.study, image.study);
    EXPECT_EQ(header->identity.series, image.series);
    EXPECT_EQ(header->identity.sop_class, image.sop_class);
    return *header;
}

ByteView pixels_of(const ImportedImage& image, const InstanceHeader& header) {
    return ByteView(image.data_set).subspan(header.pixel_offset, header.pixel_length);
}

std::string error_of(const Result<ImportedImage>& image) {
    return image ? "taken" : image.error().message;
}

TEST(PS3_5_A4_1, GreyBaselineJpegIsWrappedUntouchedAsComputedRadiography) {
    for (const int restart : {0, 4}) {
        const auto jpeg = make_jpeg(61, 40, {1, false, restart});
        const auto image = import_image(jpeg, jane(), kSecret);
        ASSERT_TRUE(image) << image.error().message;
        EXPECT_EQ(image->sop_class.text(), "1.2.840.10008.5.1.4.1.1.1");
        EXPECT_EQ(image->transfer_syntax, kJpegBaseline);
        EXPECT_TRUE(image->pixels_as_brought);
        EXPECT_EQ(image->source_sha256, crypto::sha256(jpeg));
        const auto header = scanned(*image);
        const auto value = pixels_of(*image, header);
        ASSERT_GE(value.size(), 16 + jpeg.size());
        EXPECT_TRUE(std::equal(jpeg.begin(), jpeg.end(), value.begin() + 16)) << "empty offset table, then the file";
        EXPECT_EQ(value.size(), 16 + jpeg.size() + jpeg.size() % 2);
        EXPECT_EQ(header.attributes.first(tags::kModality), "CR");
        EXPECT_EQ(header.attributes.first(tags::kRows), "40");
        EXPECT_EQ(header.attributes.first(tags::kColumns), "61");
        EXPECT_EQ(header.attributes.first(tags::kPatientName), "Müller^Jane");
        EXPECT_EQ(header.attributes.first(tags::kPatientBirthDate), "19800229");
        EXPECT_EQ(header.attributes.first(0x00282110), "01");
    }
}

TEST(PS3_3_A26, GreyImagesBecomeDigitalXRayWhereAsked) {
    ImageImportOptions options;
    options.radiograph = RadiographClass::digital;
    const auto image = import_image(make_jpeg(16, 16, {}), jane(), kSecret, options);
    ASSERT_TRUE(image);
    const auto header = scanned(*image);
    EXPECT_EQ(header.attributes.first(tags::kSopClassUid), "1.2.840.10008.5.1.4.1.1.1.1");
    EXPECT_EQ(header.attributes.first(tags::kModality), "DX");
    EXPECT_EQ(header.attributes.first(0x00080068), "FOR PRESENTATION");
    const auto as_cr = import_image(make_jpeg(16, 16, {}), jane(), kSecret);
    ASSERT_TRUE(as_cr);
    EXPECT_NE(as_cr->sop_instance, image->sop_instance);
    EXPECT_EQ(as_cr->study, image->study);
}

TEST(PS3_3_A8_1, ColourJpegIsWrappedAsSecondaryCapture) {
    const auto jpeg = make_jpeg(32, 24, {3, false, 0});
    const auto image = import_image(jpeg, jane(), kSecret);
    ASSERT_TRUE(image);
    EXPECT_EQ(image->sop_class.text(), "1.2.840.10008.5.1.4.1.1.7");
    EXPECT_TRUE(image->pixels_as_brought);
    EXPECT_EQ(scanned(*image).attributes.first(0x00280004), "YBR_FULL_422");
}

TEST(PS3_5_A2, ProgressiveAndCmykJpegsAreDecodedToNativePixels) {
    const auto baseline = import_image(make_jpeg(61, 40, {1, false, 0}), jane(), kSecret);
    const auto progressive = import_image(make_jpeg(61, 40, {1, true, 0}), jane(), kSecret);
    ASSERT_TRUE(baseline && progressive);
    EXPECT_FALSE(progressive->pixels_as_brought);
    EXPECT_EQ(progressive->transfer_syntax, kExplicitVrLittleEndian);
    auto header = scanned(*progressive);
    const auto pixels = pixels_of(*progressive, header);
    ASSERT_EQ(pixels.size(), 61u * 40u);
    const auto drawn = gradient(61, 40, 1);
    double error = 0;
    for (std::size_t i = 0; i < drawn.size(); ++i) error += std::abs(int{drawn[i]} - int{pixels[i]});
    EXPECT_LT(error / static_cast<double>(drawn.size()), 12.0);

    const auto cmyk = import_image(make_jpeg(30, 20, {4, false, 0}), jane(), kSecret);
    ASSERT_TRUE(cmyk) << cmyk.error().message;
    header = scanned(*cmyk);
    EXPECT_EQ(header.attributes.first(0x00280004), "RGB");
    EXPECT_EQ(header.pixel_length, 30u * 20u * 3u);
}

TEST(PNG_11_2, EveryKindOfPngComesOutAsNativePixels) {
    Bytes deep;
    for (int i = 0; i < 6; ++i) append_be<std::uint16_t>(deep, static_cast<std::uint16_t>(i * 1000 + 3));
    auto image = import_image(make_png(3, 2, PNG_COLOR_TYPE_GRAY, 16, deep), jane(), kSecret);
    ASSERT_TRUE(image) << image.error().message;
    auto header = scanned(*image);
    EXPECT_EQ(header.attributes.first(tags::kModality), "CR");
    EXPECT_EQ(header.attributes.first(0x00280101), "16");
    auto pixels = pixels_of(*image, header);
    ASSERT_EQ(pixels.size(), 12u);
    for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(pixels[2 * i] | pixels[2 * i + 1] << 8, static_cast<int>(i) * 1000 + 3);

    image = import_image(make_png(8, 1, PNG_COLOR_TYPE_GRAY, 1, {0b10100001}), jane(), kSecret);
    ASSERT_TRUE(image);
    header = scanned(*image);
    EXPECT_EQ(to_bytes(pixels_of(*image, header)), (Bytes{255, 0, 255, 0, 0, 0, 0, 255}));

    image = import_image(make_png(2, 1, PNG_COLOR_TYPE_RGB, 8, {1, 2, 3, 4, 5, 6}), jane(), kSecret);
    ASSERT_TRUE(image);
    header = scanned(*image);
    EXPECT_EQ(header.attributes.first(tags::kModality), "OT");
    EXPECT_EQ(to_bytes(pixels_of(*image, header)), (Bytes{1, 2, 3, 4, 5, 6}));

    image = import_image(make_png(2, 1, PNG_COLOR_TYPE_GRAY_ALPHA, 8, {9, 0, 8, 255}), jane(), kSecret);
    ASSERT_TRUE(image);
    header = scanned(*image);
    EXPECT_EQ(to_bytes(pixels_of(*image, header)), (Bytes{9, 8}));

    image = import_image(make_png(2, 1, PNG_COLOR_TYPE_PALETTE, 8, {1, 0}, {{9, 9, 9}, {77, 77, 77}}), jane(), kSecret);
    ASSERT_TRUE(image);
    header = scanned(*image);
    EXPECT_EQ(header.attributes.first(0x00280004), "MONOCHROME2");
    EXPECT_EQ(to_bytes(pixels_of(*image, header)), (Bytes{77, 9}));

    image = import_image(make_png(2, 1, PNG_COLOR_TYPE_PALETTE, 8, {1, 0}, {{9, 9, 9}, {77, 0, 77}}), jane(), kSecret);
    ASSERT_TRUE(image);
    header = scanned(*image);
    EXPECT_EQ(to_bytes(pixels_of(*image, header)), (Bytes{77, 0, 77, 9, 9, 9}));
}

TEST(PS3_5_B2, ImagesOfNobodyKnownShareNothing) {
    ImportedPatient nobody;
    nobody.study_date = "20260102";
    const auto one = import_image(make_jpeg(16, 16, {}), nobody, kSecret), other = import_image(make_jpeg(16, 24, {}), nobody, kSecret),
               again = import_image(make_jpeg(16, 16, {}), nobody, kSecret);
    ASSERT_TRUE(one && other && again);
    EXPECT_NE(one->study, other->study);
    EXPECT_NE(one->series, other->series);
    EXPECT_EQ(one->data_set, again->data_set) << "importing again is a duplicate";
    EXPECT_EQ(scanned(*one).identity.patient_id.value, "");
}

TEST(PS3_5_B2, TheSameFileForTheSameStudyIsTheSameInstance) {
    const auto jpeg = make_jpeg(16, 16, {});
    const auto first = import_image(jpeg, jane(), kSecret);
    const auto again = import_image(jpeg, jane(), kSecret);
    ASSERT_TRUE(first && again);
    EXPECT_EQ(first->data_set, again->data_set);
    EXPECT_EQ(first->prefix, again->prefix);
    EXPECT_THAT(first->sop_instance.text(), ::testing::MatchesRegex("2\\.25\\.(0|[1-9][0-9]*)"));

    const auto other_file = import_image(make_jpeg(16, 17, {}), jane(), kSecret);
    ASSERT_TRUE(other_file);
    EXPECT_EQ(other_file->study, first->study);
    EXPECT_EQ(other_file->series, first->series);
    EXPECT_NE(other_file->sop_instance, first->sop_instance);

    auto someone = jane();
    someone.patient_id.value = "4712";
    someone.study_key = "S1";
    auto jane_keyed = jane();
    jane_keyed.study_key = "S1";
    const auto a = import_image(jpeg, someone, kSecret), b = import_image(jpeg, jane_keyed, kSecret),
               c = import_image(jpeg, jane(), Bytes(32, 8));
    ASSERT_TRUE(a && b && c);
    EXPECT_NE(a->study, b->study) << "a study never spans patients";
    EXPECT_NE(c->study, first->study) << "another site's UIDs cannot be guessed";
    EXPECT_NE(c->sop_instance, first->sop_instance);
}

TEST(PS3_5_B2, UidsAreTheDecimalOfTheFirst128Bits) {
    Hash hash{};
    EXPECT_EQ(uid_from_hash(hash).text(), "2.25.0");
    hash.fill(0xff);
    EXPECT_EQ(uid_from_hash(hash).text(), "2.25.340282366920938463463374607431768211455");
    hash.fill(0);
    hash[15] = 10;
    hash[16] = 99;
    EXPECT_EQ(uid_from_hash(hash).text(), "2.25.10");
}

TEST(T81_B, DamagedAndForeignJpegsAreRefused) {
    const auto good = make_jpeg(61, 40, {});
    EXPECT_EQ(error_of(import_image(as_bytes("GIF89a"), jane(), kSecret)), "the file is neither JPEG nor PNG");
    EXPECT_EQ(error_of(import_image({}, jane(), kSecret)), "the file is neither JPEG nor PNG");
    for (const std::size_t size : {3u, 4u, 10u, 200u, 500u})
        EXPECT_THAT(error_of(import_image(ByteView(good).first(size), jane(), kSecret)), HasSubstr("the JPEG file ")) << size;
    EXPECT_THAT(error_of(import_image(ByteView(good).first(good.size() - 2), jane(), kSecret)), HasSubstr("is cut off"));
    const auto with_sof = [&](std::size_t offset, std::uint8_t value) {
        auto bad = good;
        for (std::size_t i = 0; i + 1 < bad.size(); ++i) {
            if (bad[i] == 0xff && bad[i + 1] == 0xc0) {
                bad[i + offset] = value;
                break;
            }
        }
        return error_of(import_image(bad, jane(), kSecret));
    };
    EXPECT_EQ(with_sof(1, 0xc3), "the JPEG file is lossless, hierarchical or arithmetic coded");
    EXPECT_EQ(with_sof(1, 0xc9), "the JPEG file is lossless, hierarchical or arithmetic coded");
    EXPECT_EQ(with_sof(4, 12), "the JPEG file has 12 bits a sample");
    EXPECT_THAT(with_sof(9, 2), HasSubstr("has a frame header that does not add up"));
    EXPECT_THAT(with_sof(5, 0xff), HasSubstr("the JPEG image")) << "more rows than it has data for";
    ImageImportOptions small;
    small.pixels = 1000;
    EXPECT_EQ(error_of(import_image(good, jane(), kSecret, small)), "the JPEG image has more than 1000 pixels");
    small.source_bytes = 10;
    EXPECT_EQ(error_of(import_image(good, jane(), kSecret, small)), "the image file is larger than 10 bytes");
}

TEST(T81_B, SomethingBehindTheEndMarkerIsNotWrapped) {
    auto jpeg = make_jpeg(16, 16, {});
    append(jpeg, as_bytes("PK trailing archive"));
    const auto image = import_image(jpeg, jane(), kSecret);
    ASSERT_TRUE(image);
    EXPECT_FALSE(image->pixels_as_brought);
    EXPECT_EQ(as_text(image->data_set).find("PK trailing"), std::string_view::npos);
}

TEST(PNG_13_2, DamagedPngsAreRefused) {
    const auto good = make_png(2, 1, PNG_COLOR_TYPE_RGB, 8, {1, 2, 3, 4, 5, 6});
    for (std::size_t size = 8; size < good.size(); size += 5)
        EXPECT_EQ(error_of(import_image(ByteView(good).first(size), jane(), kSecret)), "the PNG image cannot be decoded");
    auto flipped = good;
    flipped[20] ^= 1;
    EXPECT_EQ(error_of(import_image(flipped, jane(), kSecret)), "the PNG image cannot be decoded");
    ImageImportOptions small;
    small.pixels = 1;
    EXPECT_EQ(error_of(import_image(good, jane(), kSecret, small)), "the PNG image has more than 1 pixels");
}

TEST(PS3_5_6_2, PatientDataThatDicomCannotHoldIsRefusedWithoutNamingIt) {
    const auto jpeg = make_jpeg(8, 8, {});
    const auto error = [&](auto change) {
        auto p = jane();
        change(p);
        return error_of(import_image(jpeg, p, kSecret));
    };
    EXPECT_EQ(error([](auto& p) { p.patient_id.value = "a\\b"; }), "patient id holds a backslash or control character");
    EXPECT_EQ(error([](auto& p) { p.patient_id.value = std::string(65, 'x'); }), "patient id is longer than 64 characters");
    EXPECT_EQ(error([](auto& p) { p.name.value = "M\xfcller"; }), "patient name is not UTF-8");
    EXPECT_EQ(error([](auto& p) { p.name.value = "a=b=c=d"; }), "patient name has more than three component groups");
    EXPECT_EQ(error([](auto& p) { p.name.value = std::string(65, 'x'); }), "patient name is longer than 64 characters");
    EXPECT_EQ(error([](auto& p) { p.birth_date.value = "1980-02-29"; }), "a date is not YYYYMMDD");
    EXPECT_EQ(error([](auto& p) { p.study_date = "20230229"; }), "a date is not YYYYMMDD");
    EXPECT_EQ(error([](auto& p) { p.study_time = "25"; }), "the study time is not HHMMSS");
    EXPECT_EQ(error([](auto& p) { p.sex = "X"; }), "the sex is none of M, F, O");
    EXPECT_EQ(error([](auto& p) { p.body_part = "chest"; }), "body part is not a code string");
    EXPECT_EQ(error([](auto& p) { p.accession_number.value = std::string(17, '1'); }), "accession number is longer than 16 characters");
    EXPECT_EQ(error([](auto& p) { p = ImportedPatient{}; }), "taken");
}

std::string output_of(const std::string& command) {
    std::string out;
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return out;
    std::array<char, 65536> buffer;
    while (const auto got = fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), got);
    pclose(pipe);
    return out;
}

TEST(PS3_10_7, DcmtkReadsAndDecodesWhatWeMake) {
    if (output_of("command -v dcmj2pnm").empty()) GTEST_SKIP() << "no dcmj2pnm (package dcmtk)";
    const auto folder = fs::temp_directory_path() / ("fiducial-import-" + std::to_string(getpid()));
    fs::create_directories(folder);
    const std::vector<std::pair<Bytes, std::string>> sources = {{make_jpeg(61, 40, {}), "P5"},
                                                                {make_jpeg(61, 40, {3, false, 0}), "P6"},
                                                                {make_jpeg(61, 40, {1, true, 0}), "P5"},
                                                                {make_jpeg(61, 40, {4, false, 0}), "P6"},
                                                                {make_png(61, 40, PNG_COLOR_TYPE_GRAY, 8, gradient(61, 40, 1)), "P5"},
                                                                {make_png(61, 40, PNG_COLOR_TYPE_RGB, 8, gradient(61, 40, 3)), "P6"}};
    for (const auto radiograph : {RadiographClass::computed, RadiographClass::digital}) {
        for (const auto& [source, magic] : sources) {
            ImageImportOptions options;
            options.radiograph = radiograph;
            const auto image = import_image(source, jane(), kSecret, options);
            ASSERT_TRUE(image);
            Bytes file = image->prefix;
            append(file, image->data_set);
            const auto path = folder / "image.dcm";
            ASSERT_TRUE(write_file_atomically(path, file));
            EXPECT_TRUE(output_of("dcmftest '" + path.string() + "'").starts_with("yes"));
            EXPECT_EQ(output_of("dcmdump '" + path.string() + "' 2>&1 >/dev/null"), "");
            const auto picture = output_of("dcmj2pnm +Wm '" + path.string() + "' 2>&1");
            const auto plain = magic == "P6" ? output_of("dcmj2pnm +op '" + path.string() + "' 2>&1") : picture;
            EXPECT_TRUE(plain.starts_with(magic + "\n")) << plain.substr(0, 200);
            EXPECT_NE(plain.find("61 40"), std::string::npos);
        }
    }
    fs::remove_all(folder);
}

TEST(PS3_5_A4_1, SharedRadiographsAreWrappedByteForByte) {
    const auto folder = fs::path(FIDUCIAL_SOURCE_DIR) / ".." / "shared" / "data" / "chest-xray-full";
    if (!fs::exists(folder)) GTEST_SKIP() << "no shared/data/chest-xray-full beside the source tree";
    std::size_t taken = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file() || taken >= 40) continue;
        SCOPED_TRACE(entry.path().filename().string());
        const auto file = read_file(entry.path(), 100u << 20);
        ASSERT_TRUE(file);
        const auto image = import_image(*file, jane(), kSecret);
        ASSERT_TRUE(image) << image.error().message;
        const auto header = scanned(*image);
        if (image->pixels_as_brought) {
            const auto value = pixels_of(*image, header);
            EXPECT_TRUE(std::equal(file->begin(), file->end(), value.begin() + 16));
        }
        ++taken;
    }
    EXPECT_GT(taken, 10u);
}

}  // namespace
}  // namespace fiducial::dicom
