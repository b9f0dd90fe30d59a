#include "dicom/storage_commitment.hpp"

#include <gtest/gtest.h>

#include "dicom/data_set_writer.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::string_view kCt = "1.2.840.10008.5.1.4.1.1.2";

/// As pynetdicom and DCMTK write it, with a file set besides.
Bytes request(bool explicit_vr, std::string_view transaction, const std::vector<std::pair<std::string, std::string>>& references) {
    DataSetWriter out(explicit_vr);
    if (!transaction.empty()) out.text(0x00081195, "UI", transaction);
    out.begin_sequence(0x00081199);
    for (const auto& [sop_class, sop_instance] : references) {
        out.begin_item();
        out.text(0x00081150, "UI", sop_class);
        if (!sop_instance.empty()) out.text(0x00081155, "UI", sop_instance);
        out.end_item();
    }
    out.end_sequence();
    out.text(0x00880130, "SH", "DISC 1");
    return out.take();
}

TEST(StorageCommitment, Ps34_J3_RequestIsRead) {
    for (const bool explicit_vr : {false, true}) {
        const auto syntax = explicit_vr ? kExplicitVrLittleEndian : kImplicitVrLittleEndian;
        const auto read =
            decode_commitment_request(request(explicit_vr, "2.25.7", {{std::string(kCt), "2.25.1"}, {"1.2.3", "2.25.2"}}), syntax);
        ASSERT_TRUE(read) << read.error().message;
        EXPECT_EQ(read->transaction_uid, "2.25.7");
        ASSERT_EQ(read->instances.size(), 2u);
        EXPECT_EQ(read->instances[0].sop_class, kCt);
        EXPECT_EQ(read->instances[1].sop_instance, "2.25.2");
    }
}

TEST(StorageCommitment, Ps34_J3_WhatARequestMustHave) {
    const auto error = [](const Bytes& bytes) {
        const auto read = decode_commitment_request(bytes, kImplicitVrLittleEndian);
        return read ? std::string() : std::string(describe(read.error().code).name) + ": " + read.error().message;
    };
    EXPECT_NE(error(request(false, "", {{"1.2", "1.3"}})).find("(0008,1195)"), std::string::npos);
    EXPECT_NE(error(request(false, "2.25.7", {})).find("(0008,1199)"), std::string::npos);
    EXPECT_NE(error(request(false, "2.25.7", {{"1.2", ""}})).find("(0008,1155)"), std::string::npos);
    EXPECT_NE(error(request(false, "2.25.7", {{"x", "1.3"}})).find("(0008,1150)"), std::string::npos);
    EXPECT_EQ(decode_commitment_request({}, "1.2.840.10008.1.2.4.50").error().code, ErrorCode::unsupported);
    EXPECT_EQ(decode_commitment_request(Bytes(kMostCommitmentBytes + 1), kImplicitVrLittleEndian).error().code, ErrorCode::limit_exceeded);
}

TEST(StorageCommitment, Ps34_J3_ResultSaysWhichAndWhy) {
    const Commitment result{"2.25.7", {{std::string(kCt), "2.25.1", 0}, {std::string(kCt), "2.25.2", commitment_failure::kNoSuchInstance}}};
    DataSetWriter expected;
    expected.text(0x00080054, "AE", "FIDUCIAL");
    expected.text(0x00081195, "UI", "2.25.7");
    expected.begin_sequence(0x00081198);
    expected.begin_item();
    expected.text(0x00081150, "UI", kCt);
    expected.text(0x00081155, "UI", "2.25.2");
    expected.us(0x00081197, 0x0112);
    expected.end_item();
    expected.end_sequence();
    expected.begin_sequence(0x00081199);
    expected.begin_item();
    expected.text(0x00081150, "UI", kCt);
    expected.text(0x00081155, "UI", "2.25.1");
    expected.end_item();
    expected.end_sequence();
    EXPECT_EQ(encode_commitment_result(result, "FIDUCIAL", kExplicitVrLittleEndian), expected.bytes());
}

}  // namespace
}  // namespace fiducial::dicom
