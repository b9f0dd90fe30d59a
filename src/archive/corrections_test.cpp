#include "archive/corrections.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace fiducial::archive {
namespace {

std::string note_json(std::string_view code, std::string_view scheme = "DCM") {
    return R"({"0040A043":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":[")" + std::string(code) +
           R"("]},"00080102":{"vr":"SH","Value":[")" + std::string(scheme) +
           R"("]}}]},"0040A375":{"vr":"SQ","Value":[{"0020000D":{"vr":"UI","Value":["1.2.3"]},"00081115":{"vr":"SQ","Value":[)"
           R"({"0020000E":{"vr":"UI","Value":["1.2.3.1"]},"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2.3.1.1"]}},)"
           R"({"00081155":{"vr":"UI","Value":["1.2.3.1.2"]}}]}}]}},{"0020000D":{"vr":"UI","Value":["1.2.4"]},"00081115":{"vr":"SQ"}},7]}})";
}

TEST(RejectionNote, NamesWhatItTakesOutByStudy) {
    for (const auto& [code, reason] : {std::pair("113001", "quality"), std::pair("113037", "patient-safety"),
                                       std::pair("113038", "worklist"), std::pair("113039", "expired")}) {
        const auto note = rejection_note_of("1.9", note_json(code));
        ASSERT_TRUE(note) << code;
        EXPECT_EQ(note->reason, reason);
        EXPECT_EQ(note->sop_uid, "1.9");
        ASSERT_EQ(note->named.size(), 1u);
        EXPECT_EQ(note->named.at("1.2.3"), (std::set<std::string>{"1.2.3.1.1", "1.2.3.1.2"}));
    }
}

TEST(RejectionNote, OtherKeyObjectsAreNone) {
    EXPECT_FALSE(rejection_note_of("1.9", note_json("113000")));         // "Of Interest"
    EXPECT_FALSE(rejection_note_of("1.9", note_json("113001", "99X")));  // somebody's own scheme
    EXPECT_FALSE(rejection_note_of("1.9", note_json("")));               // no code
    EXPECT_FALSE(rejection_note_of("1.9", R"({"0040A043":{"vr":"SQ"}})"));
    EXPECT_FALSE(rejection_note_of("1.9", "[]"));
    EXPECT_FALSE(rejection_note_of("1.9", "{"));
}

TEST(Retention, CountsFromTheExamElseFromItsArrival) {
    constexpr std::uint64_t kArrival = 1'790'000'000'000;  // 2026-09-21
    EXPECT_EQ(kept_until_day("19700102", kArrival, 10), 11);
    EXPECT_EQ(kept_until_day("", kArrival, 0), 20717);
    EXPECT_EQ(kept_until_day("20260231", kArrival, 1), 20718) << "no date";
}

TEST(CorrectionGround, SaysAWordOfTheListAndWhy) {
    EXPECT_TRUE(check_removal_ground({"quality", "blurred"}));
    EXPECT_TRUE(check_removal_ground({"other", "sent twice"}));
    for (const auto& ground : {CorrectionGround{"ugly", "x"}, CorrectionGround{"", "x"}, CorrectionGround{"quality", ""},
                               CorrectionGround{"quality", std::string(901, 'x')}, CorrectionGround{"quality", "\xff"}}) {
        const auto checked = check_removal_ground(ground);
        ASSERT_FALSE(checked);
        EXPECT_EQ(checked.error().code, ErrorCode::invalid_argument);
    }
}

TEST(AppliedOverlay, MetadataHaveTheCorrectedValuesInOrder) {
    AppliedOverlay overlay;
    overlay.edits = {{0x00100010, "PN", "M\xC3\xBCller^Eva=\xE5\xB1\xB1\xE7\x94\xB0"},
                     {0x00100020, "LO", "R-1"},
                     {0x00100021, "LO", {}},
                     {0x00100030, "DA", ""}};
    const auto out = overlay.apply_to_json(
        R"({"00080018":{"vr":"UI","Value":["1.2"]},"00100020":{"vr":"LO","Value":["W-1"]},"00100021":{"vr":"LO","Value":["X"]},"00200013":{"vr":"IS","Value":[7]}})");
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(*out, R"({"00080018":{"vr":"UI","Value":["1.2"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"M)"
                    "\xC3\xBC"
                    R"(ller^Eva","Ideographic":")"
                    "\xE5\xB1\xB1\xE7\x94\xB0"
                    R"("}]},"00100020":{"vr":"LO","Value":["R-1"]},"00100030":{"vr":"DA"},"00200013":{"vr":"IS","Value":[7]}})");
    EXPECT_EQ(overlay.apply_to_json("[]").error().code, ErrorCode::corrupt);
    EXPECT_EQ(overlay.apply_to_json("{").error().code, ErrorCode::corrupt);
    EXPECT_TRUE(overlay.names(0x00100021));
    EXPECT_FALSE(overlay.names(0x00200013));
}

}  // namespace
}  // namespace fiducial::archive
