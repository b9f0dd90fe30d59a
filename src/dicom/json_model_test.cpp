#include "dicom/json_model.hpp"

#include <gtest/gtest.h>

namespace fiducial::dicom {
namespace {

TEST(PS3_18_F, AttributesAsTheirVrWants) {
    Attributes attributes;
    attributes.set(tags::kPatientName, {"Yamada^Tarou=山田^太郎=やまだ^たろう"});
    attributes.set(tags::kModalitiesInStudy, {"CT", "MR"});
    attributes.set(tags::kRows, {"512"});
    attributes.set(tags::kInstanceNumber, {" +7"});
    attributes.set(tags::kSeriesNumber, {"seven"});
    attributes.set(0x00101030, {"70.5"});
    attributes.set(0x00080008, {"ORIGINAL", "", "AXIAL"});
    attributes.set(tags::kStudyDescription, {"a \"quoted\" \\ text"});
    attributes.set(tags::kStudyDate, {});
    attributes.set(0x00400009, {"S1"});
    attributes.set(0x00401001, {"R1"});
    EXPECT_EQ(
        to_dicom_json(attributes),
        R"({"00080008":{"vr":"CS","Value":["ORIGINAL",null,"AXIAL"]},"00080020":{"vr":"DA"},"00080061":{"vr":"CS","Value":["CT","MR"]},)"
        R"("00081030":{"vr":"LO","Value":["a \"quoted\" \\ text"]},)"
        R"("00100010":{"vr":"PN","Value":[{"Alphabetic":"Yamada^Tarou","Ideographic":"山田^太郎","Phonetic":"やまだ^たろう"}]},)"
        R"("00101030":{"vr":"DS","Value":[7.05E1]},"00200011":{"vr":"IS"},"00200013":{"vr":"IS","Value":[7]},)"
        R"("00280010":{"vr":"US","Value":[512]},)"
        R"("00400275":{"vr":"SQ","Value":[{"00400009":{"vr":"SH","Value":["S1"]},"00401001":{"vr":"SH","Value":["R1"]}}]}})");
    EXPECT_EQ(to_dicom_json({}), "{}");
}

TEST(PS3_19_A_1, NativeModelOfEachKindOfValue) {
    const auto model = to_native_model(
        R"({"00080018":{"vr":"UI","Value":["1.2"]},"00090010":{"vr":"LO","Value":["ACME \"1\""]},"00091001":{"vr":"UN","InlineBinary":"AAE="},)"
        R"("00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^Jane^^Dr"},null]},"00280010":{"vr":"US","Value":[512]},)"
        R"("00400275":{"vr":"SQ","Value":[{"00401001":{"vr":"SH","Value":["<R&1>"]}},{}]},"7FE00010":{"vr":"OW","BulkDataURI":"http://h/b?a=1&b"}})");
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(*model,
              "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<NativeDicomModel xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\">"
              "<DicomAttribute tag=\"00080018\" vr=\"UI\" keyword=\"SOPInstanceUID\"><Value number=\"1\">1.2</Value></DicomAttribute>"
              "<DicomAttribute tag=\"00090010\" vr=\"LO\"><Value number=\"1\">ACME &quot;1&quot;</Value></DicomAttribute>"
              "<DicomAttribute tag=\"00091001\" vr=\"UN\" privateCreator=\"ACME "
              "&quot;1&quot;\"><InlineBinary>AAE=</InlineBinary></DicomAttribute>"
              "<DicomAttribute tag=\"00100010\" vr=\"PN\" keyword=\"PatientName\"><PersonName "
              "number=\"1\"><Alphabetic><FamilyName>Doe</FamilyName>"
              "<GivenName>Jane</GivenName><NamePrefix>Dr</NamePrefix></Alphabetic></PersonName><PersonName "
              "number=\"2\"></PersonName></DicomAttribute>"
              "<DicomAttribute tag=\"00280010\" vr=\"US\" keyword=\"Rows\"><Value number=\"1\">512</Value></DicomAttribute>"
              "<DicomAttribute tag=\"00400275\" vr=\"SQ\" keyword=\"RequestAttributesSequence\"><Item number=\"1\">"
              "<DicomAttribute tag=\"00401001\" vr=\"SH\" keyword=\"RequestedProcedureID\"><Value "
              "number=\"1\">&lt;R&amp;1&gt;</Value></DicomAttribute>"
              "</Item><Item number=\"2\"></Item></DicomAttribute>"
              "<DicomAttribute tag=\"7FE00010\" vr=\"OW\" keyword=\"PixelData\"><BulkData uri=\"http://h/b?a=1&amp;b\"/></DicomAttribute>"
              "</NativeDicomModel>\n");
}

TEST(PS3_19_A_1, WhatIsNoDicomJsonIsRefused) {
    for (const auto* bad :
         {"", "[]", "{\"x\":{\"vr\":\"UI\"}}", "{\"00080018\":1}", "{\"00080018\":{}}", "{\"00080018\":{\"vr\":\"UI\",\"Value\":1}}",
          "{\"00080018\":{\"vr\":\"SQ\",\"Value\":[1]}}", "{\"00080018\":{\"vr\":\"PN\",\"Value\":[\"x\"]}}"}) {
        const auto model = to_native_model(bad);
        ASSERT_FALSE(model) << bad;
        EXPECT_EQ(model.error().code, ErrorCode::malformed) << bad;
    }
}

}  // namespace
}  // namespace fiducial::dicom
