#include "dicom/attributes.hpp"

#include <gtest/gtest.h>

#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

TEST(PS3_6_Dictionary, TagsAndKeywordsReadBothWays) {
    EXPECT_EQ(parse_tag("00100020"), tags::kPatientId);
    EXPECT_EQ(parse_tag("(0010,0020)"), tags::kPatientId);
    EXPECT_EQ(parse_tag("0020,000d"), tags::kStudyInstanceUid);
    EXPECT_EQ(parse_tag("PatientID"), tags::kPatientId);
    EXPECT_EQ(parse_tag(""), std::nullopt);
    EXPECT_EQ(parse_tag("()"), std::nullopt);
    EXPECT_EQ(parse_tag("001000200"), std::nullopt);
    EXPECT_EQ(parse_tag("patientid"), std::nullopt);
    EXPECT_EQ(keyword_of(0x7fe00010), "PixelData");
    EXPECT_EQ(keyword_of(0x00091234), "");
    EXPECT_EQ(tag_text(0x0020000d), "0020000D");
    EXPECT_EQ(tag_name(0x0020000d), "(0020,000D)");
    EXPECT_EQ(dictionary_vr(0x7fe00010), "OW");
    EXPECT_EQ(dictionary_vr(0x00280106), "US");
    EXPECT_EQ(dictionary_vr(0x00091234), "UN");
}

TEST(PS3_4_C_6, QueryAttributesAreWhatTheDictionarySaysInOrder) {
    const auto rows = query_attributes();
    for (std::size_t i = 0; i < rows.size(); ++i) {
        EXPECT_EQ(keyword_of(rows[i].tag), rows[i].keyword);
        EXPECT_EQ(dictionary_vr(rows[i].tag), rows[i].vr) << rows[i].keyword;
        EXPECT_EQ(find_query_attribute(rows[i].tag), &rows[i]);
        if (i > 0) {
            EXPECT_LT(std::pair(rows[i - 1].level, rows[i - 1].tag), std::pair(rows[i].level, rows[i].tag));
        }
    }
    EXPECT_EQ(find_query_attribute(0x7fe00010), nullptr);
}

TEST(PS3_5_A, TransferSyntaxesAreFoundByUid) {
    ASSERT_NE(find_transfer_syntax("1.2.840.10008.1.2.4.202"), nullptr);
    EXPECT_TRUE(find_transfer_syntax("1.2.840.10008.1.2.4.202")->encapsulated);
    EXPECT_TRUE(find_transfer_syntax(kDeflatedExplicitVrLittleEndian)->deflated);
    EXPECT_FALSE(find_transfer_syntax(kImplicitVrLittleEndian)->explicit_vr);
    EXPECT_EQ(find_transfer_syntax("1.2.840.10008.1.2.4"), nullptr);
    EXPECT_EQ(find_transfer_syntax(""), nullptr);
    for (const auto& row : transfer_syntaxes()) EXPECT_EQ(find_transfer_syntax(row.uid), &row);
}

TEST(PS3_5_6_2_1, NamesAreComparedWithoutCaseAccentsAndDelimiters) {
    EXPECT_EQ(normalise_person_name("MÜLLER^Jürgen^^Dr."), "muller jurgen dr.");
    EXPECT_EQ(normalise_person_name("  Sørbye-Krüger^Jörg^^ "), "sorbye-kruger jorg");
    EXPECT_EQ(normalise_person_name("Соколов^ПЁТР"), "соколов петр");
    EXPECT_EQ(normalise_person_name("ΠΑΠΠΆΣ^Ελένη"), "παππασ ελενη");
    EXPECT_EQ(normalise_person_name("παππάς^Ελένη"), "παππασ ελενη");
    EXPECT_EQ(normalise_person_name("Yamada^Tarou=山田^太郎=やまだ^たろう"), "yamada tarou=山田 太郎=やまだ たろう");
    EXPECT_EQ(normalise_person_name("ＡＢＣ　d"), "abc d");
    EXPECT_EQ(normalise_person_name("Doe*^J?"), "doe* j?");
    EXPECT_EQ(normalise_person_name("^^=="), "");
    EXPECT_EQ(normalise_person_name("e\xcc\x81"), "e");
    EXPECT_EQ(normalise_person_name("\xff\xfe"), "\xef\xbf\xbd\xef\xbf\xbd");
    EXPECT_EQ(normalise_text("  Thorax  ap^x "), "thorax ap^x");
    const auto name = split_person_name("Adams^John^^^ =b^=c");
    EXPECT_EQ(name.alphabetic, "Adams^John");
    EXPECT_EQ(name.ideographic, "b");
    EXPECT_EQ(name.phonetic, "c");
}

TEST(PS3_5_6_2_1, DatesAndTimesTakeOldFormsAndRefuseNonsense) {
    EXPECT_EQ(normalise_date("20240229"), "20240229");
    EXPECT_EQ(normalise_date("1997.12.31 "), "19971231");
    EXPECT_EQ(normalise_date("2024-02-29"), "20240229");
    for (const auto* bad : {"", "20230229", "20241301", "20240100", "2024022", "2024.02-29", "ABCDEFGH", "20000431"})
        EXPECT_EQ(normalise_date(bad), std::nullopt) << bad;
    EXPECT_EQ(normalise_date("19000229"), std::nullopt);
    EXPECT_EQ(normalise_date("20000229"), "20000229");
    EXPECT_EQ(normalise_time("07"), "070000.000000");
    EXPECT_EQ(normalise_time("0709"), "070900.000000");
    EXPECT_EQ(normalise_time("07:09:10"), "070910.000000");
    EXPECT_EQ(normalise_time("235960.5 "), "235960.500000");
    for (const auto* bad : {"", "7", "24", "0760", "07.5", "070910.1234567", "0:70910", "07091x"})
        EXPECT_EQ(normalise_time(bad), std::nullopt) << bad;
    EXPECT_EQ(date_of_date_time("20240229121314.5+0100"), "20240229");
    EXPECT_EQ(date_of_date_time("2024"), std::nullopt);
}

TEST(PS3_4_C_6, AttributesKeepValuesApart) {
    Attributes attributes;
    attributes.set(0x00080008, {"ORIGINAL", "", "AXIAL"});
    attributes.set(0x00080050, {});
    EXPECT_EQ(attributes.joined(0x00080008), "ORIGINAL\\\\AXIAL");
    EXPECT_TRUE(attributes.has(0x00080050));
    EXPECT_EQ(attributes.first(0x00080050), "");
    EXPECT_FALSE(attributes.has(0x00080060));
    EXPECT_TRUE(attributes.all(0x00080060).empty());
}

}  // namespace
}  // namespace fiducial::dicom
