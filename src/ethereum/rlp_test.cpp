#include "ethereum/rlp.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "ethereum/test_support.hpp"

namespace fiducial::ethereum::rlp {
namespace {

using test::hex;

// A number of the vectors beyond 256 bits; our integers end there.
const std::string_view kBeyond256Bits = "#115792089237316195423570985008687907853269984665640564039457584007913129639936";

Bytes encode(const boost::json::value& value) {
    Bytes out;
    if (value.is_array()) {
        ListWriter list;
        for (const auto& item : value.get_array()) list.encoded(encode(item));
        return list.finish();
    }
    if (value.is_int64()) {
        append_u64(out, static_cast<std::uint64_t>(value.get_int64()));
    } else if (const std::string_view text = value.as_string(); text == kBeyond256Bits) {
        Bytes big(33);
        big[0] = 1;
        append_bytes(out, big);
    } else if (text.starts_with('#')) {
        append_uint256(out, Uint256::parse(text.substr(1)).value());
    } else {
        append_bytes(out, text.starts_with("0x") ? hex(text) : to_bytes(as_bytes(text)));
    }
    return out;
}

// Writes what was decoded again, from the leaves up.
Bytes encode_again(const Item& item) {
    Bytes out;
    if (!item.is_list()) {
        append_bytes(out, item.payload());
        return out;
    }
    ListWriter list;
    const auto items = item.items("item").value();
    for (const auto& inner : items) list.encoded(encode_again(inner));
    return list.finish();
}

TEST(Rlp, EthereumTestsEncodeAndDecode) {
    const auto file = test::load_vectors("rlptest.json");
    for (const auto& [name, vector] : file.as_object()) {
        const auto expected = hex(vector.at("out").as_string());
        EXPECT_EQ(encode(vector.at("in")), expected) << name;
        const auto item = decode(expected);
        ASSERT_TRUE(item) << name << ": " << item.error().message;
        EXPECT_EQ(encode_again(*item), expected) << name;
    }
}

TEST(Rlp, EthereumTestsInvalidAreRefused) {
    const auto file = test::load_vectors("invalidRLPTest.json");
    for (const auto& [name, vector] : file.as_object()) {
        const auto item = decode(hex(vector.at("out").as_string()));
        ASSERT_FALSE(item) << name;
        EXPECT_EQ(item.error().code, ErrorCode::malformed) << name;
    }
}

TEST(Rlp, RefusesEachFormThatIsNotTheShortest) {
    for (const auto* text : {"",
                             "8100",
                             "817f",
                             "b800",
                             "b801ff",
                             "b90000",
                             "b90037",
                             "f800",
                             "f90000",
                             "8080",
                             "c080",
                             "0000",
                             "c3",
                             "82ff",
                             "b8",
                             "bf",
                             "f8",
                             "ff",
                             "bfffffffffffffffffff",
                             "ffffffffffffffffffff",
                             "c18100",
                             "c2c1",
                             "c1b8"}) {
        const auto item = decode(hex(text));
        ASSERT_FALSE(item) << text;
        EXPECT_EQ(item.error().code, ErrorCode::malformed) << text;
    }
}

TEST(Rlp, KeepsItsLimits) {
    EXPECT_TRUE(decode(hex("c1c0"), {.max_bytes = 2, .max_depth = 2, .max_items = 2}));
    EXPECT_EQ(decode(hex("c1c0"), {.max_bytes = 1}).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(decode(hex("c1c0"), {.max_depth = 1}).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(decode(hex("c0"), {.max_depth = 0}).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(decode(hex("c20102"), {.max_items = 2}).error().code, ErrorCode::limit_exceeded);
    Bytes deep{0xc0};
    while (deep.size() < 50) {
        Bytes outer;
        append_list_prefix(outer, deep.size());
        append(outer, deep);
        deep = outer;
    }
    EXPECT_EQ(decode(deep).error().code, ErrorCode::limit_exceeded);
}

TEST(Rlp, FieldsAreTyped) {
    const auto bytes = ListWriter().u64(0).u64(1000).uint256(Uint256::max()).bytes(Bytes(20)).list(ListWriter().u64(7)).finish();
    auto reader = decode(bytes)->list("list").value();
    EXPECT_EQ(reader.u64("a").value(), 0u);
    EXPECT_EQ(reader.u64("b").value(), 1000u);
    EXPECT_EQ(reader.uint256("c").value(), Uint256::max());
    EXPECT_EQ(reader.array<20>("d").value(), Address{});
    EXPECT_EQ(reader.finish("list").error().code, ErrorCode::malformed);
    auto inner = reader.list("e").value();
    EXPECT_EQ(inner.u64("f").value(), 7u);
    EXPECT_TRUE(inner.finish("e"));
    EXPECT_TRUE(reader.finish("list"));
    EXPECT_EQ(reader.next("g").error().code, ErrorCode::malformed);
}

TEST(Rlp, FieldsRefuseAnotherKind) {
    EXPECT_FALSE(decode(hex("c0"))->bytes("x"));
    EXPECT_FALSE(decode(hex("80"))->list("x"));
    EXPECT_FALSE(decode(hex("80"))->items("x"));
    EXPECT_FALSE(decode(hex("820001"))->u64("x")) << "leading zero";
    EXPECT_FALSE(decode(hex("00"))->u64("x")) << "zero is the empty string";
    EXPECT_FALSE(decode(hex("89010000000000000000"))->u64("x")) << "65 bits";
    EXPECT_FALSE(decode(hex("a1010000000000000000000000000000000000000000000000000000000000000000"))->uint256("x"));
    EXPECT_FALSE(decode(hex("820102"))->array<3>("x"));
}

}  // namespace
}  // namespace fiducial::ethereum::rlp
