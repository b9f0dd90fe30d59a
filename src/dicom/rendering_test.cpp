#include "dicom/rendering.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "dicom/impl/image_decode.hpp"
#include "dicom/test_images.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

using namespace test;

Bytes words(const std::vector<int>& values) {
    Bytes out;
    for (const int value : values) {
        out.push_back(static_cast<std::uint8_t>(value));
        out.push_back(static_cast<std::uint8_t>(value >> 8));
    }
    return out;
}

/// What the picture shows: PNG, which loses nothing.
Bytes shown(const PixelDescription& image, ByteView frame, std::string_view syntax = kExplicitVrLittleEndian, RenderOptions options = {}) {
    options.format = PictureFormat::png;
    const auto picture = render_frame(image, syntax, frame, options);
    EXPECT_TRUE(picture) << picture.error().message;
    if (!picture) return {};
    const auto decoded = impl::decode_png(*picture, 1u << 24);
    EXPECT_TRUE(decoded);
    return decoded ? decoded->pixels : Bytes();
}

TEST(Rendering, Ps33SectionC11_2_1_2WindowsByTheirFormulas) {
    auto image = grey(1, 5, 16, 12, true);
    image.slope = 2;
    image.intercept = -100;
    const auto frame = words({-50, 0, 50, 100, 2047});  // -200, -100, 0, 100, 3994
    image.window = Window{0, 200, WindowShape::linear};
    EXPECT_EQ(shown(image, frame), (Bytes{0, 0, 128, 255, 255}));
    image.window = Window{0, 400, WindowShape::linear_exact};
    EXPECT_EQ(shown(image, frame), (Bytes{0, 64, 128, 191, 255}));
    image.window = Window{0, 100, WindowShape::sigmoid};
    const auto sigmoid = [](double x) { return static_cast<std::uint8_t>(std::lround(255 / (1 + std::exp(-4 * x / 100)))); };
    EXPECT_EQ(shown(image, frame), (Bytes{sigmoid(-200), sigmoid(-100), sigmoid(0), sigmoid(100), 255}));
    RenderOptions wanted;
    wanted.window = Window{-150, 100, WindowShape::linear_exact};
    EXPECT_EQ(shown(image, frame, kExplicitVrLittleEndian, wanted), (Bytes{0, 255, 255, 255, 255}));
}

TEST(Rendering, WithoutAWindowEverythingButPaddingIsSpreadOut) {
    auto image = grey(1, 4, 16, 16, true);
    image.padding = -2000;
    EXPECT_EQ(shown(image, words({-2000, -1000, 0, 1000})), (Bytes{0, 0, 128, 255}));
    image.padding.reset();
    EXPECT_EQ(shown(image, words({7, 7, 7, 7})).size(), 4u);
    image.is_signed = false;
    image.photometric = "MONOCHROME1";
    EXPECT_EQ(shown(image, words({0, 100, 200, 255})), (Bytes{255, 155, 55, 0}));
    image.is_inverse = true;
    EXPECT_EQ(shown(image, words({0, 100, 200, 255})), (Bytes{0, 100, 200, 255}));
}

TEST(Rendering, BitsBesideThoseStoredDoNotShow) {
    auto image = grey(1, 2, 16, 12);
    image.window = Window{2048, 4096, WindowShape::linear_exact};
    EXPECT_EQ(shown(image, words({0xf000, 0xffff})), (Bytes{0, 255}));  // an overlay's bits above
    image.high_bit = 15;
    EXPECT_EQ(shown(image, words({0x000f, 0xffff})), (Bytes{0, 255}));  // and below
}

TEST(Rendering, Ps33SectionC11_1TablesInPlaceOfFormulas) {
    auto image = grey(1, 4, 8, 8);
    image.modality_table = LookUpTable{10, 16, {100, 200, 300}};
    image.window_table = LookUpTable{100, 8, std::vector<std::uint16_t>(201)};
    image.window_table->entries[100] = 77;
    image.window_table->entries[200] = 255;
    EXPECT_EQ(shown(image, Bytes{0, 10, 11, 200}), (Bytes{0, 0, 77, 255}));
    auto palette = grey(1, 2, 8, 8);
    palette.photometric = "PALETTE COLOR";
    palette.palette[0] = LookUpTable{0, 16, {0, 0xff00}};
    palette.palette[1] = LookUpTable{0, 8, {0, 128}};
    palette.palette[2] = LookUpTable{0, 16, {0x0100, 0}};
    EXPECT_EQ(shown(palette, Bytes{0, 1}), (Bytes{0, 0, 1, 255, 128, 0}));
}

TEST(Rendering, Ps35Section8NativeLayouts) {
    auto bits = grey(2, 5, 1, 1);
    EXPECT_EQ(shown(bits, Bytes{0b00100001, 0b10}), (Bytes{255, 0, 0, 0, 0, 255, 0, 0, 0, 255}));
    auto image = colour(1, 2);
    EXPECT_EQ(shown(image, Bytes{1, 2, 3, 4, 5, 6}), (Bytes{1, 2, 3, 4, 5, 6}));
    image.is_planar = true;
    EXPECT_EQ(shown(image, Bytes{1, 4, 2, 5, 3, 6}), (Bytes{1, 2, 3, 4, 5, 6}));
    const auto ycc = colour(1, 2, "YBR_FULL");
    EXPECT_EQ(shown(ycc, Bytes{76, 85, 255, 128, 128, 128}), (Bytes{254, 0, 0, 128, 128, 128}));  // red, grey
    const auto shared = colour(1, 2, "YBR_FULL_422");
    EXPECT_EQ(shown(shared, Bytes{76, 150, 128, 128}), (Bytes{76, 76, 76, 150, 150, 150}));
    auto deep = grey(1, 2, 32, 32);
    EXPECT_EQ(shown(deep, Bytes{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}), (Bytes{0, 255}));
}

TEST(Rendering, Ps33SectionC9_2OverlaysAreDrawnInWhite) {
    auto image = grey(2, 4, 8, 8);
    image.photometric = "MONOCHROME1";
    image.window = Window{128, 256, WindowShape::linear_exact};
    const Bytes frame(8, 100);
    const auto below = shown(image, frame)[0];
    OverlayPlane plane{2, 3, 1, 2, {}, {0b1010'1000, 0b1}, 3};  // 1 0 1, 0 1 1
    image.overlays = {plane};
    const auto with = [&](std::initializer_list<int> white) {
        Bytes out(8, below);
        for (const auto at : white) out[static_cast<std::size_t>(at)] = 255;
        return out;
    };
    EXPECT_EQ(shown(image, frame), with({1, 3, 6, 7}));
    image.overlays[0].top = 0;  // partly outside
    image.overlays[0].left = -1;
    EXPECT_EQ(shown(image, frame), with({0}));
    image.overlays[0].top = 9;
    EXPECT_EQ(shown(image, frame), with({}));
    auto rgb = colour(1, 2);
    rgb.overlays = {OverlayPlane{1, 2, 1, 1, {}, {0b10}, 0}};
    EXPECT_EQ(shown(rgb, Bytes{1, 2, 3, 4, 5, 6}), (Bytes{1, 2, 3, 255, 255, 255}));
    // In the values themselves, above those that are shown; not where a decoder made them.
    auto wide = grey(1, 3, 16, 12);
    wide.window = Window{2'048, 4'096, WindowShape::linear_exact};
    wide.overlays = {OverlayPlane{1, 3, 1, 1, 14, {}, 0}};
    EXPECT_EQ(shown(wide, words({0x4000, 0x8000, 0x4fff})), (Bytes{255, 0, 255}));
    wide.overlays[0].in_value = 40;
    EXPECT_EQ(shown(wide, words({0x4000, 0x8000, 0x4fff})), (Bytes{0, 0, 255}));
    wide.overlays[0].in_value = 3;
    EXPECT_EQ(shown(wide, by_charls(wide, words({8, 8, 8})), kJpegLs), (Bytes{0, 0, 0}));
}

TEST(Rendering, Ps35AnnexGSingleBitsInRle) {
    const auto image = grey(2, 5, 1, 1);
    Bytes frame(64);
    frame[0] = 1;
    frame[4] = 64;
    append(frame, Bytes{1, 0b00100001, 0b10});
    EXPECT_EQ(shown(image, frame, kRle), (Bytes{255, 0, 0, 0, 0, 255, 0, 0, 0, 255}));
    frame.pop_back();
    EXPECT_FALSE(render_frame(image, kRle, frame, {}));
}

TEST(Rendering, Ps318Section8_3_5_1_3Viewports) {
    auto image = grey(2, 4, 8, 8);
    image.window = Window{128, 256, WindowShape::linear_exact};
    const Bytes frame{0, 40, 80, 120, 100, 140, 180, 220};
    RenderOptions options;
    const auto with = [&](Viewport viewport) {
        options.viewport = viewport;
        return shown(image, frame, kExplicitVrLittleEndian, options);
    };
    const auto plain = shown(image, frame);
    EXPECT_EQ(with({4, 2}), plain);
    EXPECT_EQ(with({100, 2}), plain);  // fits by its height
    EXPECT_EQ(with({2, 2}), (Bytes{static_cast<std::uint8_t>((plain[0] + plain[1] + plain[4] + plain[5] + 2) / 4),
                                   static_cast<std::uint8_t>((plain[2] + plain[3] + plain[6] + plain[7] + 2) / 4)}));
    EXPECT_EQ(with({2, 1, 1, 1, 2, 1}), (Bytes{plain[5], plain[6]}));
    EXPECT_EQ(with({4, 2, 0, 0, -4, 2}), (Bytes{plain[3], plain[2], plain[1], plain[0], plain[7], plain[6], plain[5], plain[4]}));
    EXPECT_EQ(with({4, 2, 0, 0, 0, -2}), (Bytes{plain[4], plain[5], plain[6], plain[7], plain[0], plain[1], plain[2], plain[3]}));
    EXPECT_EQ(with({8, 4}).size(), 32u);
    options.viewport = Viewport{4, 2, 4, 0, 1, 1};
    EXPECT_EQ(render_frame(image, kExplicitVrLittleEndian, frame, options).error().code, ErrorCode::invalid_argument);
    options.viewport = Viewport{1, 1};
    EXPECT_EQ(with({1, 1}).size(), 1u);
}

TEST(Rendering, AJpegOfTheAskedQuality) {
    auto image = grey(64, 64, 8, 8);
    const auto frame = noise(64 * 64);
    RenderOptions options;
    const auto fine = render_frame(image, kExplicitVrLittleEndian, frame, options);
    options.quality = 10;
    const auto coarse = render_frame(image, kExplicitVrLittleEndian, frame, options);
    ASSERT_TRUE(fine && coarse);
    EXPECT_LT(coarse->size() * 2, fine->size());
    const auto decoded = impl::decode_jpeg(*fine, 1u << 20);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->rows, 64u);
    EXPECT_EQ(decoded->samples, 1u);
}

// What other programs encode of these very values, without loss, is shown as the values are.
TEST(Rendering, Ps35AnnexALosslessSyntaxesShowWhatWasEncoded) {
    for (const auto stored : {8u, 12u, 16u}) {
        for (const bool is_signed : {false, true}) {
            auto image = grey(33, 47, stored > 8 ? 16 : 8, stored, is_signed);
            auto frame = noise(image.sample_count() * image.bits_allocated / 8);
            if (stored == 12) {
                for (std::size_t i = 1; i < frame.size(); i += 2) {
                    frame[i] &= 0x0f;
                    if (is_signed && (frame[i] & 0x08) != 0) frame[i] |= 0xf0;
                }
            }
            const auto plain = shown(image, frame);
            for (const auto& [syntax, bytes] : encoded(image, frame))
                EXPECT_TRUE(shown(image, bytes, syntax) == plain) << syntax << " " << stored << (is_signed ? " signed" : "");
        }
    }
    const auto image = colour(33, 47);
    const auto frame = noise(image.sample_count());
    for (const auto& [syntax, bytes] : encoded(image, frame)) EXPECT_TRUE(shown(image, bytes, syntax) == frame) << syntax;
}

TEST(Rendering, WhatDoesNotFitItsHeaderIsNotDecoded) {
    const auto image = grey(33, 47, 8, 8);
    const auto frame = noise(image.sample_count());
    RenderOptions options;
    for (const auto& [syntax, bytes] : encoded(image, frame)) {
        for (auto other : {grey(47, 33, 8, 8), grey(33, 48, 8, 8), colour(33, 47)}) {
            if (syntax == kRle && other.rows == 47) continue;  // it does not know where a row ends
            EXPECT_FALSE(render_frame(other, syntax, bytes, options)) << syntax;
        }
        for (std::size_t size = 0; size < 200 && size < bytes.size(); ++size)
            EXPECT_FALSE(render_frame(image, syntax, ByteView(bytes).first(size), options)) << syntax << " cut off at " << size;
    }
    EXPECT_EQ(render_frame(image, kExplicitVrLittleEndian, ByteView(frame).first(frame.size() - 1), options).error().code,
              ErrorCode::malformed);
    EXPECT_EQ(render_frame(image, "1.2.840.10008.1.2.4.102", frame, options).error().code, ErrorCode::unsupported);
    EXPECT_EQ(render_frame(grey(65'535, 65'535, 8, 8), kJpeg2000, frame, options).error().code, ErrorCode::limit_exceeded);
}

TEST(PixelDescription, ReadsAHeaderAndItsTables) {
    const ReadValue none = [](std::string_view, std::size_t) -> Result<Bytes> { return fail(ErrorCode::not_found, "no value"); };
    const std::string layout =
        R"("00280002":{"vr":"US","Value":[1]},"00280004":{"vr":"CS","Value":["PALETTE COLOR"]},"00280010":{"vr":"US","Value":[2]},)"
        R"("00280011":{"vr":"US","Value":[3]},"00280100":{"vr":"US","Value":[16]},"00280101":{"vr":"US","Value":[12]},)"
        R"("00280102":{"vr":"US","Value":[11]},"00280103":{"vr":"US","Value":[1]},"00281050":{"vr":"DS","Value":[40,50]},)"
        R"("00281051":{"vr":"DS","Value":[400,1]},"00281052":{"vr":"DS","Value":[-1024]},"00281053":{"vr":"DS","Value":[2.5]},)";
    const std::string palette =
        R"("00281101":{"vr":"US","Value":[2,65535,16]},"00281102":{"vr":"SS","Value":[2,-1,8]},"00281103":{"vr":"US","Value":[2,0,16]},)"
        R"("00281201":{"vr":"OW","InlineBinary":"AAH/AA=="},"00281202":{"vr":"OW","InlineBinary":"BQY="},"00281203":{"vr":"OW","BulkDataURI":"bulk/00281203"})";
    const ReadValue value = [](std::string_view path, std::size_t) -> Result<Bytes> {
        EXPECT_EQ(path, "00281203");
        return Bytes{1, 2, 3, 4};
    };
    const auto image = describe_pixels("{" + layout + palette + "}", 1, value);
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(image->rows, 2u);
    EXPECT_EQ(image->columns, 3u);
    EXPECT_TRUE(image->is_signed);
    EXPECT_EQ(image->slope, 2.5);
    EXPECT_EQ(image->window->width, 400);
    EXPECT_EQ(image->palette[0]->first, -1);
    EXPECT_EQ(image->palette[0]->entries, (std::vector<std::uint16_t>{0x0100, 0x00ff}));
    EXPECT_EQ(image->palette[1]->first, -1);
    EXPECT_EQ(image->palette[1]->entries, (std::vector<std::uint16_t>{5, 6}));
    EXPECT_EQ(image->palette[2]->entries, (std::vector<std::uint16_t>{0x0201, 0x0403}));
    EXPECT_EQ(describe_pixels("{" + layout + palette + "}", 1, none).error().code, ErrorCode::not_found);
    EXPECT_EQ(describe_pixels("{" + layout + R"("00281101":{"vr":"US"}})", 1, none).error().code, ErrorCode::unsupported);
    EXPECT_EQ(describe_pixels("{" + layout + palette + R"(,"7FE00008":{"vr":"OF","BulkDataURI":"bulk/7FE00008"}})", 1, value).error().code,
              ErrorCode::unsupported);
    for (const char* json :
         {"{}", "[]", R"({"00280010":{"vr":"US","Value":[0]}})", R"({"00280010":{"vr":"US"},"00280011":{"vr":"US","Value":[null]}})"})
        EXPECT_EQ(describe_pixels(json, 1, none).error().code, ErrorCode::unsupported) << json;
}

TEST(PixelDescription, Ps33SectionC7_9_2PalettesInSegments) {
    const std::string layout =
        R"({"00280002":{"vr":"US","Value":[1]},"00280004":{"vr":"CS","Value":["PALETTE COLOR"]},"00280010":{"vr":"US","Value":[2]},)"
        R"("00280011":{"vr":"US","Value":[3]},"00280100":{"vr":"US","Value":[8]},"00281101":{"vr":"US","Value":[9,0,16]},)"
        R"("00281102":{"vr":"US","Value":[9,0,16]},"00281103":{"vr":"US","Value":[9,0,16]},)";
    // Two values, a line of three, then both once more; a line that falls; one value after another.
    const Bytes first = words({0, 2, 10, 20, 1, 3, 80, 2, 1, 0, 0, 2, 1, 8, 0}), second = words({0, 1, 800, 1, 8, 0}),
                third = words({0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    const auto with = [&](const Bytes& red) {
        const ReadValue value = [&](std::string_view path, std::size_t) -> Result<Bytes> {
            return path == "00281221" ? red : path == "00281222" ? second : third;
        };
        return describe_pixels(
            layout + R"("00281221":{"vr":"OW","BulkDataURI":"bulk/00281221"},"00281222":{"vr":"OW","BulkDataURI":"bulk/00281222"},)"
                     R"("00281223":{"vr":"OW","BulkDataURI":"bulk/00281223"}})",
            1, value);
    };
    const auto image = with(first);
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(image->palette[0]->entries, (std::vector<std::uint16_t>{10, 20, 40, 60, 80, 10, 20, 40, 60}));
    EXPECT_EQ(image->palette[1]->entries, (std::vector<std::uint16_t>{800, 700, 600, 500, 400, 300, 200, 100, 0}));
    EXPECT_EQ(image->palette[2]->entries.back(), 9);
    for (const auto& bad : {words({}), words({0}), words({0, 9, 1}), words({1, 9, 5}), words({2, 1, 0, 0}), words({7, 1, 1}),
                            words({0, 1, 5, 2, 9, 3, 0}), words({0, 1, 5, 2, 65535, 0, 0})})
        EXPECT_EQ(with(bad).error().code, ErrorCode::unsupported);
}

TEST(PixelDescription, Ps33SectionC9_2Overlays) {
    const auto overlays = [](const std::string& overlay, std::uint64_t frame = 1) {
        const ReadValue value = [](std::string_view path, std::size_t) -> Result<Bytes> {
            if (path != "60023000") return fail(ErrorCode::not_found, "none");
            return Bytes{1, 2, 3};
        };
        const auto image =
            describe_pixels(R"({"00280010":{"vr":"US","Value":[2]},"00280011":{"vr":"US","Value":[3]},"00280100":{"vr":"US","Value":[16]},)"
                            R"("60020010":{"vr":"US","Value":[2]},"60020011":{"vr":"US","Value":[5]},)" +
                                overlay + "}",
                            frame, value);
        EXPECT_TRUE(image) << image.error().message;
        return image ? image->overlays : std::vector<OverlayPlane>();
    };
    const std::string data = R"("60023000":{"vr":"OW","BulkDataURI":"bulk/60023000"})",
                      origin = R"("60020050":{"vr":"SS","Value":[-3,7]},)";
    const auto one = overlays(origin + data);
    ASSERT_EQ(one.size(), 1u);
    EXPECT_EQ(one[0].rows, 2u);
    EXPECT_EQ(one[0].columns, 5u);
    EXPECT_EQ(one[0].top, -3);
    EXPECT_EQ(one[0].left, 7);
    EXPECT_EQ(one[0].bits, (Bytes{1, 2}));
    EXPECT_EQ(one[0].first, 0u);
    EXPECT_EQ(overlays(data, 9).size(), 1u);  // of every frame
    const std::string two = R"("60020015":{"vr":"IS","Value":[2]},"60020051":{"vr":"US","Value":[3]},)";
    const auto second = overlays(two + data, 4);
    ASSERT_EQ(second.size(), 1u);
    EXPECT_EQ(second[0].bits, (Bytes{2, 3}));
    EXPECT_EQ(second[0].first, 2u);
    for (const std::uint64_t frame : {1, 2, 5}) EXPECT_TRUE(overlays(two + data, frame).empty()) << frame;
    EXPECT_TRUE(overlays(R"("60020040":{"vr":"CS","Value":["R"]},)" + data).empty());
    EXPECT_EQ(overlays(R"("60023000":{"vr":"OB","InlineBinary":"AQI="})").size(), 1u);
    EXPECT_TRUE(overlays(R"("60023000":{"vr":"OB","InlineBinary":"AQ=="})").empty());  // too short
    EXPECT_TRUE(overlays(R"("60020102":{"vr":"US","Value":[12]})").empty());
    const auto embedded = overlays(R"("60020100":{"vr":"US","Value":[16]},"60020102":{"vr":"US","Value":[12]})");
    ASSERT_EQ(embedded.size(), 1u);
    EXPECT_EQ(embedded[0].in_value, 12u);
}

TEST(PixelDescription, Ps33SectionC7_6_16FunctionalGroups) {
    const ReadValue none = [](std::string_view, std::size_t) -> Result<Bytes> { return Bytes(); };
    const std::string json =
        R"({"00280010":{"vr":"US","Value":[2]},"00280011":{"vr":"US","Value":[3]},"00280100":{"vr":"US","Value":[8]},)"
        R"("52009229":{"vr":"SQ","Value":[{"00289145":{"vr":"SQ","Value":[{"00281052":{"vr":"DS","Value":[-7]}}]}}]},)"
        R"("52009230":{"vr":"SQ","Value":[{"00289132":{"vr":"SQ","Value":[{"00281050":{"vr":"DS","Value":[1]},"00281051":{"vr":"DS","Value":[10]}}]}},)"
        R"({"00289132":{"vr":"SQ","Value":[{"00281050":{"vr":"DS","Value":[2]},"00281051":{"vr":"DS","Value":[20]},"00281056":{"vr":"CS","Value":["SIGMOID"]}}]}}]}})";
    const auto first = describe_pixels(json, 1, none), second = describe_pixels(json, 2, none), third = describe_pixels(json, 3, none);
    ASSERT_TRUE(first && second && third);
    EXPECT_EQ(first->intercept, -7);
    EXPECT_EQ(first->window->width, 10);
    EXPECT_EQ(second->window->width, 20);
    EXPECT_EQ(second->window->shape, WindowShape::sigmoid);
    EXPECT_FALSE(third->window);
}

}  // namespace
}  // namespace fiducial::dicom
