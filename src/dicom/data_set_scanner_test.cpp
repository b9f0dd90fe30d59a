#include "dicom/data_set_scanner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "dicom/data_set_writer.hpp"
#include "dicom/test_data_sets.hpp"

namespace fiducial::dicom {
namespace {

using namespace test;
using ::testing::Contains;
using ::testing::HasSubstr;

std::string_view uid_of(Form form) {
    return form == Form::implicit_le   ? kImplicitVrLittleEndian
           : form == Form::explicit_le ? kExplicitVrLittleEndian
                                       : "1.2.840.10008.1.2.2";
}

Builder small(Form form) {
    Builder b(form);
    identity(b);
    return b;
}

std::string error_of(const Result<InstanceHeader>& header) {
    return header ? "taken" : header.error().message;
}

boost::json::value json_of(const InstanceHeader& header) {
    auto value = json::parse(header.dicom_json, 64u << 20);
    EXPECT_TRUE(value) << header.dicom_json;
    return value ? *value : boost::json::value{};
}

// A data set with something of everything, the same in each form.
Bytes rich(Form form) {
    Builder b(form);
    identity(b);
    b.text(0x00280008, "IS", "+003")
        .us(0x00280010, 2)
        .us(0x00280011, 300)
        .us(0x00280100, 16)
        .us(0x00280103, 1)
        .us(0x00280106, 0xfffe, "SS");
    b.head(0x00400275, "SQ", 0xffffffff).item().text(0x00400009, "SH", "SPS1").text(0x00401001, "SH", "RP1").end_item();
    Builder inner(form);
    inner.text(0x00401001, "SH", "RP2");
    b.item(static_cast<std::uint32_t>(inner.out.size()));
    append(b.out, inner.out);
    b.end_sequence();
    b.text(0x00400310, "ST", "two\\words ");
    b.head(0x00400555, "SQ", 0);
    Bytes pixels;
    for (int i = 0; i < 1800; ++i) put(pixels, static_cast<std::uint64_t>(i), 2, form == Form::explicit_be);
    b.raw(0x7fe00010, "OW", pixels);
    return b.out;
}

class EveryForm : public ::testing::TestWithParam<Form> {};
INSTANTIATE_TEST_SUITE_P(PS3_5_A, EveryForm, ::testing::Values(Form::implicit_le, Form::explicit_le, Form::explicit_be));

TEST_P(EveryForm, GivesTheSameAttributesAndJson) {
    const auto header = scan_data_set(rich(GetParam()), uid_of(GetParam()));
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->identity.sop_instance.text(), kSop);
    EXPECT_EQ(header->identity.patient_id.value, "4711");
    EXPECT_EQ(header->attributes.first(tags::kRows), "2");
    EXPECT_EQ(header->attributes.first(tags::kColumns), "300");
    EXPECT_EQ(header->attributes.first(0x00280106), "-2");
    EXPECT_EQ(header->attributes.first(0x00400009), "SPS1");
    EXPECT_EQ(header->attributes.first(0x00401001), "RP1");
    EXPECT_EQ(header->number_of_frames, 3u);
    EXPECT_EQ(
        header->dicom_json,
        R"({"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.7"]},"00080018":{"vr":"UI","Value":["1.2.3.4.5"]},)"
        R"("00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^Jane"}]},"00100020":{"vr":"LO","Value":["4711"]},)"
        R"("0020000D":{"vr":"UI","Value":["1.2.3.4"]},"0020000E":{"vr":"UI","Value":["1.2.3.4.1"]},)"
        R"("00280008":{"vr":"IS","Value":[3]},"00280010":{"vr":"US","Value":[2]},"00280011":{"vr":"US","Value":[300]},)"
        R"("00280100":{"vr":"US","Value":[16]},"00280103":{"vr":"US","Value":[1]},"00280106":{"vr":"SS","Value":[-2]},)"
        R"("00400275":{"vr":"SQ","Value":[{"00400009":{"vr":"SH","Value":["SPS1"]},"00401001":{"vr":"SH","Value":["RP1"]}},{"00401001":{"vr":"SH","Value":["RP2"]}}]},)"
        R"("00400310":{"vr":"ST","Value":["two\\words"]},"00400555":{"vr":"SQ"},"7FE00010":{"vr":"OW","BulkDataURI":"bulk/7FE00010"}})");
}

TEST_P(EveryForm, HashesThePixelValueAsEncoded) {
    const auto bytes = rich(GetParam());
    const auto header = scan_data_set(bytes, uid_of(GetParam()));
    ASSERT_TRUE(header) << header.error().message;
    ASSERT_TRUE(header->has_pixel_data);
    EXPECT_EQ(header->pixel_tag, tags::kPixelData);
    EXPECT_EQ(header->pixel_length, 3600u);
    EXPECT_EQ(header->pixel_offset, bytes.size() - 3600);
    EXPECT_EQ(header->pixel_sha256, crypto::sha256(ByteView(bytes).last(3600)));
}

TEST_P(EveryForm, CutAnywhereIsRefusedOrEndsBetweenElements) {
    const auto bytes = rich(GetParam());
    std::size_t taken = 0;
    for (std::size_t size = 0; size < bytes.size(); size += size < 700 ? 1 : 97) {
        const auto header = scan_data_set(ByteView(bytes).first(size), uid_of(GetParam()));
        if (header) {
            ++taken;
            EXPECT_EQ(header->data_set_length, size);
        } else {
            EXPECT_EQ(header.error().code, ErrorCode::malformed);
        }
    }
    EXPECT_GT(taken, 3u);
    EXPECT_LT(taken, 16u);  // only where an element ends
}

TEST_P(EveryForm, FileWithoutPrefixIsRecognisedByItsFirstElement) {
    const auto header = scan_file(rich(GetParam()));
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->identity.transfer_syntax, uid_of(GetParam()));
    EXPECT_EQ(header->prefix_length, 0u);
    EXPECT_THAT(header->warnings, Contains("the file has neither preamble nor group 0002"));
}

TEST(PS3_10_Part10, PrefixAndDataSetAreTheWholeFileHoweverItIsSplit) {
    const auto file = joined(prefix(kExplicitVrLittleEndian), rich(Form::explicit_le));
    const auto whole = scan_file(file);
    ASSERT_TRUE(whole) << whole.error().message;
    for (const std::size_t step : {1u, 2u, 3u, 7u, 131u, 133u, 1000u}) {
        DataSetScanner scanner;
        Bytes data_set;
        for (std::size_t at = 0; at < file.size(); at += step) {
            const auto pieces = scanner.feed(ByteView(file).subspan(at, std::min(step, file.size() - at)));
            ASSERT_TRUE(pieces) << pieces.error().message;
            append(data_set, pieces->held);
            append(data_set, pieces->fresh);
        }
        EXPECT_EQ(joined(to_bytes(scanner.prefix()), data_set), file) << step;
        const auto header = scanner.finish();
        ASSERT_TRUE(header);
        EXPECT_EQ(header->dicom_json, whole->dicom_json);
        EXPECT_EQ(header->pixel_sha256, whole->pixel_sha256);
        EXPECT_EQ(header->prefix_length + header->data_set_length, file.size());
    }
}

TEST(PS3_10_Part10, IdentityIsKnownBeforeThePixelsCome) {
    const auto file = joined(prefix(kExplicitVrLittleEndian), rich(Form::explicit_le));
    DataSetScanner scanner;
    std::size_t known_at = 0;
    for (std::size_t at = 0; at < file.size() && known_at == 0; ++at) {
        ASSERT_TRUE(scanner.feed(ByteView(file).subspan(at, 1)));
        if (scanner.identity()) known_at = at;
    }
    EXPECT_LT(known_at, file.size() - 3600);
    ASSERT_TRUE(scanner.identity());
    EXPECT_EQ(scanner.identity()->study.text(), kStudy);
    EXPECT_EQ(scanner.identity()->series.text(), kSeries);
}

TEST(PS3_10_Part10, MetaWithoutPreambleOrSyntaxIsTakenWithAWarning) {
    const auto file = joined(prefix(kExplicitVrLittleEndian), rich(Form::explicit_le));
    auto header = scan_file(ByteView(file).subspan(132));
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_THAT(header->warnings, Contains("the file has no preamble"));

    Bytes bare(128, 0);
    append(bare, as_bytes("DICM"));
    header = scan_file(joined(bare, rich(Form::implicit_le)));
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->identity.transfer_syntax, kImplicitVrLittleEndian);
}

TEST(PS3_10_Part10, WhatIsNotDicomIsRefused) {
    EXPECT_EQ(error_of(scan_file({})), "the input is empty");
    EXPECT_THAT(error_of(scan_file(as_bytes("hello"))), HasSubstr("this is not DICOM"));
    EXPECT_THAT(error_of(scan_file(Bytes(4000, 0x41))), HasSubstr("this is not DICOM"));
    EXPECT_THAT(error_of(scan_file(Bytes(4000, 0))), HasSubstr("this is not DICOM"));
    EXPECT_THAT(error_of(scan_file(prefix(kExplicitVrLittleEndian))), HasSubstr("before the data set"));
    EXPECT_THAT(error_of(scan_file(ByteView(prefix(kExplicitVrLittleEndian)).first(150))), HasSubstr("in group 0002"));
    const auto unknown = scan_file(joined(prefix("1.2.3"), rich(Form::explicit_le)));
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::unsupported);
    EXPECT_EQ(unknown.error().message, "transfer syntax 1.2.3 is not known");
    EXPECT_EQ(error_of(scan_file(joined(prefix("../x"), rich(Form::explicit_le)))), "the transfer syntax in group 0002 is not a UID");
    EXPECT_FALSE(DataSetScanner::for_data_set("1.2.3"));
}

TEST(PS3_10_Part10, Group0002IsItsElementsAndNoneStandsTwice) {
    const auto whole = joined(prefix(kExplicitVrLittleEndian), rich(Form::explicit_le));
    auto longer = whole;
    longer[128 + 4 + 8] = static_cast<std::uint8_t>(longer[128 + 4 + 8] + 16);  // the value of (0002,0000)
    const auto right = scan_file(whole), wrong = scan_file(longer);
    ASSERT_TRUE(right && wrong);
    EXPECT_EQ(wrong->identity.sop_instance, right->identity.sop_instance);
    EXPECT_THAT(wrong->warnings, Contains("the length of group 0002 is wrong"));
    Builder again(Form::explicit_le);
    again.text(0x00020010, "UI", std::string(kImplicitVrLittleEndian));
    const auto twice = joined(joined(prefix(kExplicitVrLittleEndian), again.out), rich(Form::explicit_le));
    EXPECT_THAT(error_of(scan_file(twice)), HasSubstr("twice or out of order"));
}

TEST(PS3_5_Uids, EachIdentifyingUidMustBeThereAndValid) {
    struct Case {
        Tag tag;
        std::string_view name;
    };
    for (const auto& c : {Case{0x00080018, "SOP Instance UID (0008,0018)"}, Case{0x0020000d, "Study Instance UID (0020,000D)"},
                          Case{0x0020000e, "Series Instance UID (0020,000E)"}}) {
        for (const std::string value : {"", "1.2.x", "absent"}) {
            Builder b(Form::explicit_le);
            for (const Tag tag : {0x00080018u, 0x0020000du, 0x0020000eu}) {
                if (tag == c.tag && value == "absent") continue;
                b.text(tag, "UI", tag == c.tag ? value : "1.2.3");
            }
            const auto header = scan_data_set(b.out, kExplicitVrLittleEndian);
            ASSERT_FALSE(header);
            EXPECT_EQ(header.error().code, ErrorCode::malformed);
            EXPECT_EQ(header.error().message, std::string(c.name) + (value == "1.2.x" ? " is not a UID" : " is missing"));
        }
    }
}

TEST(PS3_5_Uids, MissingOnesStopTheStreamWhenPixelsBegin) {
    Builder b(Form::explicit_le);
    b.text(0x00080018, "UI", "1.2.3").head(0x7fe00010, "OW", 1u << 30);
    auto scanner = DataSetScanner::for_data_set(kExplicitVrLittleEndian);
    ASSERT_TRUE(scanner);
    const auto fed = scanner->feed(b.out);
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().message, "Study Instance UID (0020,000D) is missing");
    EXPECT_FALSE(scanner->feed(b.out)) << "it fails for good";
    EXPECT_FALSE(scanner->finish());
}

TEST(PS3_5_Uids, AnotherValueForOneOfThemIsRefused) {
    auto b = small(Form::explicit_le);
    b.text(0x0020000d, "UI", "9.9");
    EXPECT_EQ(error_of(scan_data_set(b.out, kExplicitVrLittleEndian)), "(0020,000D) occurs twice with different values");
}

TEST(PS3_5_Uids, WhatWasToldEarlyCannotChangeHoweverTheBytesAreSplit) {
    auto b = small(Form::explicit_le);
    b.us(0x00280010, 1).text(0x00100021, "LO", "late issuer");
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, b.out.size()}) {
        DataSetScanner scanner = *DataSetScanner::for_data_set(kExplicitVrLittleEndian);
        for (std::size_t at = 0; at < b.out.size(); at += step)
            ASSERT_TRUE(scanner.feed(ByteView(b.out).subspan(at, std::min(step, b.out.size() - at))));
        ASSERT_TRUE(scanner.identity());
        EXPECT_EQ(error_of(scanner.finish()), "identifying attributes stand behind where they should be");
    }
    auto late = Builder(Form::explicit_le);  // UIDs out of order, but before the pixels: nothing was told yet
    late.us(0x00280010, 1);
    identity(late).raw(0x7fe00010, "OB", Bytes(2));
    EXPECT_TRUE(scan_data_set(late.out, kExplicitVrLittleEndian));
}

TEST(PS3_5_Lenient, DefectsBesideTheUidsAreWarnings) {
    Builder b(Form::explicit_le);
    b.text(0x00080018, "UI", std::string(kSop))
        .text(0x00080020, "DA", "not a date")
        .text(0x0020000d, "UI", std::string(kStudy))
        .text(0x0020000e, "UI", std::string(kSeries));
    b.text(0x00280008, "IS", "many").us(0x00280010, 7).us(0x00280010, 8).text(0x00080060, "CS", "CT");
    b.head(0x00091001, "ZZ", 0).number(4, 4).number(1, 4);
    b.out.insert(b.out.end(), 30, 0);
    const auto header = scan_data_set(b.out, kExplicitVrLittleEndian);
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->attributes.first(tags::kRows), "7") << "the first one counts";
    EXPECT_EQ(header->attributes.first(tags::kModality), "CT");
    EXPECT_EQ(json_of(*header).at("00280008").at("Value").at(0).as_string(), "many");
    EXPECT_THAT(header->warnings, Contains("(0028,0010) occurs more than once; the first one counts"));
    EXPECT_THAT(header->warnings, Contains("(0008,0060) stands out of order"));
    EXPECT_THAT(header->warnings, Contains("SOP Class UID (0008,0016) is missing or not a UID"));
    EXPECT_THAT(header->warnings, Contains("zeros follow the data set"));
}

TEST(PS3_5_Lenient, ASequenceThatCannotBeReadCostsOnlyItself) {
    auto b = small(Form::explicit_le);
    b.head(0x00400275, "SQ", 12).item(100).number(0, 4);
    b.text(0x00401001, "SH", "after");
    const auto header = scan_data_set(b.out, kExplicitVrLittleEndian);
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_THAT(header->warnings, Contains("(0040,0275) is a sequence that cannot be read: an item is longer than what holds it"));
    EXPECT_FALSE(json_of(*header).at("00400275").as_object().contains("Value"));
    EXPECT_EQ(header->attributes.first(0x00401001), "after");
}

TEST(PS3_5_Malformed, EachDefectOfStructureIsNamedWithItsOffset) {
    const auto at = std::to_string(small(Form::explicit_le).out.size());
    const auto error = [](const Builder& b) { return error_of(scan_data_set(b.out, kExplicitVrLittleEndian)); };
    auto b = small(Form::explicit_le);
    b.number(0x12345678, 4).number(0x12345678, 4);
    EXPECT_EQ(error(b), "no element begins at offset " + at + " of the data set");
    b = small(Form::explicit_le);
    EXPECT_EQ(error(b.item(0)), "an item or delimiter outside of a sequence at offset " + at + " of the data set");
    b = small(Form::explicit_le);
    EXPECT_EQ(error(b.text(0x00020010, "UI", "1.2")),
              "an element of group 0002, which a data set cannot hold, at offset " + at + " of the data set");
    b = small(Form::explicit_le);
    EXPECT_EQ(error(b.head(0x00420011, "UT", 0xffffffff)),
              "(0042,0011) with a length that is not defined at offset " + at + " of the data set");
    b = small(Form::explicit_le);
    EXPECT_THAT(error(b.head(0x00400275, "SQ", 0xffffffff).us(0x00280010, 1)),
                HasSubstr("no item, but (0028,0010) in a sequence at offset "));
    b = small(Form::explicit_le);
    EXPECT_THAT(error(b.head(0x00400275, "SQ", 0xffffffff).item().item()), HasSubstr("does not belong here at offset "));
    b = small(Form::explicit_le);
    EXPECT_THAT(error(b.head(0x7fe00010, "OB", 0xffffffff).item(0xffffffff)),
                HasSubstr("a fragment with a length that is not defined at offset "));
    b = small(Form::explicit_le);
    b.raw(0x7fe00009, "OD", Bytes(8)).raw(0x7fe00010, "OB", Bytes(2));
    EXPECT_THAT(error(b), HasSubstr("a second pixel data element at offset "));
    b = small(Form::explicit_le);
    b.out.insert(b.out.end(), 20, 0);
    EXPECT_THAT(error(b.us(0x00280010, 1)), HasSubstr("something follows the zeros that begin at offset " + at));
    EXPECT_EQ(error_of(scan_data_set({}, kExplicitVrLittleEndian)), "the data set is empty");
}

TEST(PS3_5_Limits, HeaderNestingJsonAndInflatedSizeAreBounded) {
    const auto code = [](const Bytes& bytes, std::string_view syntax, ScanLimits limits) {
        const auto header = scan_data_set(bytes, syntax, limits);
        return header ? ErrorCode::internal : header.error().code;
    };
    ScanLimits limits;
    limits.header_bytes = 4000;
    auto b = small(Form::explicit_le);
    for (int i = 0; i < 5; ++i) b.raw(0x00420011, "OB", Bytes(1000));
    EXPECT_EQ(code(b.out, kExplicitVrLittleEndian, limits), ErrorCode::limit_exceeded);

    limits = {};
    limits.json_bytes = 1000;
    b = small(Form::explicit_le);
    b.text(0x00204000, "LT", std::string(2000, 'x'));
    EXPECT_EQ(code(b.out, kExplicitVrLittleEndian, limits), ErrorCode::limit_exceeded);

    for (const bool defined : {false, true}) {  // 40 deep, the limit is 32
        Bytes inside;
        for (int i = 0; i < 40; ++i) {
            Builder level(Form::explicit_le);
            const auto size = static_cast<std::uint32_t>(inside.size());
            level.head(0x00400275, "SQ", defined ? size + 8 : 0xffffffff).item(defined ? size : 0xffffffff);
            append(level.out, inside);
            if (!defined) level.end_item().end_sequence();
            inside = level.out;
        }
        b = small(Form::explicit_le);
        append(b.out, inside);
        EXPECT_EQ(code(b.out, kExplicitVrLittleEndian, {}), ErrorCode::limit_exceeded) << defined;
    }

    limits = {};
    limits.inflated_bytes = 1u << 20;
    b = small(Form::explicit_le);
    b.raw(0x7fe00010, "OW", Bytes(4u << 20));
    EXPECT_EQ(code(deflated(b.out), kDeflatedExplicitVrLittleEndian, limits), ErrorCode::limit_exceeded);
}

TEST(PS3_5_A5, DeflatedDataSetsAreScannedAsTheyInflateAndKeptAsTheyCame) {
    const auto plain = rich(Form::explicit_le);
    const auto packed = deflated(plain);
    const auto expected = scan_data_set(plain, kExplicitVrLittleEndian);
    const auto header = scan_file(joined(prefix(kDeflatedExplicitVrLittleEndian), packed));
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->dicom_json, expected->dicom_json);
    EXPECT_EQ(header->pixel_sha256, expected->pixel_sha256);
    EXPECT_EQ(header->pixel_offset, expected->pixel_offset);
    EXPECT_EQ(header->data_set_length, packed.size());
    EXPECT_EQ(header->inflated_length, plain.size());
    EXPECT_TRUE(scan_data_set(joined(packed, Bytes(1, 0)), kDeflatedExplicitVrLittleEndian)) << "a byte of padding";
    EXPECT_THAT(error_of(scan_data_set(joined(packed, Bytes(1, 1)), kDeflatedExplicitVrLittleEndian)),
                HasSubstr("something follows the deflated data set"));
    EXPECT_THAT(error_of(scan_data_set(ByteView(packed).first(packed.size() - 3), kDeflatedExplicitVrLittleEndian)),
                HasSubstr("before the end of the stream"));
    EXPECT_THAT(error_of(scan_data_set(Bytes(100, 0xff), kDeflatedExplicitVrLittleEndian)), HasSubstr("cannot be inflated"));
}

TEST(PS3_5_A4, EncapsulatedPixelValueIsItsItemsWithoutTheDelimiter) {
    auto b = small(Form::explicit_le);
    b.raw(0x7fe00001, "OV", Bytes(8)).head(0x7fe00010, "OB", 0xffffffff);
    const auto start = b.out.size();
    b.item(0).item(6).number(1, 6).item(2).number(7, 2);
    const auto end = b.out.size();
    b.end_sequence().raw(0xfffcfffc, "OB", Bytes(10));
    const auto header = scan_data_set(b.out, "1.2.840.10008.1.2.4.90");
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->pixel_offset, start);
    EXPECT_EQ(header->pixel_length, end - start);
    EXPECT_EQ(header->pixel_sha256, crypto::sha256(ByteView(b.out).subspan(start, end - start)));
    EXPECT_EQ(header->number_of_frames, 1u);
    EXPECT_FALSE(json_of(*header).as_object().contains("FFFCFFFC"));
}

TEST(PS3_18_F, BulkValuesAreNamedByPathAndPlace) {
    auto b = small(Form::explicit_le);
    b.raw(0x00420011, "OB", Bytes(70000, 7));
    b.head(0x00880200, "SQ", 0xffffffff).item().raw(0x7fe00010, "OW", Bytes(5000, 8)).end_item();
    b.item().head(0x7fe00010, "OB", 0xffffffff).item(0).item(4).number(9, 4).end_sequence().end_item().end_sequence();
    const auto header = scan_data_set(b.out, kExplicitVrLittleEndian);
    ASSERT_TRUE(header) << header.error().message;
    ASSERT_EQ(header->bulk.size(), 3u);
    EXPECT_EQ(header->bulk[0].path, "00420011");
    EXPECT_EQ(header->bulk[0].length, 70000u);
    EXPECT_EQ(b.out[header->bulk[0].offset], 7);
    EXPECT_EQ(header->bulk[1].path, "00880200/0/7FE00010");
    EXPECT_EQ(b.out[header->bulk[1].offset], 8);
    EXPECT_EQ(b.out[header->bulk[1].offset + header->bulk[1].length - 1], 8);
    EXPECT_EQ(header->bulk[2].path, "00880200/1/7FE00010");
    EXPECT_EQ(header->bulk[2].length, 20u);
    EXPECT_FALSE(header->has_pixel_data) << "an icon is not the image";
    const auto document = json_of(*header);
    EXPECT_EQ(document.at("00420011").at("BulkDataURI").as_string(), "bulk/00420011");
    EXPECT_EQ(document.at("00880200").at("Value").at(1).at("7FE00010").at("BulkDataURI").as_string(), "bulk/00880200/1/7FE00010");
}

TEST(PS3_18_F, ALongValueOfAnyVrIsBulkAtEveryDepth) {
    auto b = small(Form::implicit_le);
    b.head(0x00081115, "SQ", 0xffffffff)
        .item()
        .text(0x00081030, "LO", std::string(3u << 20, '\\'))
        .raw(0x00720078, "UL", Bytes(70000))
        .text(0x00100010, "PN", std::string(70000, '^'));
    b.text(0x0020000d, "UI", "1.2").end_item().end_sequence();
    const auto header = scan_data_set(b.out, kImplicitVrLittleEndian);
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_LT(header->dicom_json.size(), 2000u);
    ASSERT_EQ(header->bulk.size(), 3u);
    EXPECT_EQ(header->bulk[0].path, "00081115/0/00081030");
    EXPECT_EQ(header->bulk[0].length, 3u << 20);
    EXPECT_EQ(json_of(*header).at("00081115").at("Value").at(0).at("0020000D").at("Value").at(0).as_string(), "1.2");
}

TEST(PS3_18_F, EmptySequencesCountTowardsTheSizeOfTheJson) {
    auto b = small(Form::implicit_le);
    b.head(0x00081115, "SQ", 0xffffffff);
    for (int i = 0; i < 2000; ++i) b.item(8).head(0x00081199, "SQ", 0);
    b.end_sequence();
    ScanLimits limits;
    limits.json_bytes = 20'000;
    const auto header = scan_data_set(b.out, kImplicitVrLittleEndian, limits);
    ASSERT_FALSE(header);
    EXPECT_EQ(header.error().code, ErrorCode::limit_exceeded);
}

TEST(PS3_18_F, NumbersAreJsonNumbersWhereTheyCanBe) {
    auto b = small(Form::explicit_le);
    b.text(0x00281050, "DS", "+1.50\\ -007 \\.5\\5.\\1e3\\\\abc\\-0");
    b.raw(0x00189087, "FD", as_bytes(std::string_view("\0\0\0\0\0\0\xf0\x7f\0\0\0\0\0\0\xe0\x3f", 16)));
    b.raw(0x00720078, "UL", as_bytes(std::string_view("\xff\xff\xff\xff", 4)))
        .raw(0x00720026, "AT", as_bytes(std::string_view("\x10\x00\x20\x00", 4)));
    const auto header = scan_data_set(b.out, kExplicitVrLittleEndian);
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_THAT(header->dicom_json, HasSubstr(R"("00281050":{"vr":"DS","Value":[1.50,-7,0.5,5,1e3,null,"abc",-0]})"));
    EXPECT_THAT(header->dicom_json, HasSubstr(R"("00189087":{"vr":"FD","Value":["inf",0.5]})"));
    EXPECT_THAT(header->dicom_json, HasSubstr(R"("00720078":{"vr":"UL","Value":[4294967295]})"));
    EXPECT_THAT(header->dicom_json, HasSubstr(R"("00720026":{"vr":"AT","Value":["00100020"]})"));
    json_of(*header);
}

TEST(PS3_5_6_2_2, UnknownVrIsReadAsImplicitLittleEndian) {
    Builder inner(Form::implicit_le);
    inner.item().text(0x00401001, "SH", "RP1").end_item();
    for (const Form form : {Form::explicit_le, Form::explicit_be}) {
        Builder b(form);
        b.raw(0x00080018, "UN", as_bytes(kSop)).raw(0x0020000d, "UN", as_bytes(kStudy)).raw(0x0020000e, "UN", as_bytes(kSeries));
        b.raw(0x00280010, "UN", as_bytes(std::string_view("\x05\x00", 2)));
        b.head(0x00400275, "UN", 0xffffffff);
        append(b.out, inner.out);
        Builder end(Form::implicit_le);
        append(b.out, end.end_sequence().out);
        const auto header = scan_data_set(b.out, uid_of(form));
        ASSERT_TRUE(header) << header.error().message;
        EXPECT_EQ(header->attributes.first(tags::kRows), "5");
        EXPECT_EQ(header->attributes.first(0x00401001), "RP1");
    }
}

TEST(PS3_3_C_12_1_1_2, NamesInEveryWritingBecomeUtf8) {
    struct Case {
        std::string set, raw, expected;
    };
    const std::vector<Case> cases = {
        // PS3.5 H.3.1, H.3.2: Japanese
        {"\\ISO 2022 IR 87", "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
         "Yamada^Tarou=山田^太郎=やまだ^たろう"},
        {"ISO 2022 IR 13\\ISO 2022 IR 87",
         "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
         "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"},
        // PS3.5 I.2: Korean
        {"\\ISO 2022 IR 149", "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
         "Hong^Gildong=洪^吉洞=홍^길동"},
        // PS3.5 J.1, J.3: Chinese
        {"GB18030", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="},
        {"GBK", "Zhang^XiaoDong=\xd5\xc5^\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东="},
        // PS3.5 K.2
        {"\\ISO 2022 IR 58", "Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东="},
        {"ISO_IR 192", "Wang^XiaoDong=王^小東=", "Wang^XiaoDong=王^小東="},
        {"ISO_IR 100", "Buc^J\xe9r\xf4me", "Buc^Jérôme"},
        {"ISO_IR 101", "Wa\xb3\xeasa", "Wałęsa"},
        {"ISO_IR 144", "\xbb\xee\xda\x63\x65\xdc\xd1\xe3\xe0\xd3", "Люкceмбург"},
        {"ISO_IR 127", "\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار"},
        {"ISO_IR 126", "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"},
        {"ISO_IR 138", "\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"},
        {"ISO 2022 IR 100\\ISO 2022 IR 126", "Dionysios\x1b-F\xc4^\xc4\x1b-F\xc4", "DionysiosΔ^ÄΔ"},
        // GB18030's second byte may be a backslash or caret
        {"GB18030", "A\x81\x5c^B", "A乗^B"},
    };
    for (const auto& c : cases) {
        Builder b(Form::explicit_le);
        identity(b, c.set, c.raw);
        const auto header = scan_data_set(b.out, kExplicitVrLittleEndian);
        ASSERT_TRUE(header) << header.error().message;
        EXPECT_EQ(header->attributes.first(tags::kPatientName), c.expected) << c.set;
        EXPECT_EQ(header->attributes.first(tags::kSpecificCharacterSet), "ISO_IR 192");
        EXPECT_TRUE(header->warnings.empty()) << c.set << ": " << header->warnings.front();
    }
}

TEST(PS3_3_C_12_1_1_2, TextThatCannotBeConvertedIsAWarningWithoutTheText) {
    struct Case {
        std::string set, raw, expected, warning;
    };
    const std::vector<Case> cases = {
        {"", "M\xfcller", "Müller", "(0010,0010) holds characters beyond ASCII without a character set that has them"},
        {"", "Müller", "Müller", "(0010,0010) holds characters beyond ASCII without a character set that has them"},
        {"ISO_IR 999", "M\xfcller", "M\xef\xbf\xbdller", "the character set of (0010,0010) is not known"},
        {"ISO_IR 192", "M\xfcller", "M\xef\xbf\xbdller", "(0010,0010) holds characters that its character set does not have"},
        {"\\ISO 2022 IR 87", "\x1b$B;\x1b(B", "\xef\xbf\xbd", "(0010,0010) holds characters that its character set does not have"},
        {"\\ISO 2022 IR 87", "\x1b*Z", "\xef\xbf\xbd*Z", "(0010,0010) holds characters that its character set does not have"},
    };
    for (const auto& c : cases) {
        Builder b(Form::explicit_le);
        identity(b, c.set, c.raw);
        const auto header = scan_data_set(b.out, kExplicitVrLittleEndian);
        ASSERT_TRUE(header) << header.error().message;
        EXPECT_EQ(header->attributes.first(tags::kPatientName), c.expected);
        EXPECT_THAT(header->warnings, Contains(c.warning));
        json_of(*header);
    }
}

TEST(PS3_3_C_12_1_1_2, ItemsMayHaveTheirOwnCharacterSet) {
    Builder b(Form::explicit_le);
    identity(b, "ISO_IR 144", "\xbb");
    b.head(0x00400275, "SQ", 0xffffffff).item().text(0x00080005, "CS", "ISO_IR 100").text(0x00321060, "LO", "\xe9").end_item();
    b.item().text(0x00321060, "LO", "\xbb").end_item().end_sequence();
    const auto header = scan_data_set(b.out, kExplicitVrLittleEndian);
    ASSERT_TRUE(header);
    const auto items = json_of(*header).at("00400275").at("Value");
    EXPECT_EQ(items.at(0).at("00321060").at("Value").at(0).as_string(), "é");
    EXPECT_EQ(items.at(1).at("00321060").at("Value").at(0).as_string(), "Л");
}

TEST(PS3_10_7_1, MadePrefixReadsBack) {
    const auto sop_class = *Uid::parse("1.2.840.10008.5.1.4.1.1.7"), instance = *Uid::parse(kSop);
    const auto made = make_file_prefix(kExplicitVrLittleEndian, sop_class, instance);
    EXPECT_EQ(made, make_file_prefix(kExplicitVrLittleEndian, sop_class, instance));
    const auto header = scan_file(joined(made, rich(Form::explicit_le)));
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_TRUE(header->warnings.empty());
    EXPECT_EQ(header->prefix_length, made.size());
}

// PS3.3 C.7.6.3.1.8: fragments beyond 4 GiB, addressed by an extended offset table. Made as it goes, never stored.
TEST(PS3_5_A4, MoreThanFourGibibytesOfFragmentsPassInFlatMemory) {
    constexpr std::uint64_t kFragment = 64u << 20, kFragments = 65;
    auto b = small(Form::explicit_le);
    b.text(0x00280008, "IS", std::to_string(kFragments));
    b.head(0x7fe00001, "OV", 8 * kFragments);
    for (std::uint64_t i = 0; i < kFragments; ++i) b.number(i * (kFragment + 8), 8);
    b.head(0x7fe00010, "OB", 0xffffffff);
    const auto start = b.out.size();
    b.item(0);
    auto scanner = DataSetScanner::for_data_set("1.2.840.10008.1.2.4.201");
    ASSERT_TRUE(scanner);
    ASSERT_TRUE(scanner->feed(b.out));
    const auto memory_kib = [] {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss;
    };
    const Bytes chunk(4u << 20, 0x5a);
    const auto before = memory_kib();
    for (std::uint64_t i = 0; i < kFragments; ++i) {
        Builder head(Form::explicit_le);
        ASSERT_TRUE(scanner->feed(head.item(kFragment).out));
        for (std::uint64_t done = 0; done < kFragment; done += chunk.size()) ASSERT_TRUE(scanner->feed(chunk));
    }
    Builder end(Form::explicit_le);
    ASSERT_TRUE(scanner->feed(end.end_sequence().out));
    const auto header = scanner->finish();
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->pixel_offset, start);
    EXPECT_EQ(header->pixel_length, 8 + kFragments * (kFragment + 8));
    EXPECT_GT(header->pixel_length, std::uint64_t{1} << 32);
    EXPECT_EQ(header->number_of_frames, kFragments);
    EXPECT_LT(memory_kib() - before, 16 * 1024);
}

}  // namespace
}  // namespace fiducial::dicom
