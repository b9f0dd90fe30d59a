#include "net/http_syntax.hpp"

#include <gtest/gtest.h>

namespace fiducial::net {
namespace {

TEST(MediaType, Rfc9110Section8ReadsParameters) {
    auto type = parse_media_type(" Multipart/Related ; TYPE=\"application/dicom\"; boundary=a_b ; transfer-syntax=* ;");
    ASSERT_TRUE(type) << type.error().message;
    EXPECT_EQ(type->essence(), "multipart/related");
    EXPECT_EQ(type->parameter("type").value_or(""), "application/dicom");
    EXPECT_EQ(type->parameter("boundary").value_or(""), "a_b");
    EXPECT_EQ(type->parameter("transfer-syntax").value_or(""), "*");
    EXPECT_FALSE(type->parameter("q"));
    EXPECT_EQ(parse_media_type("a/b; x=application/dicom")->parameter("x").value_or(""), "application/dicom");
    EXPECT_EQ(parse_media_type("a/b;x=\"q\\\"uo;te\"")->parameter("x").value_or(""), "q\"uo;te");
}

TEST(MediaType, Rfc9110Section8Refuses) {
    for (const char* bad : {"", "a", "a/", "/b", "a/b;x", "a/b;x=", "a/b;x=\"open", "a/b c", "a/b,c/d", "a/b;x=\"\x01\""}) {
        auto type = parse_media_type(bad);
        ASSERT_FALSE(type) << bad;
        EXPECT_EQ(type.error().code, ErrorCode::malformed) << bad;
    }
    std::string many = "a/b";
    for (int i = 0; i < 33; ++i) many += ";p=v";
    EXPECT_EQ(parse_media_type(many).error().code, ErrorCode::limit_exceeded);
}

TEST(Accept, Rfc9110Section12OrdersByWeightThenSpecificity) {
    auto items = parse_accept(
        "*/*;q=0.5, application/*, application/dicom;transfer-syntax=*, multipart/related; type=\"application/dicom\";q=0.7;ext=1, "
        "text/plain;q=0");
    ASSERT_TRUE(items) << items.error().message;
    ASSERT_EQ(items->size(), 5u);
    EXPECT_EQ(items->at(0).range.essence(), "application/dicom");
    EXPECT_EQ(items->at(1).range.essence(), "application/*");
    EXPECT_EQ(items->at(2).range.essence(), "multipart/related");
    EXPECT_EQ(items->at(2).q, 700);
    EXPECT_EQ(items->at(2).range.parameters.size(), 1u);
    EXPECT_EQ(items->at(3).range.essence(), "*/*");
    EXPECT_EQ(items->at(4).q, 0);
    EXPECT_TRUE(parse_accept("")->empty());
    EXPECT_EQ(parse_accept(", ,a/b,")->size(), 1u);
}

TEST(Accept, Rfc9110Section12Refuses) {
    for (const char* bad : {"a/b;q=2", "a/b;q=0.1234", "a/b;q=1.001", "a/b;q=x", "a/b;q=0,5;q=", "a b/c", "a/b c/d"})
        EXPECT_FALSE(parse_accept(bad)) << bad;
    std::string many;
    for (int i = 0; i < 65; ++i) many += "a/b,";
    EXPECT_EQ(parse_accept(many).error().code, ErrorCode::limit_exceeded);
}

TEST(Percent, Rfc3986Section2GoesBothWays) {
    std::string all;
    for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
    EXPECT_EQ(percent_decode(percent_encode(all)).value_or(""), all);
    EXPECT_EQ(percent_decode("a+b%20c", true).value_or(""), "a b c");
    EXPECT_EQ(percent_decode("a+b").value_or(""), "a+b");
    for (const char* bad : {"%", "%1", "%g0", "%0g", "%00", "a%00b"})
        EXPECT_EQ(percent_decode(bad).error().code, ErrorCode::malformed) << bad;
}

TEST(RequestTarget, Rfc9112Section3IsSplitBeforeItIsDecoded) {
    auto target = parse_target("/studies/1.2%2F3//x?a=1&b=%C3%A4+c&a&&=v");
    ASSERT_TRUE(target) << target.error().message;
    const std::vector<std::string> segments{"studies", "1.2/3", "", "x"};
    EXPECT_EQ(target->segments, segments);
    EXPECT_EQ(target->path, "/studies/1.2%2F3//x");
    EXPECT_EQ(target->query_value("b").value_or(""), "ä c");
    EXPECT_EQ(target->query.size(), 4u);
    EXPECT_EQ(parse_target("HTTP://host:1/a?b=c")->segments.at(0), "a");
    EXPECT_EQ(parse_target("/")->segments.size(), 1u);
}

TEST(RequestTarget, Rfc9112Section3Refuses) {
    for (const char* bad :
         {"", "a", "*", "http://host", "http://h?x", "/a b", "/a#b", "/..", "/a/./b", "/%2e%2E/b", "/%", "/?a=%zz", "/a\x7f"}) {
        EXPECT_EQ(parse_target(bad).error().code, ErrorCode::malformed) << bad;
    }
    std::string deep;
    for (int i = 0; i < 65; ++i) deep += "/a";
    EXPECT_EQ(parse_target(deep).error().code, ErrorCode::limit_exceeded);
    std::string wide = "/?";
    for (int i = 0; i < 257; ++i) wide += "a&";
    EXPECT_EQ(parse_target(wide).error().code, ErrorCode::limit_exceeded);
}

using Pairs = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
Pairs ranges(std::string_view text, std::uint64_t size) {
    Pairs out;
    auto parsed = parse_range(text, size);
    EXPECT_TRUE(parsed) << text;
    if (parsed) {
        for (const auto& range : *parsed) out.emplace_back(range.first, range.last);
    }
    return out;
}

TEST(Range, Rfc9110Section14) {
    EXPECT_EQ(ranges("bytes=0-499", 10'000), (Pairs{{0, 499}}));
    EXPECT_EQ(ranges("bytes=500-600,601-999", 10'000), (Pairs{{500, 600}, {601, 999}}));
    EXPECT_EQ(ranges("bytes=-500", 10'000), (Pairs{{9'500, 9'999}}));
    EXPECT_EQ(ranges("Bytes = 9500-, -1", 10'000), (Pairs{{9'500, 9'999}, {9'999, 9'999}}));
    EXPECT_EQ(ranges("bytes=0-", 1), (Pairs{{0, 0}}));
    EXPECT_EQ(ranges("bytes=-20000", 10), (Pairs{{0, 9}}));
    EXPECT_TRUE(ranges("bytes=10-", 10).empty());
    EXPECT_TRUE(ranges("bytes=-0", 10).empty());
    EXPECT_TRUE(ranges("bytes=0-5", 0).empty());
    EXPECT_EQ(ranges("bytes=0-99999999999999999999999", 10), (Pairs{{0, 9}}));
}

TEST(Range, Rfc9110Section14Refuses) {
    for (const char* bad : {"", "bytes", "bytes=", "bytes=5-4", "bytes=a-b", "bytes=1", "bytes=--1", "bytes=1-2-3", "bytes=+1-2"}) {
        EXPECT_EQ(parse_range(bad, 100).error().code, ErrorCode::malformed) << bad;
    }
    EXPECT_EQ(parse_range("frames=1-2", 100).error().code, ErrorCode::unsupported);
    std::string many = "bytes=0-0";
    for (int i = 0; i < 16; ++i) many += ",0-0";
    EXPECT_EQ(parse_range(many, 100).error().code, ErrorCode::limit_exceeded);
}

TEST(EntityTag, Rfc9110Section8_8_3) {
    for (const char* list : {"\"a\"", "\"b\", \"a\"", " \"a\" ,\"c\"", "*"}) EXPECT_TRUE(names_entity_tag(list, "\"a\"")) << list;
    for (const char* list : {"", "a", "\"ab\"", "W/\"a\"", ","}) EXPECT_FALSE(names_entity_tag(list, "\"a\"")) << list;
}

TEST(Cookie, Rfc6265Section4_2) {
    EXPECT_EQ(find_cookie("a=1; name=x=y; b=2", "name"), "x=y");
    EXPECT_EQ(find_cookie("name=", "name"), "");
    EXPECT_EQ(find_cookie("name=1;name=2", "name"), "1");
    for (const char* field : {"", ";", "named=1", "xname=1", "name", "a=name=1", "Name=1"})
        EXPECT_FALSE(find_cookie(field, "name")) << field;
}

TEST(Authorization, Rfc9110Section11) {
    auto credentials = parse_authorization(" Bearer  fid_AbC-._~+/== ");
    ASSERT_TRUE(credentials);
    EXPECT_EQ(credentials->scheme, "Bearer");
    EXPECT_EQ(credentials->value, "fid_AbC-._~+/==");
    for (const char* bad : {"", "Bearer", "Bearer ", "Bea(rer x", "Bearer secret token", "Bearer secret\"x"}) {
        auto refused = parse_authorization(bad);
        ASSERT_FALSE(refused) << bad;
        EXPECT_EQ(refused.error().message.find("secret"), std::string::npos);
    }
}

TEST(HeaderFields, NamesCompareWithoutCase) {
    HeaderFields fields;
    fields.add("Accept", "a/b");
    fields.add("ACCEPT", "c/d");
    EXPECT_EQ(fields.find("accept").value_or(""), "a/b");
    EXPECT_EQ(fields.joined("accept").value_or(""), "a/b, c/d");
    fields.set("aCCept", "x/y");
    EXPECT_EQ(fields.size(), 1u);
    EXPECT_FALSE(fields.find("Host"));
}

}  // namespace
}  // namespace fiducial::net
