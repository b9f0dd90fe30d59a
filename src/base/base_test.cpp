#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/base64.hpp"
#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/identifiers.hpp"
#include "base/json.hpp"
#include "base/utf8.hpp"

namespace fiducial {
namespace {

TEST(Hex, RoundTripAndRejections) {
    EXPECT_EQ(to_hex(Bytes{0x00, 0xff, 0x1a}), "00ff1a");
    EXPECT_EQ(from_hex("0x00Ff1A").value(), (Bytes{0x00, 0xff, 0x1a}));
    EXPECT_EQ(from_hex("abc").error().code, ErrorCode::malformed);
    EXPECT_EQ(from_hex("zz").error().code, ErrorCode::malformed);
}

TEST(Base64, Rfc4648Section10AndRejections) {
    const std::pair<std::string_view, std::string_view> vectors[] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : vectors) {
        EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
        EXPECT_EQ(from_base64(encoded, "text"), to_bytes(as_bytes(plain)));
    }
    for (const auto* text : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "====", "Z===", "Zm9v\n", "Zm-_"})
        EXPECT_EQ(from_base64(text, "text").error().code, ErrorCode::malformed) << text;
}

TEST(ClockWatch, NoticesAJumpEitherWayAndNoSlowDrift) {
    struct Set final : Clock {
        std::chrono::milliseconds wall{1'800'000'000'000}, steady{0};
        SystemTime now() const override { return SystemTime(wall); }
        SteadyTime steady_now() const override { return SteadyTime(steady); }
    } clock;
    ClockWatch watch(clock);
    for (int second = 0; second < 100; ++second) {
        clock.wall += std::chrono::milliseconds(1'100);  // 10 % too fast
        clock.steady += std::chrono::milliseconds(1'000);
        ASSERT_EQ(watch.look().count(), 0);
    }
    clock.wall += std::chrono::hours(1);
    EXPECT_EQ(watch.look(), std::chrono::hours(1));
    EXPECT_EQ(watch.look().count(), 0) << "told once";
    clock.wall -= std::chrono::hours(25);
    clock.steady += std::chrono::seconds(10);
    EXPECT_EQ(watch.look(), -std::chrono::hours(25) - std::chrono::seconds(10));
}

TEST(ByteReader, NeverReadsPastTheEndAndStaysWhereItWas) {
    const Bytes bytes{0x00, 0x05, 0x01};
    ByteReader reader(bytes);
    EXPECT_FALSE(reader.take_lp("name"));
    EXPECT_EQ(reader.offset(), 0u);
    EXPECT_EQ(reader.u16("size").value(), 5);
    EXPECT_EQ(reader.u8("x").value(), 1);
    EXPECT_TRUE(reader.at_end());
}

TEST(Uid, PS35_9_1) {
    EXPECT_EQ(Uid::parse(std::string_view("1.2.840\0", 8)).value().text(), "1.2.840");
    EXPECT_FALSE(Uid::parse(""));
    EXPECT_FALSE(Uid::parse("1.2.a"));
    EXPECT_FALSE(Uid::parse(std::string(65, '1')));
}

TEST(Json, BoundedAndPositioned) {
    EXPECT_TRUE(json::parse(R"({"a":[1,2]})", 100));
    EXPECT_EQ(json::parse("{}", 1).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(json::parse("{} x", 100).error().code, ErrorCode::malformed);
    EXPECT_EQ(json::parse("{", 100).error().code, ErrorCode::malformed);
    EXPECT_FALSE(json::parse(std::string(100, '['), 1000));
}

TEST(File, AtomicReplaceKeepsTheOldOneOnFailure) {
    const auto folder = std::filesystem::temp_directory_path() / ("fiducial-base-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    ASSERT_TRUE(write_file_atomically(folder / "a", as_bytes("one")));
    ASSERT_TRUE(write_file_atomically(folder / "a", as_bytes("two")));
    EXPECT_EQ(as_text(read_file(folder / "a", 10).value()), "two");
    EXPECT_EQ(read_file(folder / "a", 2).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(read_file(folder / "missing", 2).error().code, ErrorCode::not_found);
    EXPECT_FALSE(write_file_atomically(folder / "no" / "where", as_bytes("x")));
    std::filesystem::remove_all(folder);
}

TEST(Utf8, Rfc3629BytesBecomeReadableAndAreCutBetweenCharacters) {
    EXPECT_TRUE(is_utf8("a\u00fc\u20ac\U0001f600"));
    for (const std::string_view bad :
         {"\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x80\x80\x80", "\x80"})
        EXPECT_FALSE(is_utf8(bad)) << to_hex(as_bytes(bad));
    EXPECT_EQ(readable("M\xfcller/\n\u00fc\x7f"), "M\\xfcller/\\x0a\u00fc\\x7f");
    EXPECT_EQ(readable("ab\u20ac", 5), "ab\u20ac");
    EXPECT_EQ(readable("ab\u20ac", 4), "ab");
    EXPECT_EQ(readable("ab\xff", 5), "ab");
    EXPECT_EQ(readable("", 0), "");
}

TEST(Clock, Rfc3339) {
    EXPECT_EQ(to_rfc3339(SystemTime(std::chrono::milliseconds(1500))), "1970-01-01T00:00:01.500Z");
}

TEST(Errors, EveryCodeHasItsRow) {
    for (int code = 0; code <= static_cast<int>(ErrorCode::internal); ++code) {
        EXPECT_EQ(static_cast<int>(describe(static_cast<ErrorCode>(code)).code), code);
    }
}

struct Secret : log::NotForLogs {};
static_assert(!std::is_constructible_v<log::Field, std::string_view, Secret>, "a secret can be logged");
static_assert(!std::is_constructible_v<log::Field, std::string_view, PatientText>, "a patient's name can be logged");

}  // namespace
}  // namespace fiducial
