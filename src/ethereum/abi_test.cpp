#include "ethereum/abi.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/hex.hpp"
#include "ethereum/address.hpp"
#include "ethereum/test_support.hpp"

namespace fiducial::ethereum {
namespace {

namespace bj = boost::json;
using test::hex;

// "(uint256,string),bytes" → "(uint256,string)", "bytes".
std::vector<std::string> split_types(std::string_view list) {
    std::vector<std::string> out;
    int depth = 0;
    std::string current;
    for (const char c : list) {
        if (c == '(') ++depth;
        if (c == ')') --depth;
        if (c == ',' && depth == 0) {
            out.push_back(std::exchange(current, {}));
        } else {
            current.push_back(c);
        }
    }
    if (!current.empty()) out.push_back(current);
    return out;
}

// What a type is made of, for the test's own walk over it.
struct Shape {
    explicit Shape(const std::string& type) {
        if (type.back() == ']') {
            const auto open = type.rfind('[');
            item = type.substr(0, open);
            is_array = open + 2 == type.size();
            if (!is_array) members.assign(std::stoul(type.substr(open + 1)), item);
        } else if (type.front() == '(') {
            members = split_types(std::string_view(type).substr(1, type.size() - 2));
        }
        dynamic = is_array || type == "bytes" || type == "string";
        for (const auto& member : members) dynamic = dynamic || Shape(member).dynamic;
    }
    std::string item;
    std::vector<std::string> members;
    bool is_array = false;
    bool dynamic = false;
};

unsigned bits_of(std::string_view type) {
    return static_cast<unsigned>(std::stoul(std::string(type.substr(type.find_first_of("0123456789")))));
}

const bj::array& members_of(const bj::value& value) {
    return value.is_array() ? value.get_array() : value.at("tuple").as_array();
}

void write(AbiWriter& out, const std::string& type, const bj::value& value) {
    const Shape shape(type);
    if (shape.is_array || !shape.members.empty()) {
        AbiWriter inner;
        const auto& values = members_of(value);
        for (std::size_t i = 0; i < values.size(); ++i) write(inner, shape.is_array ? shape.item : shape.members[i], values[i]);
        shape.is_array ? out.array(inner) : out.tuple(inner);
        return;
    }
    if (type == "bool") {
        out.boolean(value.as_bool());
        return;
    }
    const std::string text(value.as_string());
    if (type == "address")
        out.address(parse_address(text).value());
    else if (type == "string")
        out.string(text);
    else if (type == "bytes")
        out.bytes(hex(text));
    else if (type == "bytes32")
        out.bytes32(test::hash_of_hex(text));
    else if (type.starts_with("bytes"))
        out.bytes_n(hex(text));
    else if (type.starts_with("int"))
        out.i64(std::stoll(text));
    else
        out.uint256(Uint256::parse(text).value());
}

void expect_read(AbiReader& reader, const std::string& type, const bj::value& value) {
    const Shape shape(type);
    if (shape.is_array) {
        auto array = reader.array(type);
        ASSERT_TRUE(array) << type << ": " << array.error().message;
        ASSERT_EQ(array->count, members_of(value).size());
        for (const auto& item : members_of(value)) expect_read(array->items, shape.item, item);
        return;
    }
    if (!shape.members.empty()) {
        auto inner = shape.dynamic ? reader.tuple(type) : Result<AbiReader>(reader);
        ASSERT_TRUE(inner) << type;
        auto& members = shape.dynamic ? *inner : reader;
        for (std::size_t i = 0; i < shape.members.size(); ++i) expect_read(members, shape.members[i], members_of(value)[i]);
        return;
    }
    if (type == "bool") {
        EXPECT_EQ(reader.boolean(type).value(), value.as_bool());
        return;
    }
    const std::string text(value.as_string());
    if (type == "address")
        EXPECT_EQ(to_checksum(reader.address(type).value()), text);
    else if (type == "string")
        EXPECT_EQ(reader.string(type).value(), text);
    else if (type == "bytes")
        EXPECT_EQ(to_0x(reader.bytes(type).value()), text);
    else if (type == "bytes32")
        EXPECT_EQ(to_0x(reader.bytes32(type).value()), text);
    else if (type.starts_with("bytes"))
        EXPECT_EQ(to_0x(reader.bytes_n(bits_of(type), type).value()), text);
    else if (type.starts_with("int"))
        EXPECT_EQ(std::to_string(reader.i64(type).value()), text);
    else if (type == "uint256")
        EXPECT_EQ(reader.uint256(type)->to_decimal(), text);
    else
        EXPECT_EQ(std::to_string(reader.uint(bits_of(type), type).value()), text);
}

TEST(Abi, WritesAndReadsWhatCastWrites) {
    const auto vectors = test::load_vectors("generated.json");
    for (const auto& vector : vectors.at("abi").as_array()) {
        const auto types = split_types(vector.at("types").as_string());
        const auto& values = vector.at("values").as_array();
        ASSERT_EQ(types.size(), values.size());
        AbiWriter writer;
        for (std::size_t i = 0; i < types.size(); ++i) write(writer, types[i], values[i]);
        const auto encoded = writer.finish();
        EXPECT_EQ(to_0x(encoded), vector.at("encoded").as_string()) << vector.at("types");
        AbiReader reader(encoded);
        for (std::size_t i = 0; i < types.size(); ++i) expect_read(reader, types[i], values[i]);
        EXPECT_TRUE(reader.finish("arguments")) << vector.at("types");
    }
}

TEST(Abi, SelectorsAndTopicsAreThoseOfCast) {
    const auto vectors = test::load_vectors("generated.json");
    for (const auto& vector : vectors.at("selectors").as_array()) {
        const std::string_view signature = vector.at("signature").as_string();
        EXPECT_EQ(to_0x(function_selector(signature)), vector.at("selector").as_string());
        EXPECT_EQ(to_0x(event_topic(signature)), vector.at("topic").as_string());
        EXPECT_EQ(to_0x(ByteView(AbiWriter().u64(1).call(signature)).first(4)), vector.at("selector").as_string());
    }
}

// The example of the ABI specification: f(uint256,uint32[],bytes10,bytes).
TEST(Abi, SpecificationExample) {
    AbiWriter list;
    list.u64(0x456).u64(0x789);
    AbiWriter args;
    args.u64(0x123).array(list).bytes_n(as_bytes("1234567890")).bytes(as_bytes("Hello, world!"));
    EXPECT_EQ(to_hex(args.call("f(uint256,uint32[],bytes10,bytes)")),
              "8be65246"
              "0000000000000000000000000000000000000000000000000000000000000123"
              "0000000000000000000000000000000000000000000000000000000000000080"
              "3132333435363738393000000000000000000000000000000000000000000000"
              "00000000000000000000000000000000000000000000000000000000000000e0"
              "0000000000000000000000000000000000000000000000000000000000000002"
              "0000000000000000000000000000000000000000000000000000000000000456"
              "0000000000000000000000000000000000000000000000000000000000000789"
              "000000000000000000000000000000000000000000000000000000000000000d"
              "48656c6c6f2c20776f726c642100000000000000000000000000000000000000");
}

Bytes words(std::initializer_list<Uint256> values) {
    Bytes out;
    for (const auto& value : values) append(out, value.to_be());
    return out;
}

TEST(Abi, StaticValuesOutOfRangeAreRefused) {
    const auto one = [](const Uint256& value) { return words({value}); };
    const auto top = Uint256::max();
    EXPECT_FALSE(AbiReader(one(Uint256(2))).boolean("x"));
    EXPECT_FALSE(AbiReader(one(Uint256(256))).uint(8, "x"));
    EXPECT_EQ(AbiReader(one(Uint256(255))).uint(8, "x").value(), 255u);
    EXPECT_FALSE(AbiReader(one(top)).u64("x"));
    EXPECT_FALSE(AbiReader(one(top)).address("x"));
    EXPECT_FALSE(AbiReader(one(top)).bytes_n(4, "x"));
    EXPECT_EQ(AbiReader(one(top)).i64("x").value(), -1);
    EXPECT_FALSE(AbiReader(one(Uint256(std::uint64_t{1} << 63))).i64("x"));
    EXPECT_FALSE(AbiReader(Bytes(31)).uint256("x"));
    EXPECT_FALSE(AbiReader({}).uint256("x"));
}

TEST(Abi, OffsetsAndLengthsOutOfRangeAreRefused) {
    EXPECT_FALSE(AbiReader(words({Uint256(32)})).bytes("x")) << "no length";
    EXPECT_FALSE(AbiReader(words({Uint256(0), Uint256(0)})).bytes("x")) << "into the head";
    EXPECT_FALSE(AbiReader(words({Uint256(33), Uint256(0), Uint256(0)})).bytes("x")) << "between words";
    EXPECT_FALSE(AbiReader(words({Uint256::max(), Uint256(0)})).bytes("x"));
    EXPECT_FALSE(AbiReader(words({Uint256(32), Uint256(1)})).bytes("x")) << "no bytes";
    EXPECT_FALSE(AbiReader(words({Uint256(32), Uint256::max()})).bytes("x"));
    EXPECT_FALSE(AbiReader(words({Uint256(32), Uint256(1), Uint256::max()})).bytes("x")) << "padding";
    EXPECT_FALSE(AbiReader(words({Uint256(32), Uint256(33), Uint256(0)})).bytes("x"));
    EXPECT_FALSE(AbiReader(words({Uint256(32), Uint256(2), Uint256(0)})).array("x")) << "more items than bytes";
    EXPECT_FALSE(AbiReader(words({Uint256(32), Uint256(std::uint64_t{1} << 60)})).array("x"));
    EXPECT_FALSE(AbiReader(words({Uint256(64)})).tuple("x"));
    auto cut = words({Uint256(32), Uint256(1)});
    cut.push_back('a');
    EXPECT_FALSE(AbiReader(cut).bytes("x")) << "padding cut off";
}

TEST(Abi, BytesThatBelongToNothingAreRefused) {
    const auto data = words({Uint256(1), Uint256(2)});
    AbiReader reader(data);
    EXPECT_TRUE(reader.u64("x"));
    EXPECT_EQ(reader.finish("call").error().code, ErrorCode::malformed);
    EXPECT_TRUE(reader.u64("y"));
    EXPECT_TRUE(reader.finish("call"));
}

TEST(Abi, OffsetsThatOverlapAreRefused) {
    // Two strings that stand in one place.
    const auto data = words({Uint256(64), Uint256(64), Uint256(1), Uint256(0)});
    AbiReader reader(data);
    EXPECT_TRUE(reader.string("first"));
    EXPECT_EQ(reader.string("second").error().code, ErrorCode::malformed);
    // A list of lists, all of them the same one: a small input that would be read a hundred times.
    AbiWriter inner;
    for (int i = 0; i < 100; ++i) inner.u64(1);
    Bytes bomb = words({Uint256(32), Uint256(100)});
    for (int i = 0; i < 100; ++i) append(bomb, Uint256(3200).to_be());
    append(bomb, words({Uint256(100)}));
    append(bomb, inner.finish());
    auto outer = AbiReader(bomb).array("outer").value();
    std::size_t taken = 0;
    for (std::size_t i = 0; i < outer.count; ++i) {
        auto list = outer.items.array("inner");
        for (std::size_t j = 0; list && j < list->count && list->items.u64("item"); ++j) ++taken;
    }
    EXPECT_LE(taken, bomb.size() / 32);
}

TEST(Abi, RevertsAreDescribed) {
    EXPECT_EQ(describe_revert({}), "reverted without a reason");
    EXPECT_EQ(describe_revert(AbiWriter().string("not an institution\n").call("Error(string)")), "reverted: not an institution?");
    EXPECT_EQ(describe_revert(AbiWriter().u64(0x11).call("Panic(uint256)")), "reverted: arithmetic overflow");
    EXPECT_EQ(describe_revert(AbiWriter().u64(1).call("StudiesUnknownInstitution(uint256)")),
              "reverted with error " + to_0x(function_selector("StudiesUnknownInstitution(uint256)")));
    EXPECT_EQ(describe_revert(hex("08c379a0ff")), "reverted with error 0x08c379a0");
    EXPECT_EQ(describe_revert(hex("08c3")), "reverted with 0x08c3");
    EXPECT_EQ(describe_revert(AbiWriter().string(std::string(1000, 'a')).call("Error(string)")).size(),
              std::string_view("reverted: ").size() + 256);
}

}  // namespace
}  // namespace fiducial::ethereum
