#include "dicom/identifier.hpp"

#include <gtest/gtest.h>

#include "dicom/data_set_writer.hpp"
#include "dicom/test_data_sets.hpp"
#include "dicom/transfer_syntax.hpp"
#include "dicom/worklist.hpp"

namespace fiducial::dicom {
namespace {

using test::Builder;
using test::Form;

constexpr Tag kProcedureCodeSequence = 0x00081032;

Identifier must(const Result<Identifier>& read) {
    EXPECT_TRUE(read) << read.error().message;
    return read.value_or(Identifier());
}
Identifier with_name(std::string name, std::string character_set) {
    Identifier out;
    out.attributes.set(tags::kPatientName, {std::move(name)});
    out.attributes.set(tags::kPatientId, {"1"});
    out.character_set = std::move(character_set);
    return out;
}

TEST(Identifier, Ps34_C_2_2_1_KeysComeAsText) {
    for (const auto form : {Form::implicit_le, Form::explicit_le, Form::explicit_be}) {
        Builder keys(form);
        keys.text(0x00080005, "CS", "ISO_IR 100").text(0x00080020, "DA", "20260101-").text(0x00080052, "CS", "STUDY ");
        keys.text(0x00080061, "CS", "CT\\MR").text(0x00100010, "PN", "M\xfcller^*").text(0x0020000d, "UI", "");
        keys.us(0x00280010, 512);
        const std::string syntax(form == Form::implicit_le   ? kImplicitVrLittleEndian
                                 : form == Form::explicit_le ? kExplicitVrLittleEndian
                                                             : kExplicitVrBigEndian);
        const auto read = must(decode_identifier(keys.out, syntax));
        EXPECT_EQ(read.character_set, "ISO_IR 100");
        EXPECT_EQ(read.attributes.first(tags::kPatientName), "Müller^*");
        EXPECT_EQ(read.attributes.joined(0x00080061), "CT\\MR");
        EXPECT_EQ(read.attributes.first(tags::kStudyDate), "20260101-");
        EXPECT_TRUE(read.attributes.has(tags::kStudyInstanceUid));
        EXPECT_TRUE(read.attributes.all(tags::kStudyInstanceUid).empty());
        EXPECT_EQ(read.attributes.first(tags::kRows), "512");
        EXPECT_TRUE(read.items.empty());
    }
}

TEST(Identifier, Ps34_C_2_2_2_6_SequencesHoldTheKeysOfTheirItem) {
    Builder item(Form::explicit_le);
    item.text(0x00400009, "SH", "SPS1").text(0x00401001, "SH", "");
    Builder keys(Form::explicit_le);
    keys.text(0x00080052, "CS", "SERIES");
    keys.head(kProcedureCodeSequence, "SQ", 0);
    keys.head(tags::kRequestAttributesSequence, "SQ", static_cast<std::uint32_t>(item.out.size() + 8));
    keys.head(0xfffee000, "", static_cast<std::uint32_t>(item.out.size()));
    append(keys.out, item.out);
    const auto read = must(decode_identifier(keys.out, kExplicitVrLittleEndian));
    ASSERT_TRUE(read.items.contains(tags::kRequestAttributesSequence));
    const auto& request = read.items.at(tags::kRequestAttributesSequence);
    EXPECT_EQ(request.first(0x00400009), "SPS1");
    EXPECT_TRUE(request.has(0x00401001));
    EXPECT_FALSE(read.attributes.has(0x00400009)) << "it stands in the sequence";
    ASSERT_TRUE(read.items.contains(kProcedureCodeSequence));
    EXPECT_TRUE(read.items.at(kProcedureCodeSequence).empty());

    for (const auto syntax : {kExplicitVrLittleEndian, kImplicitVrLittleEndian}) {
        const auto again = must(decode_identifier(encode_identifier(read, syntax), syntax));
        EXPECT_EQ(again.items.at(tags::kRequestAttributesSequence).first(0x00400009), "SPS1");
        EXPECT_TRUE(again.items.at(kProcedureCodeSequence).empty());
        EXPECT_EQ(again.attributes.first(0x00080052), "SERIES");
    }
}

TEST(Identifier, Ps34_C_2_2_2_6_OfSequencesInAnItemItIsKnownWhetherTheyAskForAValue) {
    constexpr Tag kProtocol = 0x00400008;
    const auto in_sequence = [](Tag sequence, const Builder& item) {
        Builder out(Form::explicit_le);
        out.head(sequence, "SQ", static_cast<std::uint32_t>(item.out.size() + 8));
        out.head(0xfffee000, "", static_cast<std::uint32_t>(item.out.size()));
        append(out.out, item.out);
        return out;
    };
    for (const auto* value : {"", "CODE"}) {
        Builder code(Form::explicit_le);
        code.text(0x00080100, "SH", value);
        const auto keys = in_sequence(tags::kScheduledProcedureStepSequence, in_sequence(kProtocol, code));
        const auto read = must(decode_identifier(keys.out, kExplicitVrLittleEndian));
        const auto& step = read.items.at(tags::kScheduledProcedureStepSequence);
        EXPECT_TRUE(step.has(kProtocol));
        EXPECT_TRUE(step.all(kProtocol).empty());
        EXPECT_EQ(read.nested_keys.contains(kProtocol), *value != '\0') << value;
    }
}

/// The names of PS3.5 Annexes H to K, byte by byte.
TEST(Identifier, Ps35_H_I_J_K_NamesAreWrittenInTheCharacterSetThatIsWanted) {
    struct Example {
        std::string_view annex, character_set, utf8, bytes;
    };
    const Example examples[] = {
        {"H.3.1", "\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう",
         "Yamada^Tarou=\033$B;3ED\033(B^\033$BB@O:\033(B=\033$B$d$^$@\033(B^\033$B$?$m$&\033(B"},
        {"H.3.2", "ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
         "\324\317\300\336^\300\333\263=\033$B;3ED\033(J^\033$BB@O:\033(J=\033$B$d$^$@\033(J^\033$B$?$m$&\033(J"},
        {"I.2", "\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동",
         "Hong^Gildong=\033$)C\373\363^\033$)C\321\316\324\327=\033$)C\310\253^\033$)C\261\346\265\277"},
        {"J.1", "ISO_IR 192", "Wang^XiaoDong=王^小东=", "Wang^XiaoDong=王^小东="},
        {"J.3", "GB18030", "Wang^XiaoDong=王^小东=", "Wang^XiaoDong=\315\365^\320\241\266\253="},
        {"K.2", "\\ISO 2022 IR 58", "Zhang^XiaoDong=张^小东=", "Zhang^XiaoDong=\033$)A\325\305^\033$)A\320\241\266\253="},
        {"Latin", "ISO_IR 100", "Müller^Jürgen", "M\374ller^J\374rgen"},
        {"Greek", "ISO_IR 126", "Διονυσιος", "\304\351\357\355\365\363\351\357\362"},
    };
    for (const auto& example : examples) {
        SCOPED_TRACE(example.annex);
        const auto written =
            encode_identifier(with_name(std::string(example.utf8), std::string(example.character_set)), kExplicitVrLittleEndian);
        Builder expected(Form::explicit_le);
        expected.text(0x00080005, "CS", std::string(example.character_set));
        expected.text(0x00100010, "PN", std::string(example.bytes)).text(0x00100020, "LO", "1");
        EXPECT_EQ(written, expected.out);
        std::string name(example.utf8);
        while (name.ends_with('=')) name.pop_back();
        const auto read = must(decode_identifier(written, kExplicitVrLittleEndian));
        EXPECT_EQ(read.attributes.first(tags::kPatientName).substr(0, name.size()), name);
    }
}

TEST(Identifier, Ps33_C_12_1_1_2_WhatACharacterSetDoesNotHaveComesInUtf8) {
    const auto declared = [](std::string name, std::string character_set) {
        const auto read = must(decode_identifier(encode_identifier(with_name(name, std::move(character_set)), kImplicitVrLittleEndian),
                                                 kImplicitVrLittleEndian));
        EXPECT_EQ(read.attributes.first(tags::kPatientName), name);
        return read.character_set;
    };
    EXPECT_EQ(declared("Plain", ""), "");
    EXPECT_EQ(declared("Plain", "ISO_IR 100"), "ISO_IR 100");
    EXPECT_EQ(declared("Müller", ""), "ISO_IR 192");
    EXPECT_EQ(declared("Müller", "ISO_IR 6"), "ISO_IR 192");
    EXPECT_EQ(declared("Müller", "ISO_IR 100"), "ISO_IR 100");
    EXPECT_EQ(declared("山田", "ISO_IR 100"), "ISO_IR 192");
    EXPECT_EQ(declared("Müller", "\\ISO 2022 IR 87"), "ISO_IR 192");
    EXPECT_EQ(declared("山田", "a set that nobody knows"), "ISO_IR 192");
    EXPECT_EQ(declared("山田 \xf0\x9f\x98\x80", "GB18030"), "GB18030");
}

TEST(Identifier, NumbersAreWrittenAsTheirVrSays) {
    Identifier found;
    found.attributes.set(tags::kRows, {"512"});                       // US
    found.attributes.set(tags::kNumberOfFrames, {"7"});               // IS
    found.attributes.set(0x00280009, {"00181063"});                   // AT
    found.attributes.set(0x00189313, {"1.5", "-2", "not a number"});  // FD
    const auto again = must(decode_identifier(encode_identifier(found, kExplicitVrLittleEndian), kExplicitVrLittleEndian));
    EXPECT_EQ(again.attributes.first(tags::kRows), "512");
    EXPECT_EQ(again.attributes.first(tags::kNumberOfFrames), "7");
    EXPECT_EQ(again.attributes.first(0x00280009), "00181063");
    EXPECT_EQ(again.attributes.joined(0x00189313), "1.5\\-2");
}

TEST(Identifier, SequencesThatNobodyCouldTellInImplicitVrAreLeftOut) {
    Identifier found;
    found.attributes.set(tags::kPatientId, {"1"});
    found.items[0x7ffc0000] = {};
    for (const auto syntax : {kImplicitVrLittleEndian, kExplicitVrLittleEndian}) {
        const auto again = must(decode_identifier(encode_identifier(found, syntax), syntax));
        EXPECT_TRUE(again.items.empty());
        EXPECT_EQ(again.attributes.first(tags::kPatientId), "1");
    }
}

TEST(Identifier, Rejections) {
    const auto code = [](ByteView bytes, std::string_view syntax) {
        const auto read = decode_identifier(bytes, syntax);
        return read ? ErrorCode::internal : read.error().code;
    };
    EXPECT_EQ(code({}, "1.2.3"), ErrorCode::unsupported);
    EXPECT_EQ(code({}, kDeflatedExplicitVrLittleEndian), ErrorCode::unsupported);
    Builder keys(Form::explicit_le);
    keys.text(0x00080052, "CS", "STUDY ");
    for (std::size_t cut = 1; cut < keys.out.size(); ++cut)
        EXPECT_EQ(code(ByteView(keys.out).first(cut), kExplicitVrLittleEndian), ErrorCode::malformed) << cut;
    Builder large(Form::explicit_le);
    large.text(0x00104000, "UT", std::string(kMostIdentifierBytes + 2, 'x'));
    EXPECT_EQ(code(large.out, kExplicitVrLittleEndian), ErrorCode::limit_exceeded);
}

TEST(Identifier, ACharacterSetThatNobodyNamedCanBeAssumed) {
    for (const auto* term : {"ISO_IR 100", "ISO_IR 192", "ISO 2022 IR 87", "GB18030", "ISO_IR 13"})
        EXPECT_TRUE(is_character_set(term)) << term;
    for (const auto* none : {"", "KOI8", "ISO_IR 100\\ISO 2022 IR 87"}) EXPECT_FALSE(is_character_set(none)) << none;
    for (const auto syntax : {kImplicitVrLittleEndian, kExplicitVrLittleEndian}) {
        DataSetWriter keys(syntax == kExplicitVrLittleEndian);
        keys.text(tags::kPatientName, "PN", "M\xfcller*");
        const auto read = must(decode_identifier(keys.bytes(), syntax, "ISO_IR 100"));
        EXPECT_EQ(read.attributes.first(tags::kPatientName), "Müller*");
        EXPECT_EQ(read.character_set, "ISO_IR 100") << "it is answered in it, too";
        DataSetWriter named(syntax == kExplicitVrLittleEndian);
        named.text(tags::kSpecificCharacterSet, "CS", "ISO_IR 192");
        named.text(tags::kPatientName, "PN", "Müller*");
        EXPECT_EQ(must(decode_identifier(named.bytes(), syntax, "ISO_IR 100")).character_set, "ISO_IR 192");
    }
}

}  // namespace
}  // namespace fiducial::dicom
