#include "dicom/negotiation.hpp"

#include <gtest/gtest.h>

#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::string_view kCt = "1.2.840.10008.5.1.4.1.1.2";

Served served(std::string_view uid) {
    if (is_storage_sop_class(uid)) return Served::objects;
    if (uid == "1.2.840.10008.5.1.4.1.2.2.1") return Served::identifiers;
    return uid == "1.2.840.10008.5.1.4.1.2.2.2" ? Served::not_for_this_peer : Served::no;
}

AnsweredContext answer_to(std::vector<std::string> offered, std::string_view abstract_syntax = kCt) {
    const auto answers = negotiate({{5, std::string(abstract_syntax), std::move(offered)}}, served);
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
    EXPECT_EQ(answer_to({"1.2.840.10008.1.2"}, "1.2.840.10008.5.1.4.1.2.2.2").result, ContextResult::user_rejection);
}

TEST(Negotiation, Ps35_10_1_IdentifiersComeInLittleEndianOnly) {
    const std::string implicit(kImplicitVrLittleEndian), explicit_vr(kExplicitVrLittleEndian), big(kExplicitVrBigEndian),
        deflated(kDeflatedExplicitVrLittleEndian);
    const auto chosen_for_query = [](std::vector<std::string> offered) {
        return answer_to(std::move(offered), "1.2.840.10008.5.1.4.1.2.2.1");
    };
    EXPECT_EQ(chosen_for_query({deflated, big, implicit}).transfer_syntax, implicit);
    EXPECT_EQ(chosen_for_query({implicit, explicit_vr}).transfer_syntax, explicit_vr);
    EXPECT_EQ(chosen_for_query({deflated, big}).result, ContextResult::transfer_syntaxes_not_supported);
}

TEST(Negotiation, Ps37_D_3_3_4_RolesAreGrantedWhereObjectsMayBeSent) {
    const std::vector<RoleSelection> proposed{
        {std::string(kCt), false, true}, {"1.2.3", true, true}, {std::string(kCt) + ".1", true, false}};
    const auto answered = negotiate_roles(proposed, is_storage_sop_class);
    ASSERT_EQ(answered.size(), 3u);
    EXPECT_TRUE(!answered[0].scu && answered[0].scp);
    EXPECT_TRUE(answered[1].scu && !answered[1].scp);
    EXPECT_TRUE(answered[2].scu && !answered[2].scp);
    EXPECT_FALSE(negotiate_roles(proposed, [](std::string_view) { return false; })[0].scp);
}

TEST(Negotiation, Ps34_C_5_1_1_OptionsOfQueriesAreGrantedAsFarAsThereAreAny) {
    const std::string find = "1.2.840.10008.5.1.4.1.2.2.1", move = "1.2.840.10008.5.1.4.1.2.2.2";
    const auto answered = negotiate_queries({{find, {1, 1, 0, 1, 1}}, {move, {1}}, {std::string(kCt), {2, 0, 0}}});
    ASSERT_EQ(answered.size(), 2u);
    EXPECT_EQ(answered[0].information, (Bytes{1, 1, 0, 1, 0}));
    EXPECT_EQ(answered[1].information, (Bytes{0}));
    const auto options = query_options(answered, find);
    EXPECT_TRUE(options.relational && options.combined_date_time && !options.fuzzy_names);
    EXPECT_FALSE(query_options(answered, "1.2.840.10008.5.1.4.1.2.1.1").relational);
    EXPECT_TRUE(query_options(negotiate_queries({{find, {1, 1, 1}}}), find).fuzzy_names);
    EXPECT_TRUE(negotiate_queries({{find, {}}})[0].information.empty());
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
