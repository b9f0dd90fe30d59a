#include "archive/forward_rules.hpp"

#include <gtest/gtest.h>

namespace fiducial::archive {
namespace {

ForwardRule rule(std::string_view text) {
    auto parsed = parse_forward_rule(text, {});
    EXPECT_TRUE(parsed) << parsed.error().message;
    return parsed.value_or(ForwardRule());
}

dicom::Attributes image(std::string modality, std::string part = {}) {
    dicom::Attributes out;
    out.set(*dicom::parse_tag("Modality"), {std::move(modality)});
    if (!part.empty()) out.set(*dicom::parse_tag("BodyPartExamined"), {std::move(part)});
    return out;
}

TEST(ForwardRules, WantWhatAllOfTheirWordsSay) {
    const auto some = rule("WS3 from=CT1,CT2 Modality=CT,MR BodyPartExamined=CHE*");
    EXPECT_EQ(some.peer, "WS3");
    EXPECT_TRUE(some.wants("dimse CT2 192.0.2.7", image("CT", "CHEST")));
    EXPECT_TRUE(some.wants("dimse CT1 [2001:db8::7]", image("MR", "CHEST")));
    EXPECT_FALSE(some.wants("dimse CT3 192.0.2.7", image("CT", "CHEST")));
    EXPECT_FALSE(some.wants("import /media/CT1 x", image("CT", "CHEST")));
    EXPECT_FALSE(some.wants("dimse CT1 192.0.2.7", image("US", "CHEST")));
    EXPECT_FALSE(some.wants("dimse CT1 192.0.2.7", image("CT", "HEAD")));
    EXPECT_FALSE(some.wants("dimse CT1 192.0.2.7", image("CT"))) << "what is not said does not fit";
}

TEST(ForwardRules, NothingGoesBackToWhereItCameFrom) {
    const auto all = rule("WS3");
    EXPECT_TRUE(all.wants("dimse CT1 192.0.2.7", image("CT")));
    EXPECT_TRUE(all.wants("stow ada", image("CT")));
    EXPECT_FALSE(all.wants("dimse WS3 192.0.2.7", image("CT")));
}

TEST(ForwardRules, LinesThatAreNoneAreQuoted) {
    for (const auto* text :
         {"", "WS3 Modality", "WS3 Modality=", "WS3 =CT", "WS3 PixelData=1", "WS3 Colour=red", "WS3 StudyDate=yesterday"}) {
        const auto parsed = parse_forward_rule(text, {});
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument);
        EXPECT_NE(parsed.error().message.find("[dimse] forward: \"" + std::string(text) + "\""), std::string::npos)
            << parsed.error().message;
    }
    EXPECT_FALSE(parse_forward_rule("WS3 AcquisitionDeviceProcessingCode=1", {}));
    EXPECT_TRUE(parse_forward_rule("WS3 AcquisitionDeviceProcessingCode=1", {*dicom::parse_tag("AcquisitionDeviceProcessingCode")}));
}

}  // namespace
}  // namespace fiducial::archive
