#include "dicom/transcoding.hpp"

#include <gtest/gtest.h>

#include <map>

#include "dicom/data_set_scanner.hpp"
#include "dicom/impl/frame_decoder.hpp"
#include "dicom/test_data_sets.hpp"
#include "dicom/test_images.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

using namespace test;

Result<Bytes> transcoded(ByteView data_set, std::string_view from, std::string_view to = kExplicitVrLittleEndian,
                         std::size_t stored_piece = 1'000'000, std::size_t piece = 100'000) {
    Transcoding transcoding(from, to, [&](MutableByteView out) -> Result<std::size_t> {
        const auto count = std::min({data_set.size(), out.size(), stored_piece});
        std::copy_n(data_set.begin(), count, out.begin());
        data_set = data_set.subspan(count);
        return count;
    });
    Bytes all, part(piece);
    while (true) {
        FID_TRY(const auto got, transcoding.read(part));
        append(all, ByteView(part).first(got));
        if (got < part.size()) return all;
    }
}

std::string error_of(ByteView data_set, std::string_view from) {
    const auto result = transcoded(data_set, from);
    return result ? "" : result.error().message;
}

Builder& layout(Builder& b, const PixelDescription& image, std::uint64_t frames = 1, bool planar = false) {
    b.us(0x00280002, static_cast<std::uint16_t>(image.samples)).text(0x00280004, "CS", image.photometric);
    if (image.samples > 1) b.us(0x00280006, planar ? 1 : 0);
    if (frames > 1) b.text(0x00280008, "IS", std::to_string(frames));
    b.us(0x00280010, static_cast<std::uint16_t>(image.rows)).us(0x00280011, static_cast<std::uint16_t>(image.columns));
    b.us(0x00280100, static_cast<std::uint16_t>(image.bits_allocated)).us(0x00280101, static_cast<std::uint16_t>(image.bits_stored));
    return b.us(0x00280102, static_cast<std::uint16_t>(image.high_bit)).us(0x00280103, image.is_signed ? 1 : 0);
}

Builder& fragments(Builder& b, const std::vector<Bytes>& items) {
    b.head(0x7fe00010, "OB", 0xffffffff);
    for (auto item : items) {
        if (item.size() % 2 != 0) item.push_back(0);
        b.item(static_cast<std::uint32_t>(item.size()));
        append(b.out, item);
    }
    return b.end_sequence();
}

/// Values that an image may hold: what is beyond the bits stored follows the sign.
Bytes of_range(const PixelDescription& image, Bytes frame) {
    const auto width = image.bits_allocated / 8;
    for (std::size_t at = 0; at + width <= frame.size(); at += width) {
        std::uint32_t value = width == 1 ? frame[at] : frame[at] | std::uint32_t{frame[at + 1]} << 8;
        value &= (1u << image.bits_stored) - 1;
        if (image.is_signed && (value >> image.high_bit & 1) != 0) value |= ~0u << image.bits_stored;
        for (std::size_t i = 0; i < width; ++i) frame[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
    return frame;
}

Bytes four(std::initializer_list<std::uint32_t> numbers) {
    Bytes out;
    for (const auto number : numbers) put(out, number, 4, false);
    return out;
}

/// The same instance, however it is written: numbers of each width, sequences in sequences, pixels.
Bytes everything(Form form, bool defined_lengths = false) {
    Builder b(form);
    identity(b);
    const auto sequence = [&](auto&& content) {
        Builder inner(form);
        content(inner);
        if (defined_lengths) {
            b.head(0x00081140, "SQ", static_cast<std::uint32_t>(inner.out.size() + 8)).item(static_cast<std::uint32_t>(inner.out.size()));
            append(b.out, inner.out);
        } else {
            b.head(0x00081140, "SQ", 0xffffffff).item();
            append(b.out, inner.out);
            b.end_item().end_sequence();
        }
    };
    sequence([](Builder& inner) {
        inner.text(0x00081150, "UI", "1.2.840.10008.5.1.4.1.1.7").text(0x00081155, "UI", "1.2.3");
        inner.head(0x00081199, "SQ", 0xffffffff).item().us(0x00280010, 7).end_item().end_sequence();
    });
    b.head(0x00209165, "AT", 4).number(0x0018, 2).number(0x9074, 2);
    layout(b, grey(2, 3, 16, 16, true));
    b.head(0x00280120, "SS", 2).number(0xfffe, 2);
    b.head(0x00289001, "UL", 4).number(70'000, 4);
    b.head(0x00409225, "FD", 8).number(0x3ff8'0000'0000'0000, 8);
    b.head(0x7fe00010, "OW", 12);
    for (int i = 0; i < 6; ++i) b.number(static_cast<std::uint64_t>(1'000 * i - 700), 2);
    return b.out;
}

TEST(Transcoding, Ps35Section7VrsAndByteOrders) {
    const auto explicit_le = everything(Form::explicit_le), implicit_le = everything(Form::implicit_le);
    const auto explicit_be = everything(Form::explicit_be);
    const struct {
        std::string_view syntax;
        Bytes bytes;
    } sources[] = {{kExplicitVrLittleEndian, explicit_le},
                   {kExplicitVrLittleEndian, everything(Form::explicit_le, true)},
                   {kImplicitVrLittleEndian, implicit_le},
                   {kImplicitVrLittleEndian, everything(Form::implicit_le, true)},
                   {kExplicitVrBigEndian, explicit_be},
                   {kExplicitVrBigEndian, everything(Form::explicit_be, true)},
                   {kDeflatedExplicitVrLittleEndian, deflated(explicit_le)}};
    for (const auto& [syntax, bytes] : sources) {
        for (const std::size_t piece : {1, 7, 1'000'000}) {
            EXPECT_EQ(transcoded(bytes, syntax, kExplicitVrLittleEndian, piece).value_or(Bytes()), explicit_le) << syntax << " " << piece;
            EXPECT_EQ(transcoded(bytes, syntax, kImplicitVrLittleEndian, piece, 5).value_or(Bytes()), implicit_le)
                << syntax << " " << piece;
        }
    }
}

TEST(Transcoding, Ps35Section6_2_2WhatHasNoVrOfItsOwn) {
    Builder implicit(Form::implicit_le), wanted(Form::explicit_le);
    identity(implicit);
    identity(wanted);
    const Bytes odd{1, 2, 3};
    for (auto* b : {&implicit, &wanted}) {
        b->text(0x00290010, "LO", "CREATOR");
        b->raw(0x00291001, "UN", b == &wanted ? Bytes{1, 2, 3, 0} : odd);
        if (b == &implicit) b->head(0x00290000, "UL", 4).number(5, 4);  // a group length, which would be wrong
        const std::string long_text(70'000, 'x');
        b->raw(0x00400310, b == &wanted ? "UN" : "ST", as_bytes(long_text));  // too long for its VR's length
        b->head(0x60003000, "OW", 2).number(1, 2);
    }
    EXPECT_EQ(transcoded(implicit.out, kImplicitVrLittleEndian).value_or(Bytes()), wanted.out);
    // A private sequence of undefined length: unknown, in Implicit VR Little Endian whatever is around it.
    Builder inside(Form::implicit_le), outside(Form::explicit_be), expected(Form::explicit_le);
    inside.item().us(0x00280010, 7).end_item().end_sequence();
    identity(outside).head(0x00291002, "UN", 0xffffffff);
    identity(expected).head(0x00291002, "UN", 0xffffffff);
    append(outside.out, inside.out);
    append(expected.out, inside.out);
    EXPECT_EQ(transcoded(outside.out, kExplicitVrBigEndian).value_or(Bytes()), expected.out);
}

TEST(Transcoding, Ps35AnnexAFramesAreDecodedOneAfterTheOther) {
    for (const auto& image : {grey(33, 47, 8, 8), grey(33, 47, 16, 12), grey(33, 47, 16, 16, true), colour(33, 47)}) {
        std::vector<Bytes> frames;
        Bytes all;
        for (unsigned i = 0; i < 3; ++i) {
            frames.push_back(noise(image.sample_count() * image.bits_allocated / 8, i + 1));
            for (std::size_t at = 1; image.bits_stored == 12 && at < frames.back().size(); at += 2) frames.back()[at] &= 0x0f;
            append(all, frames.back());
        }
        if (all.size() % 2 != 0) all.push_back(0);
        Builder wanted(Form::explicit_le);
        layout(identity(wanted), image, 3).raw(0x7fe00010, image.bits_allocated > 8 ? "OW" : "OB", all);
        std::map<std::string_view, std::vector<Bytes>> coded;
        for (const auto& frame : frames) {
            for (auto& [syntax, bytes] : encoded(image, frame)) coded[syntax].push_back(bytes);
        }
        for (const auto& [syntax, bytes] : coded) {
            Builder one_each(Form::explicit_le), split(Form::explicit_le), extended(Form::explicit_le);
            std::vector<Bytes> items{{}}, halves;
            std::vector<std::uint32_t> starts;
            std::uint32_t at = 0;
            for (const auto& frame : bytes) {
                items.push_back(frame);
                const auto middle = static_cast<std::ptrdiff_t>(frame.size() / 4 * 2);
                halves.emplace_back(frame.begin(), frame.begin() + middle);
                halves.emplace_back(frame.begin() + middle, frame.end());
                starts.push_back(at);
                at += static_cast<std::uint32_t>(16 + frame.size() + frame.size() % 2);
            }
            fragments(layout(identity(one_each), image, 3), items);
            halves.insert(halves.begin(), four({starts[0], starts[1], starts[2]}));
            fragments(layout(identity(split), image, 3), halves);
            halves.front().clear();
            layout(identity(extended), image, 3).head(0x7fe00001, "OV", 24);
            for (const auto start : starts) extended.number(start, 8);
            fragments(extended, halves);
            for (const auto* from : {&one_each, &split, &extended}) {
                EXPECT_TRUE(transcoded(from->out, syntax).value_or(Bytes()) == wanted.out) << syntax;
                EXPECT_TRUE(transcoded(from->out, syntax, kExplicitVrLittleEndian, 13, 999).value_or(Bytes()) == wanted.out) << syntax;
            }
        }
    }
}

// What comes out compressed, and is decoded again, is the data set that went in.
TEST(Transcoding, Ps35Section8_2FramesAreCompressedWithoutLoss) {
    auto signed_12 = grey(33, 47, 16, 12, true);
    for (const auto& image :
         {grey(33, 47, 8, 8), grey(1, 1, 8, 8), grey(33, 47, 16, 7), grey(33, 47, 16, 12), grey(33, 47, 16, 16), grey(33, 47, 8, 8, true),
          grey(33, 47, 16, 16, true), signed_12, colour(33, 47), colour(33, 47, "YBR_FULL"), colour(1, 300)}) {
        Bytes frames;
        for (unsigned i = 0; i < 3; ++i) append(frames, of_range(image, noise(image.sample_count() * image.bits_allocated / 8, i + 1)));
        if (frames.size() % 2 != 0) frames.push_back(0);
        const auto vr = image.bits_allocated > 8 ? "OW" : "OB";
        for (const auto to : kLosslessEncodings) {
            Builder native(Form::explicit_le), implicit(Form::implicit_le);
            layout(identity(native), image, 3).raw(0x7fe00010, vr, frames).raw(0xfffcfffc, "OB", Bytes(4));
            layout(identity(implicit), image, 3).raw(0x7fe00010, "OW", frames).raw(0xfffcfffc, "OB", Bytes(4));
            const auto coded = transcoded(native.out, kExplicitVrLittleEndian, to);
            ASSERT_TRUE(coded) << to << " " << coded.error().message;
            EXPECT_TRUE(transcoded(implicit.out, kImplicitVrLittleEndian, to).value_or(Bytes()) == *coded);
            EXPECT_TRUE(transcoded(native.out, kExplicitVrLittleEndian, to, 7, 99).value_or(Bytes()) == *coded);
            const auto header = scan_data_set(*coded, to);
            ASSERT_TRUE(header) << header.error().message;
            EXPECT_TRUE(header->warnings.empty());
            EXPECT_TRUE(transcoded(*coded, to).value_or(Bytes()) == native.out) << to << " " << image.bits_stored << image.is_signed;
            for (const auto other : kLosslessEncodings) {  // and from one to the other
                if (other == to) continue;
                const auto again = transcoded(*coded, to, other);
                ASSERT_TRUE(again) << again.error().message;
                EXPECT_TRUE(transcoded(*again, other).value_or(Bytes()) == native.out) << to << " " << other;
            }
        }
    }
}

TEST(Transcoding, Ps35AnnexAWhatIsCompressedStandsInFragmentsOfOneFrame) {
    const auto image = grey(16, 16, 16, 12);
    const auto frames = of_range(image, noise(1'024));
    Builder native(Form::explicit_be), wanted(Form::explicit_le);
    layout(identity(native), image, 2).head(0x7fe00010, "OW", 1'024);
    for (std::size_t i = 0; i < 1'024; i += 2) native.number(frames[i] | std::uint64_t{frames[i + 1]} << 8, 2);
    const auto all = ByteView(frames);
    fragments(layout(identity(wanted), image, 2), {{}, by_charls(image, all.first(512)), by_charls(image, all.subspan(512))});
    EXPECT_EQ(transcoded(native.out, kExplicitVrBigEndian, kJpegLsLossless).value_or(Bytes()), wanted.out);
}

TEST(Transcoding, Ps35Section8_2_4ColoursOfWhatIsCompressed) {
    const auto rgb = colour(16, 16);
    const auto frame = noise(rgb.sample_count());
    Bytes planes(frame.size());
    for (std::size_t i = 0; i < frame.size(); ++i) planes[i % 3 * 256 + i / 3] = frame[i];
    Builder by_plane(Form::explicit_le), by_pixel(Form::explicit_le), mixed(Form::explicit_le), kept(Form::explicit_le);
    layout(identity(by_plane), rgb, 1, true).raw(0x7fe00010, "OB", planes);
    layout(identity(by_pixel), rgb).raw(0x7fe00010, "OB", frame);
    auto stored = rgb;
    stored.photometric = "YBR_RCT";
    layout(identity(mixed), stored);
    layout(identity(kept), rgb);
    for (const auto to : kLosslessEncodings) {
        const auto coded = transcoded(by_plane.out, kExplicitVrLittleEndian, to).value_or(Bytes());
        const auto& head = to == kJpegLsLossless ? kept.out : mixed.out;
        ASSERT_GT(coded.size(), head.size());
        EXPECT_TRUE(std::equal(head.begin(), head.end(), coded.begin())) << to;
        EXPECT_TRUE(transcoded(coded, to).value_or(Bytes()) == by_pixel.out) << to;
    }
}

TEST(Transcoding, Ps33SectionC7_6_1_1_6IconsAreNotCompressed) {
    const auto image = grey(4, 4, 8, 8);
    const auto frame = noise(16);
    Builder native(Form::explicit_le), wanted(Form::explicit_le);
    for (auto* b : {&native, &wanted}) {
        layout(identity(*b), image).head(0x00880200, "SQ", 0xffffffff).item();
        layout(*b, image).raw(0x7fe00010, "OB", frame).end_item().end_sequence();
        b == &native ? b->raw(0x7fe00010, "OB", frame) : fragments(*b, {{}, by_charls(image, frame)});
    }
    EXPECT_EQ(transcoded(native.out, kExplicitVrLittleEndian, kJpegLsLossless).value_or(Bytes()), wanted.out);
    EXPECT_EQ(transcoded(wanted.out, kJpegLsLossless).value_or(Bytes()), native.out);
}

TEST(Transcoding, WhatWouldLoseSomethingIsNotCompressed) {
    const auto why = [](const PixelDescription& image, const Bytes& pixels, std::uint64_t frames = 1) {
        Builder b(Form::explicit_le);
        layout(identity(b), image, frames).raw(0x7fe00010, image.bits_allocated > 8 ? "OW" : "OB", pixels);
        std::string error;
        for (const auto to : kLosslessEncodings) {
            const auto result = transcoded(b.out, kExplicitVrLittleEndian, to);
            EXPECT_FALSE(result);
            if (!result) error = result.error().message;
        }
        return error;
    };
    Bytes overlaid(32, 0);
    overlaid[1] = 0x80;  // an overlay in the highest bit
    EXPECT_NE(why(grey(4, 4, 16, 12), overlaid).find("in bits beyond those stored"), std::string::npos);
    auto shifted = grey(4, 4, 16, 12);
    shifted.high_bit = 15;
    EXPECT_EQ(why(shifted, Bytes(32)), "the image's values are of a width that is not compressed");
    EXPECT_EQ(why(grey(4, 4, 32, 32), Bytes(64)), "the image's values are of a width that is not compressed");
    EXPECT_EQ(why(colour(4, 4, "YBR_PARTIAL_420"), Bytes(48)), "the image's colours are of a kind that is not compressed");
    EXPECT_NE(why(grey(4, 4, 8, 8), Bytes(14)).find("pixel data of another length than its header says"), std::string::npos);
    EXPECT_NE(why(grey(4, 4, 8, 8), Bytes(34), 2).find("pixel data of another length than its header says"), std::string::npos);
    EXPECT_NE(why(grey(4, 4, 8, 8), Bytes(32)).find("pixel data of another length than its header says"), std::string::npos);
    EXPECT_EQ(why(grey(8, 16, 1, 1), Bytes(16)), "the image's pixels are of a kind that is not decoded");
    Builder no_image(Form::explicit_le);
    identity(no_image);
    const auto none = transcoded(no_image.out, kExplicitVrLittleEndian, kJpegLsLossless);
    EXPECT_EQ(none ? "" : none.error().message, "the instance has no pixel data that could be compressed");
}

TEST(Transcoding, Ps33SectionC7_6_3ColoursFollow) {
    const auto rgb = colour(16, 16);
    const auto frame = noise(rgb.sample_count());
    Builder from(Form::explicit_le), wanted(Form::explicit_le);
    auto stored = rgb;
    stored.photometric = "YBR_RCT";
    const auto rest = [](Builder& b) -> Builder& { return b.text(0x00282110, "CS", "00").text(0x00400254, "LO", "what was done"); };
    fragments(rest(layout(identity(from), stored, 1, true)), {{}, by_openjpeg(rgb, frame)});
    rest(layout(identity(wanted), rgb)).raw(0x7fe00010, "OB", frame);
    EXPECT_EQ(transcoded(from.out, kJpeg2000).value_or(Bytes()), wanted.out);
    // One plane behind the other, as JPEG-LS has them without interleaving.
    charls::jpegls_encoder encoder;
    encoder.frame_info({16, 16, 8, 3}).interleave_mode(charls::interleave_mode::none);
    Bytes planes(frame.size()), coded(encoder.estimated_destination_size());
    for (std::size_t i = 0; i < frame.size(); ++i) planes[i % 3 * 256 + i / 3] = frame[i];
    encoder.destination(coded);
    coded.resize(encoder.encode(planes.data(), planes.size()));
    Builder by_plane(Form::explicit_le);
    fragments(rest(layout(identity(by_plane), rgb, 1, true)), {{}, coded});
    EXPECT_EQ(transcoded(by_plane.out, kJpegLs).value_or(Bytes()), wanted.out);
}

TEST(Transcoding, WhatStandsInTheWrongOrderStaysInIt) {
    const auto rgb = colour(16, 16);
    const auto frame = noise(rgb.sample_count());
    const auto turned_round = [](Builder& b, std::string_view photometric, bool planar) -> Builder& {
        identity(b).us(0x00280006, planar ? 1 : 0).us(0x00280002, 3).text(0x00280004, "CS", std::string(photometric));
        b.us(0x00280010, 16).us(0x00280011, 16).us(0x00280100, 8).us(0x00280101, 8);
        return b.us(0x00280102, 7).us(0x00280103, 0);
    };
    Builder from(Form::explicit_le), wanted(Form::explicit_le);
    fragments(turned_round(from, "YBR_RCT", true), {{}, by_openjpeg(rgb, frame)});
    turned_round(wanted, "RGB", false).raw(0x7fe00010, "OB", frame);
    EXPECT_EQ(transcoded(from.out, kJpeg2000).value_or(Bytes()), wanted.out);
}

TEST(Transcoding, Ps33SectionC7_6_1_1_6IconsAreDecodedToo) {
    const auto image = grey(4, 4, 8, 8);
    const auto frame = noise(16);
    const auto rle = by_dcmtk(image, frame, EXS_RLELossless, DcmRLERepresentationParameter());
    Builder from(Form::explicit_le), wanted(Form::explicit_le);
    for (auto* b : {&from, &wanted}) {
        layout(identity(*b), image);
        b->head(0x00880200, "SQ", 0xffffffff).item();
        layout(*b, image);
        b == &from ? fragments(*b, {{}, rle}) : b->raw(0x7fe00010, "OB", frame);
        b->end_item().item();
        layout(*b, image).raw(0x7fe00010, "OB", frame);  // one that was not compressed stays
        b->end_item().end_sequence();
        b == &from ? fragments(*b, {{}, rle}) : b->raw(0x7fe00010, "OB", frame);
    }
    EXPECT_EQ(transcoded(from.out, "1.2.840.10008.1.2.5").value_or(Bytes()), wanted.out);
}

TEST(Transcoding, Ps35SectionsA4_11And13FramesThatAreNotCompressedOrDeflated) {
    const auto image = grey(5, 5, 8, 8);
    const auto one = noise(25, 1), two = noise(25, 2);
    Builder wanted(Form::explicit_le), plain(Form::explicit_le), squeezed(Form::explicit_le);
    layout(identity(wanted), image, 2).raw(0x7fe00010, "OB", joined(one, two));
    fragments(layout(identity(plain), image, 2), {{}, one, two});
    fragments(layout(identity(squeezed), image, 2), {{}, deflated(one), deflated(two)});
    EXPECT_EQ(transcoded(plain.out, impl::kEncapsulatedUncompressed).value_or(Bytes()), wanted.out);
    EXPECT_EQ(transcoded(squeezed.out, impl::kDeflatedImageFrame).value_or(Bytes()), wanted.out);
}

TEST(Transcoding, WhatIsGivenIsReadAsTheSameInstance) {
    const auto image = grey(16, 16, 16, 12);
    Builder b(Form::explicit_le);
    fragments(layout(identity(b), image), {{}, by_openjpeg(image, noise(512))});
    const auto header = scan_data_set(b.out, kJpeg2000);
    const auto out = transcoded(b.out, kJpeg2000);
    ASSERT_TRUE(header && out);
    const auto after = scan_data_set(*out, kExplicitVrLittleEndian);
    ASSERT_TRUE(after) << after.error().message;
    EXPECT_EQ(after->identity.sop_instance, header->identity.sop_instance);
    EXPECT_EQ(after->pixel_length, 512u);
    EXPECT_TRUE(after->warnings.empty());
}

TEST(Transcoding, WhatDoesNotAddUpIsRefused) {
    constexpr std::string_view kRleSyntax = "1.2.840.10008.1.2.5";
    const auto image = grey(4, 4, 8, 8);
    const auto rle = by_dcmtk(image, noise(16), EXS_RLELossless, DcmRLERepresentationParameter());
    const auto with = [&](const PixelDescription& described, std::uint64_t frames, const std::vector<Bytes>& items) {
        Builder b(Form::explicit_le);
        fragments(layout(identity(b), described, frames), items);
        return error_of(b.out, kRleSyntax);
    };
    EXPECT_EQ(with(image, 1, {{}, rle}), "");
    EXPECT_EQ(with(image, 3, {{}, rle, rle}), "the pixel data has fewer frames than its header says");
    EXPECT_EQ(with(image, 2, {{}, rle, rle, rle}), "the pixel data has more frames than its header says");
    EXPECT_EQ(with(image, 1, {}), "the pixel data has fewer frames than its header says");
    EXPECT_EQ(with(image, 1, {{}, Bytes(200'000)}), "a frame's fragments are far too long");
    EXPECT_EQ(with(grey(5, 4, 8, 8), 1, {{}, rle}), "the image's RLE data cannot be decoded");
    EXPECT_EQ(with(grey(4, 4, 12, 12), 1, {{}, rle}), "the image's pixels are of a kind that is not decoded");
    EXPECT_EQ(with(grey(65'535, 65'535, 8, 8), 1, {{}, rle}), "a frame of the image is too large to be decoded");
    EXPECT_NE(with(grey(4'096, 4'096, 16, 16), 1'000, {{}, rle}).find("too large for a transfer syntax without compression"),
              std::string::npos);

    Builder native(Form::explicit_le);
    layout(identity(native), image).raw(0x7fe00010, "OB", noise(16));
    EXPECT_NE(error_of(native.out, kRleSyntax).find("pixel data without fragments"), std::string::npos);
    const auto whole = everything(Form::explicit_le);
    for (std::size_t size = 1; size < whole.size(); ++size) {
        const auto cut = transcoded(ByteView(whole).first(size), kExplicitVrLittleEndian);
        EXPECT_TRUE(!cut || cut->size() <= size) << size;
    }
    Builder deep(Form::explicit_le);
    for (int i = 0; i < 40; ++i) deep.head(0x00081140, "SQ", 0xffffffff).item();
    EXPECT_EQ(error_of(deep.out, kExplicitVrLittleEndian), "sequences are nested too deep");
    Builder beyond(Form::explicit_le);
    beyond.head(0x00081140, "SQ", 20).item(12).head(0x00081155, "UI", 100).number(0, 8);
    EXPECT_NE(error_of(beyond.out, kExplicitVrLittleEndian).find("reaches beyond what it stands in"), std::string::npos);
    for (const auto* bad : {"\xfe\xff\x0d\xe0\0\0\0\0", "\xfe\xff\x00\xe0\0\0\0\0", "\x08\0\x16\0uI\4\0"})
        EXPECT_FALSE(transcoded(as_bytes(std::string_view(bad, 8)), kExplicitVrLittleEndian));
    EXPECT_FALSE(transcoded(Bytes{1, 2, 3}, kDeflatedExplicitVrLittleEndian));
}

TEST(Transcoding, CanBeAskedBefore) {
    EXPECT_TRUE(can_transcode(kJpegBaseline, kExplicitVrLittleEndian));
    EXPECT_TRUE(can_transcode(kExplicitVrBigEndian, kImplicitVrLittleEndian));
    EXPECT_FALSE(can_transcode("1.2.840.10008.1.2.4.102", kExplicitVrLittleEndian));  // video
    EXPECT_FALSE(can_transcode(kExplicitVrLittleEndian, kJpegBaseline));
    EXPECT_TRUE(can_transcode(kImplicitVrLittleEndian, kJpeg2000Lossless));
    EXPECT_TRUE(can_transcode(kJpegBaseline, kHtj2kLossless));
    EXPECT_FALSE(can_transcode("1.2.840.10008.1.2.4.102", kJpegLsLossless));
    EXPECT_FALSE(can_transcode("1.2.3", kExplicitVrLittleEndian));
}

}  // namespace
}  // namespace fiducial::dicom
