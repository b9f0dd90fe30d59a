#include "shadow/comparison.hpp"

#include <gtest/gtest.h>

namespace fiducial::shadow {
namespace {

constexpr std::string_view kExplicit = "1.2.840.10008.1.2.1", kImplicit = "1.2.840.10008.1.2";

Seen seen(std::string json, std::uint8_t bytes, std::uint8_t pixels, std::string_view syntax = kExplicit) {
    Seen out;
    out.transfer_syntax = syntax;
    out.dicom_json = std::move(json);
    out.data_set_sha256[0] = bytes;
    out.pixel_sha256[0] = pixels;
    return out;
}
const std::string kHeader = R"({"00100010":{"vr":"PN","Value":[{"Alphabetic":"A"}]},"00280004":{"vr":"CS","Value":["RGB"]},)"
                            R"("7FE00010":{"vr":"OW","BulkDataURI":"bulk/7FE00010"}})";

TEST(Comparison, TheSameBytesAreTheSame) {
    EXPECT_EQ(compare(seen(kHeader, 1, 1), seen(kHeader, 1, 1)).outcome, Outcome::same);
}

TEST(Comparison, TheSameValuesInOtherBytesAreWrittenAnew) {
    const std::string elsewhere = R"({"00280004":{"vr":"CS","Value":["RGB"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"A"}]},)"
                                  R"("7FE00010":{"vr":"OW","BulkDataURI":"http://other/7FE00010"}})";
    EXPECT_EQ(compare(seen(kHeader, 1, 1), seen(elsewhere, 2, 1)).outcome, Outcome::rewritten);
    EXPECT_EQ(compare(seen(kHeader, 1, 1), seen(elsewhere, 2, 1, kImplicit)).outcome, Outcome::rewritten);
}

TEST(Comparison, AChangedValueIsNamedAndNeverShown) {
    auto changed = kHeader;
    changed.replace(changed.find("\"A\""), 3, "\"Secret\"");
    const auto found = compare(seen(changed, 1, 1), seen(kHeader, 2, 1));
    EXPECT_EQ(found.outcome, Outcome::header_changed);
    EXPECT_EQ(found.detail, "PatientName");
    const auto gone = compare(seen(R"({"00090010":{"vr":"LO"}})", 1, 1), seen("{}", 2, 1));
    EXPECT_EQ(gone.outcome, Outcome::header_changed);
    EXPECT_EQ(gone.detail, "(0009,0010)");
}

TEST(Comparison, ChangedPixelsAreFoundWhateverElseIsTheSame) {
    const auto found = compare(seen(kHeader, 1, 1), seen(kHeader, 2, 2));
    EXPECT_EQ(found.outcome, Outcome::pixels_changed);
    EXPECT_EQ(found.detail, "PixelData");
}

TEST(Comparison, AnotherCompressionIsSaidAndNotCalledAChange) {
    auto ycc = kHeader;
    ycc.replace(ycc.find("RGB"), 3, "YBR");
    const auto found = compare(seen(ycc, 1, 1, "1.2.840.10008.1.2.4.50"), seen(kHeader, 2, 2));
    EXPECT_EQ(found.outcome, Outcome::recompressed);
    EXPECT_FALSE(is_difference(found.outcome));
}

TEST(Comparison, HeadersThatCannotBeReadAreNotCalledTheSame) {
    EXPECT_EQ(compare(seen("{", 1, 1), seen("{}", 2, 1)).outcome, Outcome::unread);
}

}  // namespace
}  // namespace fiducial::shadow
