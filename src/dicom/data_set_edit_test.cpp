#include "dicom/data_set_edit.hpp"

#include <gtest/gtest.h>

#include <array>

#include "dicom/data_set_scanner.hpp"
#include "dicom/test_data_sets.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

using test::Builder;
using test::Form;

struct Case {
    Form form;
    std::string_view syntax;
};
constexpr std::array<Case, 3> kCases{{{Form::implicit_le, kImplicitVrLittleEndian},
                                      {Form::explicit_le, kExplicitVrLittleEndian},
                                      {Form::explicit_be, kExplicitVrBigEndian}}};

/// An image with a sequence of undefined length before the patient, and pixels.
Bytes image(Form form, const std::string& character_set = {}, const std::string& name = "Wrong^Will") {
    Builder b(form);
    if (!character_set.empty()) b.text(tags::kSpecificCharacterSet, "CS", character_set);
    b.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7").text(tags::kSopInstanceUid, "UI", std::string(test::kSop));
    b.head(0x00081140, "SQ", 0xffffffff).item().text(0x00081155, "UI", "1.2.9").end_item().end_sequence();
    b.text(tags::kPatientName, "PN", name).text(tags::kPatientId, "LO", "WRONG-1").text(0x00101000, "LO", "OTHER-1");
    b.text(tags::kStudyInstanceUid, "UI", std::string(test::kStudy)).text(tags::kSeriesInstanceUid, "UI", std::string(test::kSeries));
    b.us(tags::kRows, 2).us(tags::kColumns, 2);
    b.raw(tags::kPixelData, "OW", Bytes{1, 2, 3, 4, 5, 6, 7, 8});
    return b.out;
}

const std::vector<AttributeEdit> kEdits{{tags::kPatientName, "PN", "Right^Rosa"},
                                        {tags::kPatientId, "LO", "R-42"},
                                        {tags::kIssuerOfPatientId, "LO", "Klinik"},
                                        {tags::kPatientSex, "CS", ""},
                                        {0x00101000, "LO", {}}};

Result<Bytes> edited(const Bytes& stored, std::string_view syntax, std::span<const AttributeEdit> edits, std::size_t piece = 7) {
    const auto read = [&](std::uint64_t offset, MutableByteView out) -> Result<std::size_t> {
        const auto left = std::min<std::size_t>(out.size(), stored.size() - std::min<std::size_t>(offset, stored.size()));
        std::copy_n(stored.begin() + static_cast<std::ptrdiff_t>(offset), left, out.begin());
        return left;
    };
    FID_TRY(const auto plan, EditedDataSet::plan(stored.size(), syntax, edits, read));
    Bytes out, buffer(piece);
    while (true) {
        FID_TRY(const auto got, plan.read(out.size(), buffer, read));
        append(out, ByteView(buffer).first(got));
        if (got < buffer.size()) break;
    }
    EXPECT_EQ(out.size(), plan.size());
    return out;
}

TEST(EditedDataSet, OnlyWhatIsNamedIsOtherInEveryEncoding) {
    for (const auto& one : kCases) {
        const auto stored = image(one.form);
        const auto out = edited(stored, one.syntax, kEdits);
        ASSERT_TRUE(out) << out.error().message;
        Builder wanted(one.form);
        wanted.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7").text(tags::kSopInstanceUid, "UI", std::string(test::kSop));
        wanted.head(0x00081140, "SQ", 0xffffffff).item().text(0x00081155, "UI", "1.2.9").end_item().end_sequence();
        wanted.text(tags::kPatientName, "PN", "Right^Rosa").text(tags::kPatientId, "LO", "R-42");
        wanted.text(tags::kIssuerOfPatientId, "LO", "Klinik").text(tags::kPatientSex, "CS", "");
        wanted.text(tags::kStudyInstanceUid, "UI", std::string(test::kStudy))
            .text(tags::kSeriesInstanceUid, "UI", std::string(test::kSeries));
        wanted.us(tags::kRows, 2).us(tags::kColumns, 2).raw(tags::kPixelData, "OW", Bytes{1, 2, 3, 4, 5, 6, 7, 8});
        EXPECT_EQ(*out, wanted.out);
        for (const std::size_t piece : {1, 3, 64, 4096}) EXPECT_EQ(edited(stored, one.syntax, kEdits, piece).value(), *out) << piece;
        const auto header = scan_data_set(*out, one.syntax);
        ASSERT_TRUE(header) << header.error().message;
        EXPECT_EQ(header->identity.patient_id.value, "R-42");
        EXPECT_EQ(header->pixel_sha256, scan_data_set(stored, one.syntax)->pixel_sha256);
    }
}

TEST(EditedDataSet, NothingToEditIsTheDataSetItself) {
    const auto stored = image(Form::explicit_le);
    EXPECT_EQ(edited(stored, kExplicitVrLittleEndian, {}).value(), stored);
}

TEST(EditedDataSet, ADataSetThatEndsBeforeTheAttributesGetsThem) {
    Builder b(Form::explicit_le);
    b.text(tags::kSopInstanceUid, "UI", std::string(test::kSop));
    const std::vector<AttributeEdit> edits{{tags::kPatientId, "LO", "R-42"}};
    Builder wanted(Form::explicit_le);
    wanted.text(tags::kSopInstanceUid, "UI", std::string(test::kSop)).text(tags::kPatientId, "LO", "R-42");
    EXPECT_EQ(edited(b.out, kExplicitVrLittleEndian, edits).value(), wanted.out);
}

TEST(EditedDataSet, LettersInTheDataSetsCharacterSet) {
    const std::vector<AttributeEdit> name{{tags::kPatientName, "PN", "M\xC3\xBCller^Eva"}};
    const auto name_of = [&](const std::string& character_set) -> Result<std::pair<std::string, std::string>> {
        FID_TRY(const auto out, edited(image(Form::explicit_le, character_set), kExplicitVrLittleEndian, name));
        FID_TRY(const auto header, scan_data_set(out, kExplicitVrLittleEndian));
        const auto declares = [&](std::string_view term) { return as_text(out).find(term) != std::string_view::npos; };
        return std::pair(header.attributes.first(tags::kPatientName), std::string(declares("ISO_IR 192")   ? "ISO_IR 192"
                                                                                  : declares("ISO_IR 100") ? "ISO_IR 100"
                                                                                                           : ""));
    };
    for (const auto* set : {"", "ISO_IR 100", "ISO_IR 192", "ISO_IR 6"}) {
        const auto found = name_of(set);
        ASSERT_TRUE(found) << found.error().message;
        EXPECT_EQ(found->first, "M\xC3\xBCller^Eva") << set;
    }
    EXPECT_EQ(name_of("").value().second, "ISO_IR 192");
    EXPECT_EQ(name_of("ISO_IR 100").value().second, "ISO_IR 100");
    EXPECT_EQ(name_of("ISO_IR 144").error().code, ErrorCode::unsupported);  // Cyrillic has no such letter
}

TEST(EditedDataSet, WhatCannotBeWrittenAnewIsRefused) {
    const auto stored = image(Form::explicit_le);
    EXPECT_EQ(edited(stored, kDeflatedExplicitVrLittleEndian, kEdits).error().code, ErrorCode::unsupported);
    EXPECT_EQ(edited(Bytes(40, 0xff), kExplicitVrLittleEndian, kEdits).error().code, ErrorCode::unsupported);
}

}  // namespace
}  // namespace fiducial::dicom
