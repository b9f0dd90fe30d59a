#include "dicom/availability.hpp"

#include <gtest/gtest.h>

#include "dicom/data_set_writer.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::string_view kCt = "1.2.840.10008.5.1.4.1.1.2";

Availability two_series() {
    return {"2.25.1",
            {{"2.25.2", std::string(kCt), "2.25.21", "ONLINE", "FIDUCIAL"},
             {"2.25.2", std::string(kCt), "2.25.22", "ONLINE", "FIDUCIAL"},
             {"2.25.3", std::string(kCt), "2.25.31", "NEARLINE", "OLD"}}};
}

TEST(Availability, Ps34_R3_IsWrittenAsTheTableSays) {
    DataSetWriter expected;
    const auto reference = [&](std::string_view ae_title, std::string_view availability, std::string_view uid) {
        expected.begin_item();
        expected.text(0x00080054, "AE", ae_title);
        expected.text(0x00080056, "CS", availability);
        expected.text(0x00081150, "UI", kCt);
        expected.text(0x00081155, "UI", uid);
        expected.end_item();
    };
    expected.begin_sequence(0x00081111);
    expected.end_sequence();
    expected.begin_sequence(0x00081115);
    expected.begin_item();
    expected.begin_sequence(0x00081199);
    reference("FIDUCIAL", "ONLINE", "2.25.21");
    reference("FIDUCIAL", "ONLINE", "2.25.22");
    expected.end_sequence();
    expected.text(0x0020000e, "UI", "2.25.2");
    expected.end_item();
    expected.begin_item();
    expected.begin_sequence(0x00081199);
    reference("OLD", "NEARLINE", "2.25.31");
    expected.end_sequence();
    expected.text(0x0020000e, "UI", "2.25.3");
    expected.end_item();
    expected.end_sequence();
    expected.text(0x0020000d, "UI", "2.25.1");
    EXPECT_EQ(encode_availability(two_series(), kExplicitVrLittleEndian), expected.bytes());
}

TEST(Availability, Ps34_R3_IsReadAsItWasWritten) {
    for (const auto syntax : {kImplicitVrLittleEndian, kExplicitVrLittleEndian}) {
        const auto read = decode_availability(encode_availability(two_series(), syntax), syntax);
        ASSERT_TRUE(read) << read.error().message;
        EXPECT_EQ(read->study_uid, "2.25.1");
        ASSERT_EQ(read->instances.size(), 3u);
        EXPECT_EQ(read->instances[2].series_uid, "2.25.3");
        EXPECT_EQ(read->instances[2].sop_class, kCt);
        EXPECT_EQ(read->instances[2].sop_instance, "2.25.31");
        EXPECT_EQ(read->instances[2].availability, kNearline);
        EXPECT_EQ(read->instances[2].retrieve_ae_title, "OLD");
    }
}

TEST(Availability, Ps34_R3_WhatMustBeThere) {
    const auto error = [](Availability said) {
        const auto read = decode_availability(encode_availability(said, kImplicitVrLittleEndian), kImplicitVrLittleEndian);
        return read ? std::string() : read.error().message;
    };
    const auto with = [](auto change) {
        auto said = two_series();
        change(said);
        return said;
    };
    EXPECT_NE(error(with([](auto& said) { said.study_uid = "x"; })).find("(0020,000D)"), std::string::npos);
    EXPECT_NE(error(with([](auto& said) { said.instances.clear(); })).find("(0008,1115)"), std::string::npos);
    EXPECT_NE(error(with([](auto& said) { said.instances[0].sop_instance = ""; })).find("(0008,1155)"), std::string::npos);
    EXPECT_NE(error(with([](auto& said) { said.instances[0].availability = ""; })).find("(0008,0056)"), std::string::npos);
    EXPECT_NE(error(with([](auto& said) { said.instances[2].retrieve_ae_title = ""; })).find("(0008,0054)"), std::string::npos);
    EXPECT_NE(error(with([](auto& said) { said.instances[2].retrieve_ae_title = "seventeen letters"; })).find("AE title"),
              std::string::npos);
    EXPECT_EQ(decode_availability({}, "1.2.840.10008.1.2.4.50").error().code, ErrorCode::unsupported);
}

}  // namespace
}  // namespace fiducial::dicom
