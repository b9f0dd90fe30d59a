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

TEST(Comparison, DecodedTheSamePixelsAreTheSamePicture) {
    constexpr std::string_view kJpegLs = "1.2.840.10008.1.2.4.80", kJpeg2000 = "1.2.840.10008.1.2.4.91";
    const auto old = seen(kHeader, 1, 1, kJpegLs), here = seen(kHeader, 2, 2), lossy = seen(kHeader, 3, 3, kJpeg2000);
    EXPECT_TRUE(compare(old, here).needs_decoding);
    EXPECT_FALSE(compare(seen(kHeader, 1, 1, "1.2.840.10008.1.2.4.102"), here).needs_decoding);  // video
    const auto decoded = seen(kHeader, 4, 4);
    EXPECT_EQ(compare_decoded(old, here, decoded, decoded).outcome, Outcome::same_picture);
    auto rewritten = decoded;
    rewritten.data_set_sha256[0] = 5;
    const auto same = compare_decoded(old, here, decoded, rewritten);
    EXPECT_EQ(same.outcome, Outcome::same_picture);
    EXPECT_EQ(same.detail, std::string(kJpegLs) + " there, " + std::string(kExplicit) + " here");
    EXPECT_FALSE(is_difference(same.outcome));
    const auto other = compare_decoded(old, here, decoded, seen(kHeader, 5, 5));
    EXPECT_EQ(other.outcome, Outcome::pixels_changed);
    EXPECT_TRUE(other.detail.starts_with("PixelData; decoded: "));
    EXPECT_EQ(compare_decoded(lossy, here, decoded, seen(kHeader, 5, 5)).outcome, Outcome::recompressed);
    EXPECT_EQ(compare_decoded(lossy, here, decoded, decoded).outcome, Outcome::same_picture);
    const auto derived = R"({"00082111":{"vr":"ST","Value":["Lossless JPEG compression"]},)" + kHeader.substr(1);
    EXPECT_EQ(compare_decoded(old, here, seen(derived, 5, 4), decoded).outcome, Outcome::same_picture);
    EXPECT_EQ(compare(seen(derived, 5, 4), decoded).outcome, Outcome::header_changed);
    auto changed = kHeader;
    changed.replace(changed.find("\"A\""), 3, "\"B\"");
    const auto header = compare_decoded(old, here, decoded, seen(changed, 5, 4));
    EXPECT_EQ(header.outcome, Outcome::header_changed);
    EXPECT_EQ(header.detail, "PatientName; the same picture, in another compression");
}

TEST(Comparison, HeadersThatCannotBeReadAreNotCalledTheSame) {
    EXPECT_EQ(compare(seen("{", 1, 1), seen("{}", 2, 1)).outcome, Outcome::unread);
}

}  // namespace
}  // namespace fiducial::shadow
