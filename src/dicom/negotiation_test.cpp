#include "dicom/negotiation.hpp"

#include <gtest/gtest.h>

#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::string_view kCt = "1.2.840.10008.5.1.4.1.1.2";

AnsweredContext answer_to(std::vector<std::string> offered, std::string_view abstract_syntax = kCt) {
    const auto answers = negotiate({{5, std::string(abstract_syntax), std::move(offered)}}, is_storage_sop_class);
    EXPECT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].id, 5);
    return answers[0];
}
std::string chosen(std::vector<std::string> offered) {
    const auto answer = answer_to(std::move(offered));
    return answer.result == ContextResult::acceptance ? answer.transfer_syntax : "";
}

TEST(Negotiation, Ps38_9_3_3_2_EveryTransferSyntaxThatIsKnownIsTakenAlone) {
    for (const auto& syntax : transfer_syntaxes()) EXPECT_EQ(chosen({std::string(syntax.uid)}), syntax.uid);
}

TEST(Negotiation, Ps35_10_1_TheFirstOfferedCountsButExplicitBeforeImplicit) {
    const std::string implicit(kImplicitVrLittleEndian), explicit_vr(kExplicitVrLittleEndian), j2k = "1.2.840.10008.1.2.4.90",
                                                                                               unknown = "1.2.840.113619.5.2";
    EXPECT_EQ(chosen({j2k, explicit_vr, implicit}), j2k);
    EXPECT_EQ(chosen({explicit_vr, j2k}), explicit_vr);
    EXPECT_EQ(chosen({implicit, explicit_vr}), explicit_vr);
    EXPECT_EQ(chosen({implicit, j2k}), implicit);
    EXPECT_EQ(chosen({unknown, implicit}), implicit);
}

TEST(Negotiation, Ps38_9_3_3_2_WhatIsNotServedIsAnsweredWithItsReason) {
    EXPECT_EQ(answer_to({"1.2.840.113619.5.2"}).result, ContextResult::transfer_syntaxes_not_supported);
    EXPECT_EQ(answer_to({"1.2.840.10008.1.2"}, "1.2.840.10008.5.1.4.31").result, ContextResult::abstract_syntax_not_supported);
}

TEST(Negotiation, Ps34_B_5_ClassesOfStorage) {
    for (const auto* uid : {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.104.5", "1.2.840.10008.5.1.4.1.1.9999",
                            "1.2.840.10008.5.1.4.34.7", "1.2.840.10008.5.1.1.29"})
        EXPECT_TRUE(is_storage_sop_class(uid)) << uid;
    for (const auto* uid : {"1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.31", "1.2.840.10008.1.20.1",
                            "1.2.840.10008.5.1.4.1.1", "1.2.840.10008.5.1.4.38.1", ""})
        EXPECT_FALSE(is_storage_sop_class(uid)) << uid;
}

}  // namespace
}  // namespace fiducial::dicom
