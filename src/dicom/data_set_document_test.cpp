#include "dicom/data_set_document.hpp"

#include <gtest/gtest.h>

#include "dicom/data_set_scanner.hpp"
#include "dicom/json_model.hpp"
#include "dicom/test_data_sets.hpp"

namespace fiducial::dicom {
namespace {

using namespace test;

Result<Bytes> written(
    const DataSetDocument& document, const DataSetDocument::Find& find = [](std::string_view) { return nullptr; }) {
    Bytes out;
    FID_CHECK(document.write(out, 0, DataSetDocument::kEnd, find));
    return out;
}

Result<Bytes> from_json(std::string_view json) {
    FID_TRY(const auto documents, DataSetDocument::read_json(json));
    EXPECT_EQ(documents.size(), 1u);
    return written(documents.front());
}
Result<Bytes> from_xml(std::string_view attributes) {
    FID_TRY(const auto document, DataSetDocument::read_xml("<NativeDicomModel>" + std::string(attributes) + "</NativeDicomModel>"));
    return written(document);
}
std::string error_of(const Result<Bytes>& result) {
    return result ? "" : result.error().message;
}

/// An instance with values of each kind.
Bytes everything() {
    Builder b(Form::explicit_le);
    identity(b, "ISO_IR 192", "Müller^Jürgen^^Dr.=山田^太郎");
    b.head(0x00081140, "SQ", 0xffffffff)
        .item()
        .text(0x00081150, "UI", "1.2.3")
        .us(0x00280010, 5)
        .end_item()
        .item()
        .end_item()
        .end_sequence();
    b.text(0x00181050, "DS", "25\\-3\\125").text(0x00200013, "IS", "-12").head(0x00209165, "AT", 4).number(0x0018, 2).number(0x9074, 2);
    b.head(0x00209170, "UL", 8).number(1, 4).number(0xfffffffe, 4).head(0x00280106, "SS", 2).number(0xfffe, 2);
    b.text(0x00280004, "CS", "MONOCHROME2").head(0x00409225, "FD", 8).number(0x3ff8'0000'0000'0000, 8);
    b.head(0x00720072, "FL", 4).number(0x3fc0'0000, 4).raw(0x00291001, "UN", Bytes{1, 2, 3, 4}).head(0x00404071, "SQ", 0);
    b.text(0x4010102b, "ST", "a <b> & \"c\"").text(0x40101033, "LO", "");
    return b.out;
}

TEST(DataSetDocument, Ps318AnnexFAndPs319AnnexAWhatWeSayOfAnInstanceMakesIt) {
    const auto header = scan_data_set(everything(), kExplicitVrLittleEndian);
    ASSERT_TRUE(header) << header.error().message;
    const auto again = from_json(header->dicom_json);
    ASSERT_TRUE(again) << again.error().message;
    const auto after = scan_data_set(*again, kExplicitVrLittleEndian);
    ASSERT_TRUE(after) << after.error().message;
    EXPECT_EQ(after->dicom_json, header->dicom_json);
    EXPECT_TRUE(after->warnings.empty()) << after->warnings.front();
    const auto xml = to_native_model(header->dicom_json);
    ASSERT_TRUE(xml);
    const auto document = DataSetDocument::read_xml(*xml);
    ASSERT_TRUE(document) << document.error().message;
    EXPECT_EQ(written(*document).value_or(Bytes()), *again);
}

TEST(DataSetDocument, Ps318SectionF2ValuesOfEachKind) {
    Builder wanted(Form::explicit_le);
    wanted.text(0x00080005, "CS", "ISO_IR 192").text(0x00080018, "UI", "1.2.3").text(0x00100010, "PN", "=山田^太郎=やまだ");
    wanted.text(0x00101030, "DS", "0.1\\\\7").head(0x00189219, "SS", 0).raw(0x00282000, "OB", Bytes{1, 2, 3, 0});
    EXPECT_EQ(
        from_json(
            R"({"00282000":{"vr":"OB","InlineBinary":"AQID"},"00080018":{"vr":"UI","Value":["1.2.3"]},"00080005":{"vr":"CS","Value":["ISO_IR 100"]},)"
            R"("00083002":{"vr":"UI","Value":["1.2"]},"00020010":{"vr":"UI","Value":["1.2"]},"00189219":{"vr":"SS"},)"
            R"("00100010":{"vr":"PN","Value":[{"Ideographic":"山田^太郎","Phonetic":"やまだ"}]},"00101030":{"vr":"DS","Value":[0.1,null,"7"]}})")
            .value_or(Bytes()),
        wanted.out);
    Builder plain(Form::explicit_le);
    plain.text(0x00080018, "UI", "1.2.3");
    EXPECT_EQ(from_json(R"([{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00080018":{"vr":"UI","Value":["1.2.3"]}}])").value_or(Bytes()),
              plain.out)
        << "what is ASCII needs no character set";
    EXPECT_EQ(
        from_xml(
            R"(<!-- c --><DicomAttribute tag="00080018" vr='UI' keyword="SOPInstanceUID"><Value number="1">1.2<![CDATA[.3]]></Value></DicomAttribute>)")
            .value_or(Bytes()),
        plain.out);
    Builder third(Form::explicit_le);
    third.text(0x00080008, "CS", "\\A\\&\\<B>");
    EXPECT_EQ(
        from_xml(
            R"(<x:DicomAttribute tag="00080008" vr="CS"><Value number="2">&#65;</Value><Value number="3">&amp;</Value><Value number="4">&lt;B&#x3e;</Value></x:DicomAttribute>)")
            .value_or(Bytes()),
        third.out);
}

TEST(DataSetDocument, ValuesNamedByAddress) {
    const auto documents = DataSetDocument::read_json(
        R"([{"7FE00010":{"vr":"OW","BulkDataURI":"p"},"00420011":{"vr":"OB","BulkDataURI":"d"},"00281201":{"vr":"OW","BulkDataURI":"d"},)"
        R"("00880200":{"vr":"SQ","Value":[{"7FE00010":{"vr":"OB","BulkDataURI":"i"}}]},"00280008":{"vr":"IS","Value":[3]}}])");
    ASSERT_TRUE(documents) << documents.error().message;
    const auto& document = documents->front();
    std::string listed;
    for (const auto& one : document.references()) listed += tag_text(one.tag) + one.uri + (one.nested ? "n " : " ");
    EXPECT_EQ(listed, "00281201d 00420011d 00880200in 7FE00010p ");
    EXPECT_EQ(document.first(tags::kNumberOfFrames), "3");
    EXPECT_EQ(document.vr(tags::kPixelData), "OW");
    EXPECT_EQ(document.vr(tags::kRows), "");
    const Bytes some{1, 2, 3};
    const DataSetDocument::Find find = [&](std::string_view uri) { return uri == "p" ? nullptr : &some; };
    EXPECT_NE(error_of(written(document, find)).find("(7FE0,0010)"), std::string::npos);
    Bytes out;
    ASSERT_TRUE(document.write(out, 0x00420011, tags::kPixelData, find));
    Builder wanted(Form::explicit_le);
    wanted.raw(0x00420011, "OB", Bytes{1, 2, 3, 0}).head(0x00880200, "SQ", 0xffffffff).item();
    wanted.raw(tags::kPixelData, "OB", Bytes{1, 2, 3, 0}).end_item().end_sequence();
    EXPECT_EQ(out, wanted.out);
}

TEST(DataSetDocument, WhatIsNoDataSetIsRefusedByItsTag) {
    const auto refused = [](const std::string& json, std::string_view says) {
        EXPECT_NE(error_of(from_json(json)).find(says), std::string::npos) << json << " " << error_of(from_json(json));
    };
    const auto element = [](const std::string& body) { return "{\"00280010\":{" + body + "}}"; };
    refused("7", "array of objects");
    refused("[7]", "array of objects");
    refused(R"({"Rows":{"vr":"US"}})", "no tag");
    refused(R"({"00280010":7})", "without a VR");
    refused(element(R"("vr":"XX")"), "a VR that there is not");
    refused(element(R"("vr":"US","Value":7)"), "no array");
    refused(element(R"("vr":"US","Value":[true])"), "of a kind");
    refused(element(R"("vr":"US","Value":[70000])"), "no number of its VR");
    refused(element(R"("vr":"US","Value":["x"])"), "no number of its VR");
    refused(element(R"("vr":"OB","Value":["x"])"), "has bytes");
    refused(element(R"("vr":"SQ","Value":["x"])"), "no object");
    refused(element(R"("vr":"SQ","InlineBinary":"AA==")"), "has items");
    refused(element(R"("vr":"SQ","BulkDataURI":"a")"), "in place of items");
    refused(element(R"("vr":"OB","InlineBinary":"*")"), "base64");
    refused(element(R"("vr":"OB","InlineBinary":"","BulkDataURI":"a")"), "more than one kind");
    refused(element(R"("vr":"OB","BulkDataURI":"")"), "an address that is none");
    refused(element(R"("vr":"PN","Value":[{"Alphabetic":7}])"), "of a kind");
    refused(element("\"vr\":\"LO\",\"Value\":[\"" + std::string(70'000, 'x') + "\"]"), "too long for its VR");
    std::string deep = "{}";
    for (int i = 0; i < 30; ++i) deep = R"({"00081140":{"vr":"SQ","Value":[)" + deep + "]}}";
    EXPECT_FALSE(from_json(deep)) << "64 levels of JSON";
    for (const auto* xml :
         {"<DicomAttribute tag=\"0028001\" vr=\"US\"/>", "<DicomAttribute tag=\"00280010\" vr=\"US\"><Value>1</Value></DicomAttribute>",
          "<Other/>", "<DicomAttribute tag=\"00280010\" vr=\"US\"><Value number=\"2\"/><Value number=\"1\"/></DicomAttribute>",
          "<DicomAttribute", "&amp;<", "<a b></a>",
          "<DicomAttribute tag=\"00280010\" vr=\"US\"><Value number=\"99999999\"/></DicomAttribute>",
          "<DicomAttribute tag=\"00280010\" vr=\"US\">",
          "<DicomAttribute tag=\"00280010\" vr=\"LO\"><Value number=\"1\">&nbsp;</Value></DicomAttribute>", "<!-- ", "<?x", "<![CDATA[",
          "<DicomAttribute tag=\"00280010\" vr=\"LO\"><Value number=\"1\">&#xd800;</Value></DicomAttribute>"})
        EXPECT_FALSE(from_xml(xml)) << xml;
    EXPECT_EQ(DataSetDocument::read_xml("<!DOCTYPE x [<!ENTITY a \"b\">]><NativeDicomModel/>").error().code, ErrorCode::unsupported);
    EXPECT_FALSE(DataSetDocument::read_xml("\xff"));
    EXPECT_FALSE(DataSetDocument::read_xml(""));
    EXPECT_TRUE(DataSetDocument::read_xml("<?xml version=\"1.0\"?>\n<NativeDicomModel xmlns=\"x\"/>\n"));
    EXPECT_EQ(DataSetDocument::read_xml(std::string(DataSetDocument::kMostBytes + 1, ' ')).error().code, ErrorCode::limit_exceeded);
}

}  // namespace
}  // namespace fiducial::dicom
