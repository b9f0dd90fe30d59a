#include "evidence/canonical_json.hpp"

#include <gtest/gtest.h>

namespace fiducial::evidence {
namespace {

TEST(CanonicalJson, RFC8785RoundTrip) {
    for (const char* text : {"0", "9007199254740991", "true", "false", "\"\"", "\"a\\\"b\\\\c\"", "[]", "{}", "[1,[2,{\"a\":true}],\"x\"]",
                             "{\"A\":1,\"B\":{},\"a\":[],\"aa\":\"~ \"}"}) {
        const auto value = read_canonical(text);
        ASSERT_TRUE(value) << text << ": " << value.error().message;
        EXPECT_EQ(write_canonical(*value), text);
    }
}

TEST(CanonicalJson, RefusesWhatIsNotItsOwnSerialisation) {
    for (std::string_view text : {std::string_view(""),
                                  std::string_view(" 1"),
                                  std::string_view("1 "),
                                  std::string_view("1\n"),
                                  std::string_view("01"),
                                  std::string_view("-1"),
                                  std::string_view("-0"),
                                  std::string_view("1.0"),
                                  std::string_view("1e3"),
                                  std::string_view("9007199254740992"),
                                  std::string_view("99999999999999999999999"),
                                  std::string_view("null"),
                                  std::string_view("tru"),
                                  std::string_view("[1, 2]"),
                                  std::string_view("[1,]"),
                                  std::string_view("[,1]"),
                                  std::string_view("[1"),
                                  std::string_view("{\"a\":1,}"),
                                  std::string_view("{\"b\":1,\"a\":2}"),
                                  std::string_view("{\"a\":1,\"a\":1}"),
                                  std::string_view("{\"a\" :1}"),
                                  std::string_view("{\"a\": 1}"),
                                  std::string_view("{a:1}"),
                                  std::string_view("{\"a\"}"),
                                  std::string_view("\"\\u0041\""),
                                  std::string_view("\"\\/\""),
                                  std::string_view("\"\\n\""),
                                  std::string_view("\"\t\""),
                                  std::string_view("\"\xC3\xA4\""),
                                  std::string_view("\"\x7f\""),
                                  std::string_view("\"a"),
                                  std::string_view("\"\\"),
                                  std::string_view("\xEF\xBB\xBF{}"),
                                  std::string_view("{}{}"),
                                  std::string_view("{}\0", 3)}) {
        const auto value = read_canonical(text);
        EXPECT_FALSE(value) << text;
        EXPECT_EQ(value ? ErrorCode::internal : value.error().code, ErrorCode::malformed) << text;
    }
}

TEST(CanonicalJson, Bounds) {
    EXPECT_EQ(read_canonical("[]", {1, 8, 8}).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(read_canonical("[[[[1]]]]", {100, 3, 8}).error().code, ErrorCode::limit_exceeded);
    EXPECT_TRUE(read_canonical("[[[[1]]]]", {100, 4, 8}));
    EXPECT_EQ(read_canonical("[1,1,1]", {100, 3, 3}).error().code, ErrorCode::limit_exceeded);
    EXPECT_FALSE(read_canonical(std::string(1000000, '[')));
}

TEST(CanonicalJson, LargeIntegersAreDecimalStrings) {
    const JsonValue value(JsonValue::Object{{"n", std::uint64_t{1} << 53}, {"s", kMaxJsonInteger}});
    const std::string text = write_canonical(value);
    EXPECT_EQ(text, "{\"n\":\"9007199254740992\",\"s\":9007199254740991}");
    const auto back = read_canonical(text).value();
    auto reader = ObjectReader::of(back, "x").value();
    EXPECT_EQ(reader.integer("n", UINT64_MAX).value(), std::uint64_t{1} << 53);
    EXPECT_EQ(reader.integer("s", UINT64_MAX).value(), kMaxJsonInteger);
    EXPECT_TRUE(reader.done());
    for (const char* wrong :
         {"\"1\"", "\"9007199254740991\"", "\"09007199254740992\"", "\"18446744073709551616\"", "\"\"", "\"0x10\"", "true"}) {
        const auto object = read_canonical("{\"n\":" + std::string(wrong) + "}").value();
        auto wrong_reader = ObjectReader::of(object, "x").value();
        EXPECT_EQ(wrong_reader.integer("n", UINT64_MAX).error().code, ErrorCode::malformed) << wrong;
    }
    const auto object = read_canonical("{\"n\":300}").value();
    EXPECT_FALSE(ObjectReader::of(object, "x").value().integer("n", 255));
}

TEST(ObjectReader, KeysAreExact) {
    const auto value = read_canonical("{\"a\":1,\"b\":\"0x00ff\"}").value();
    auto reader = ObjectReader::of(value, "doc").value();
    EXPECT_EQ(reader.take("c").error().message, "doc: `c` is missing");
    EXPECT_TRUE(reader.take("a"));
    EXPECT_EQ(reader.done().error().code, ErrorCode::malformed);
    EXPECT_EQ(reader.hex("b", 2).value(), (Bytes{0x00, 0xff}));
    EXPECT_TRUE(reader.done());
    EXPECT_EQ(ObjectReader::of(read_canonical("[]").value(), "doc").error().code, ErrorCode::malformed);
}

TEST(ReadHex, OneSpellingOnly) {
    EXPECT_EQ(read_hex(JsonValue("0x"), 4, "x").value(), Bytes{});
    for (const char* wrong : {"", "00", "0X00", "0x0", "0x0G", "0xAB", "0x00 "}) {
        EXPECT_EQ(read_hex(JsonValue(wrong), 4, "x").error().code, ErrorCode::malformed) << wrong;
    }
    EXPECT_EQ(read_hex(JsonValue("0x0000000000"), 4, "x").error().code, ErrorCode::limit_exceeded);
    EXPECT_TRUE(read_hex(JsonValue("0x00000000"), 4, "x"));
    EXPECT_EQ(read_hex(JsonValue(std::uint64_t{1}), 4, "x").error().code, ErrorCode::malformed);
}

}  // namespace
}  // namespace fiducial::evidence
