#include "ethereum/typed_data.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/address.hpp"
#include "ethereum/test_support.hpp"

namespace fiducial::ethereum {
namespace {

namespace bj = boost::json;

bj::object document(std::size_t index) {
    return test::load_vectors("generated.json").at("typedData").at(index).at("document").as_object();
}

TEST(TypedData, IsWhatCastAndEthSigUtilSign) {
    const auto vectors = test::load_vectors("generated.json");
    for (const auto& vector : vectors.at("typedData").as_array()) {
        const auto data = TypedData::parse(bj::serialize(vector.at("document")));
        ASSERT_TRUE(data) << data.error().message;
        EXPECT_EQ(data->encoded_type(), vector.at("encodedType").as_string());
        EXPECT_EQ(to_0x(data->domain_hash()), vector.at("domainHash").as_string());
        EXPECT_EQ(to_0x(data->message_hash()), vector.at("messageHash").as_string());
        EXPECT_EQ(to_0x(data->digest()), vector.at("digest").as_string());
        const auto signature = crypto::RecoverableSignature::parse(test::hex(vector.at("signature").as_string()));
        ASSERT_TRUE(signature);
        EXPECT_EQ(to_checksum(crypto::recover_address(data->digest(), *signature).value()), vector.at("signer").as_string());
    }
}

// The values that EIP-712's own Example.js expects.
TEST(TypedData, Eip712MailExample) {
    const auto data = TypedData::parse(bj::serialize(document(0))).value();
    EXPECT_EQ(data.encoded_type(), "Mail(Person from,Person to,string contents)Person(string name,address wallet)");
    EXPECT_EQ(to_0x(crypto::keccak256(as_bytes(data.encoded_type()))),
              "0xa0cedeb2dc280ba39b857546d74f5549c3a1d7bdc2dd96bf881f76108e23dac2");
    EXPECT_EQ(to_0x(data.message_hash()), "0xc52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e");
    EXPECT_EQ(to_0x(data.domain_hash()), "0xf2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f");
    EXPECT_EQ(to_0x(data.digest()), "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
}

TEST(TypedData, StructHasherAndDomainAreTheSame) {
    const auto text = bj::serialize(document(1));
    const auto data = TypedData::parse(text).value();
    TypedDomain domain;
    domain.name = "Fiducial Consents";
    domain.version = "1";
    domain.chain_id = Uint256(4503599627370495);
    domain.verifying_contract = parse_address(document(1).at("domain").at("verifyingContract").as_string()).value();
    EXPECT_EQ(domain_separator(domain), data.domain_hash());
    Bytes32 word;
    const auto filled = [&word](std::uint8_t byte) {
        word.fill(byte);
        return word;
    };
    StructHasher grant(
        "Grant(bytes32 holder,bytes32 patientKey,bytes32 grantee,uint8 granteeKind,bytes32 scope,uint8 purpose,uint64 expiry,uint64 "
        "epoch)");
    grant.bytes32(filled(1)).bytes32(filled(2)).bytes32(filled(3)).u64(1).bytes32(filled(4)).u64(2).u64(~std::uint64_t{0}).u64(7);
    EXPECT_EQ(grant.finish().value(), data.message_hash());
    EXPECT_EQ(typed_digest(domain_separator(domain), grant.finish().value()), data.digest());
}

TEST(TypedData, StructHasherNestsByHash) {
    const auto data = TypedData::parse(bj::serialize(document(0))).value();
    const auto person = [](std::string_view name, std::string_view wallet) {
        return StructHasher("Person(string name,address wallet)").string(name).address(parse_address(wallet).value()).finish().value();
    };
    StructHasher mail("Mail(Person from,Person to,string contents)Person(string name,address wallet)");
    mail.hashed(person("Cow", "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"))
        .hashed(person("Bob", "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"))
        .string("Hello, Bob!");
    EXPECT_EQ(mail.finish().value(), data.message_hash());
}

TEST(TypedData, StructHasherRefusesOtherValues) {
    const auto code = [](const StructHasher& hasher) { return hasher.finish().error().code; };
    constexpr auto kWrong = ErrorCode::invalid_argument;
    EXPECT_EQ(code(StructHasher("A(uint8 x)").u64(256)), kWrong);
    EXPECT_TRUE(StructHasher("A(uint8 x)").u64(255).finish());
    EXPECT_EQ(code(StructHasher("A(uint8 x)").boolean(true)), kWrong);
    EXPECT_EQ(code(StructHasher("A(uint8 x)")), kWrong);
    EXPECT_EQ(code(StructHasher("A(uint8 x)").u64(1).u64(1)), kWrong);
    EXPECT_EQ(code(StructHasher("A(bytes32 x)").u64(1)), kWrong);
    EXPECT_EQ(code(StructHasher("A(bytes32 x)").hashed(Hash{})), kWrong);
    EXPECT_EQ(code(StructHasher("A(string x)").bytes({})), kWrong);
    for (const auto* type : {"", "A", "A(", "(uint8 x)", "A(uint8)", "A(uint8 )"}) EXPECT_EQ(code(StructHasher(type)), kWrong) << type;
    EXPECT_TRUE(StructHasher("A()").finish());
}

// One change to a document that is taken, and it is refused.
void expect_refused(std::string_view what, std::size_t index, const std::function<void(bj::object&)>& change,
                    ErrorCode code = ErrorCode::malformed) {
    auto changed = document(index);
    ASSERT_TRUE(TypedData::parse(bj::serialize(changed)));
    change(changed);
    const auto data = TypedData::parse(bj::serialize(changed));
    ASSERT_FALSE(data) << what;
    EXPECT_EQ(data.error().code, code) << what << ": " << data.error().message;
}

TEST(TypedDataRefusals, OfTheDocument) {
    expect_refused("no types", 1, [](bj::object& d) { d.erase("types"); });
    expect_refused("another key", 1, [](bj::object& d) { d["extra"] = 1; });
    expect_refused("undeclared primary type", 1, [](bj::object& d) { d["primaryType"] = "Other"; });
    expect_refused("no domain type", 1, [](bj::object& d) { d["types"].as_object().erase("EIP712Domain"); });
    expect_refused("domain member", 1, [](bj::object& d) { d["types"].at("EIP712Domain").at(0).as_object()["name"] = "title"; });
    expect_refused("domain type", 1, [](bj::object& d) { d["types"].at("EIP712Domain").at(2).as_object()["type"] = "uint64"; });
    expect_refused("domain order", 1,
                   [](bj::object& d) { std::swap(d["types"].at("EIP712Domain").at(0), d["types"].at("EIP712Domain").at(1)); });
    EXPECT_FALSE(TypedData::parse("[]"));
    EXPECT_FALSE(TypedData::parse("{"));
    EXPECT_EQ(TypedData::parse(std::string(300 * 1024, ' ')).error().code, ErrorCode::limit_exceeded);
}

TEST(TypedDataRefusals, OfTypes) {
    const auto member = [](std::size_t i) {
        return [i](bj::object& d) -> bj::object& { return d["types"].at("Grant").at(i).as_object(); };
    };
    for (const auto* type : {"uint", "uint7", "uint264", "uint08", "int0", "bytes0", "bytes33", "Unknown", "uint8[", "uint8[]x", "uint8[0]",
                             "uint8[-1]", "uint8[][][][][]", "", "uint8[99999999]", "function", "Grant2[]"}) {
        expect_refused(type, 1, [&](bj::object& d) { member(3)(d)["type"] = type; });
    }
    expect_refused("two of one name", 1, [&](bj::object& d) { member(1)(d)["name"] = "holder"; });
    expect_refused("name", 1, [&](bj::object& d) { member(1)(d)["name"] = "a b"; });
    expect_refused("name that ends the type", 1, [&](bj::object& d) { member(1)(d)["name"] = "a)B("; });
    expect_refused("key", 1, [&](bj::object& d) { member(1)(d)["extra"] = 1; });
    expect_refused("struct named as a type", 1, [](bj::object& d) { d["types"].as_object()["uint8"] = bj::array(); });
    expect_refused("struct name", 1, [](bj::object& d) { d["types"].as_object()["A[]"] = bj::array(); });
    expect_refused(
        "too many", 1,
        [](bj::object& d) {
            for (int i = 0; i < 64; ++i) d["types"].as_object()["T" + std::to_string(i)] = bj::array();
        },
        ErrorCode::limit_exceeded);
    expect_refused(
        "too many members", 1,
        [](bj::object& d) {
            auto& list = d["types"].as_object()["T"].emplace_array();
            for (int i = 0; i < 65; ++i) list.push_back({{"name", "m" + std::to_string(i)}, {"type", "bool"}});
        },
        ErrorCode::limit_exceeded);
}

TEST(TypedDataRefusals, OfValues) {
    const auto set = [](const char* name, bj::value value) {
        return [name, value](bj::object& d) { d["message"].as_object()[name] = value; };
    };
    expect_refused("missing", 1, [](bj::object& d) { d["message"].as_object().erase("epoch"); });
    expect_refused("extra", 1, set("extra", 1));
    expect_refused("null", 1, set("epoch", nullptr));
    expect_refused("range", 1, set("granteeKind", 256));
    expect_refused("negative", 1, set("granteeKind", -1));
    expect_refused("fraction", 1, set("granteeKind", 1.5));
    expect_refused("word", 1, set("granteeKind", "one"));
    expect_refused("beyond 64 bits", 1, set("expiry", "18446744073709551616"));
    expect_refused("short bytes32", 1, set("holder", "0x01"));
    expect_refused("no 0x", 1, set("holder", bj::string(64, '0')));
    expect_refused("number for bytes", 1, set("holder", 1));
    expect_refused("truth", 2, set("all", "true"));
    expect_refused("address", 0, [](bj::object& d) { d["message"].at("from").as_object()["wallet"] = "0x01"; });
    expect_refused("string for a struct", 0, set("from", "Cow"));
    expect_refused("below int128", 3, set("value", "-170141183460469231731687303715884105729"));
    expect_refused("above int128", 3, set("value", "170141183460469231731687303715884105728"));
    expect_refused("fixed array", 3, set("tags", bj::array{"0x01020304"}));
    expect_refused("object for an array", 3, set("leaves", bj::object()));
    expect_refused("domain value", 1, [](bj::object& d) { d["domain"].as_object()["chainId"] = "?"; });
}

TEST(TypedDataRefusals, OfTypesWithoutEnd) {
    bj::object nested{{"next", bj::array()}};
    for (int i = 0; i < 20; ++i) nested = bj::object{{"next", bj::array{nested}}};
    const bj::object data{{"types", {{"EIP712Domain", bj::array()}, {"Loop", {{{"name", "next"}, {"type", "Loop[]"}}}}}},
                          {"primaryType", "Loop"},
                          {"domain", bj::object()},
                          {"message", nested}};
    EXPECT_EQ(TypedData::parse(bj::serialize(data)).error().code, ErrorCode::limit_exceeded);
}

}  // namespace
}  // namespace fiducial::ethereum
