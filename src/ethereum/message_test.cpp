#include "ethereum/message.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/hex.hpp"
#include "ethereum/address.hpp"
#include "ethereum/test_support.hpp"

namespace fiducial::ethereum {
namespace {

using test::hex;

Bytes signature_of(const crypto::Secret& key, std::string_view text) {
    const auto serialised = sign_personal(key, as_bytes(text)).value().serialised();
    return {serialised.begin(), serialised.end()};
}

TEST(PersonalMessage, Eip191SignaturesAreThoseOfCastAndEthSigUtil) {
    const auto vectors = test::load_vectors("generated.json");
    for (const auto& vector : vectors.at("messages").as_array()) {
        const std::string_view message = vector.at("message").as_string();
        const auto expected = hex(vector.at("signature").as_string());
        auto ours = signature_of(test::key_of_hex(vector.at("key").as_string()), message);
        ours[64] = static_cast<std::uint8_t>(ours[64] + 27);
        EXPECT_EQ(ours, expected);
        EXPECT_EQ(to_checksum(recover_personal(as_bytes(message), expected).value()), vector.at("signer").as_string());
    }
}

TEST(PersonalMessage, OtherMessagesAndFormsAreRefused) {
    const auto key = test::key_named("wallet");
    const auto signature = signature_of(key, "text");
    const auto signer = crypto::address_of(key).value();
    EXPECT_EQ(recover_personal(as_bytes("text"), signature).value(), signer);
    const auto other = recover_personal(as_bytes("Text"), signature);
    EXPECT_TRUE(!other || *other != signer);
    EXPECT_EQ(recover_personal(as_bytes("text"), ByteView(signature).first(64)).error().code, ErrorCode::malformed);
    auto wrong_v = signature;
    wrong_v[64] = 29;
    EXPECT_EQ(recover_personal(as_bytes("text"), wrong_v).error().code, ErrorCode::malformed);
}

SignInMessage from_fields(const boost::json::object& fields) {
    const auto text = [&](const char* name) {
        return fields.contains(name) ? std::optional(std::string(fields.at(name).as_string())) : std::nullopt;
    };
    SignInMessage out;
    out.domain = text("domain").value();
    out.address = parse_address(text("address").value()).value();
    out.statement = text("statement");
    out.uri = text("uri").value();
    const auto& chain = fields.at("chainId");
    out.chain_id = chain.is_string() ? std::stoull(std::string(chain.as_string())) : chain.to_number<std::uint64_t>();
    out.nonce = text("nonce").value();
    out.issued_at = text("issuedAt").value();
    out.expiration_time = text("expirationTime");
    out.not_before = text("notBefore");
    out.has_resources = fields.contains("resources");
    if (out.has_resources) {
        for (const auto& resource : fields.at("resources").as_array()) out.resources.emplace_back(resource.as_string());
    }
    return out;
}

TEST(SignIn, Eip4361PositiveVectorsParseAndBuild) {
    const auto vectors = test::load_vectors("siwe.json");
    for (const auto& [name, vector] : vectors.at("parsing_positive").as_object()) {
        const std::string_view text = vector.at("message").as_string();
        const auto message = parse_sign_in(text);
        ASSERT_TRUE(message) << name << ": " << message.error().message;
        EXPECT_EQ(*message, from_fields(vector.at("fields").as_object())) << name;
        EXPECT_EQ(message->to_text().value(), text) << name;
    }
}

TEST(SignIn, Eip4361NegativeVectorsAreRefused) {
    const auto vectors = test::load_vectors("siwe.json");
    for (const auto& [name, text] : vectors.at("parsing_negative").as_object()) {
        const auto message = parse_sign_in(text.as_string());
        ASSERT_FALSE(message) << name;
        EXPECT_EQ(message.error().code, ErrorCode::malformed) << name;
    }
}

TEST(SignIn, Eip4361VerificationVectors) {
    const auto vectors = test::load_vectors("siwe.json");
    for (const auto& [name, vector] : vectors.at("verification_positive").as_object()) {
        const auto& fields = vector.as_object();
        const auto message = from_fields(fields);
        SignInExpectation expected{message.domain, message.uri, message.chain_id, message.nonce, {}};
        expected.now = parse_rfc3339(fields.contains("time") ? fields.at("time").as_string() : fields.at("issuedAt").as_string()).value();
        const auto verified = verify_sign_in(message.to_text().value(), hex(fields.at("signature").as_string()), expected);
        ASSERT_TRUE(verified) << name << ": " << verified.error().message;
        EXPECT_EQ(*verified, message);
    }
}

class SignInExample : public ::testing::Test {
protected:
    void SetUp() override {
        message_.scheme = "https";
        message_.domain = "archive.example:8443";
        message_.address = crypto::address_of(key_).value();
        message_.statement = "Sign in to see your images.";
        message_.uri = "https://archive.example:8443/login";
        message_.chain_id = 4503599627370495;
        message_.nonce = "abcdEFGH1234";
        message_.issued_at = "2026-11-22T20:00:00Z";
        message_.not_before = "2026-11-22T20:00:00Z";
        message_.expiration_time = "2026-11-22T20:05:00.5Z";
        message_.request_id = "";
        message_.has_resources = true;
        expected_ = {message_.domain, message_.uri, message_.chain_id, message_.nonce, parse_rfc3339("2026-11-22T20:01:00Z").value()};
    }
    ErrorCode refusal(const SignInExpectation& expected) const {
        const auto text = message_.to_text().value();
        const auto verified = verify_sign_in(text, signature_of(key_, text), expected);
        return verified ? ErrorCode::internal : verified.error().code;
    }
    crypto::Secret key_ = test::key_named("patient");
    SignInMessage message_;
    SignInExpectation expected_;
};

TEST_F(SignInExample, IsTaken) {
    const auto text = message_.to_text().value();
    EXPECT_EQ(parse_sign_in(text).value(), message_);
    EXPECT_TRUE(verify_sign_in(text, signature_of(key_, text), expected_));
}

TEST_F(SignInExample, AnotherDomainUriChainNonceOrTimeIsRefused) {
    const auto changed = [&](auto change) {
        auto expected = expected_;
        change(expected);
        return refusal(expected);
    };
    constexpr auto kNo = ErrorCode::unauthenticated;
    EXPECT_EQ(changed([](auto& e) { e.domain = "archive.example"; }), kNo);
    EXPECT_EQ(changed([](auto& e) { e.uri = "https://archive.example:8443/"; }), kNo);
    EXPECT_EQ(changed([](auto& e) { e.chain_id = 1; }), kNo);
    EXPECT_EQ(changed([](auto& e) { e.nonce = "abcdEFGH1235"; }), kNo);
    EXPECT_EQ(changed([](auto& e) { e.now = parse_rfc3339("2026-11-22T19:59:59.999Z").value(); }), kNo);
    EXPECT_EQ(changed([](auto& e) { e.now = parse_rfc3339("2026-11-22T20:05:00.5Z").value(); }), kNo);
    EXPECT_EQ(changed([](auto& e) { e.uri.clear(); }), ErrorCode::internal) << "not compared";
}

TEST_F(SignInExample, AnotherKeysSignatureIsRefused) {
    const auto text = message_.to_text().value();
    EXPECT_EQ(verify_sign_in(text, signature_of(test::key_named("other"), text), expected_).error().code, ErrorCode::unauthenticated);
    EXPECT_EQ(verify_sign_in(text, Bytes(65), expected_).error().code, ErrorCode::unauthenticated);
    EXPECT_EQ(verify_sign_in(text, {}, expected_).error().code, ErrorCode::unauthenticated);
}

TEST_F(SignInExample, ChangedTextIsRefused) {
    const auto text = message_.to_text().value();
    const auto signature = signature_of(key_, text);
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto changed = text;
        changed[i] = static_cast<char>(changed[i] ^ 1);
        EXPECT_FALSE(verify_sign_in(changed, signature, expected_)) << i;
    }
    for (std::size_t size = 0; size < text.size(); ++size)
        EXPECT_FALSE(verify_sign_in(std::string_view(text).substr(0, size), signature, expected_)) << size;
    for (const auto* more : {"\n", " ", "\n- https://a.example/\n", "\n- "}) EXPECT_FALSE(parse_sign_in(text + more)) << more;
    EXPECT_EQ(parse_sign_in(std::string(9000, 'a')).error().code, ErrorCode::limit_exceeded);
}

TEST_F(SignInExample, FieldsOutsideTheGrammarAreNotWritten) {
    const auto refused = [&](auto change) {
        auto message = message_;
        change(message);
        const auto text = message.to_text();
        return !text && text.error().code == ErrorCode::invalid_argument;
    };
    EXPECT_TRUE(refused([](auto& m) { m.domain = "a b"; }));
    EXPECT_TRUE(refused([](auto& m) { m.domain = "a/b"; }));
    EXPECT_TRUE(refused([](auto& m) { m.domain = ""; }));
    EXPECT_TRUE(refused([](auto& m) { m.scheme = "1s"; }));
    EXPECT_TRUE(refused([](auto& m) { m.statement = "a\nb"; }));
    EXPECT_TRUE(refused([](auto& m) { m.statement = ""; }));
    EXPECT_TRUE(refused([](auto& m) { m.uri = "https://a%zz"; }));
    EXPECT_TRUE(refused([](auto& m) { m.nonce = "short"; }));
    EXPECT_TRUE(refused([](auto& m) { m.issued_at = "now"; }));
    EXPECT_TRUE(refused([](auto& m) { m.request_id = "a b"; }));
    EXPECT_TRUE(refused([](auto& m) { m.resources.assign(65, "a:b"); }));
    EXPECT_TRUE(refused([](auto& m) {
        m.has_resources = false;
        m.resources = {"a:b"};
    }));
}

TEST(Time, Rfc3339) {
    EXPECT_EQ(to_rfc3339(parse_rfc3339("2026-11-22T20:00:00.1234Z").value()), "2026-11-22T20:00:00.123Z");
    EXPECT_EQ(to_rfc3339(parse_rfc3339("1996-12-19T16:39:57-08:00").value()), "1996-12-20T00:39:57.000Z");
    EXPECT_EQ(to_rfc3339(parse_rfc3339("1937-01-01T12:00:27.87+00:20").value()), "1937-01-01T11:40:27.870Z");
    EXPECT_EQ(to_rfc3339(parse_rfc3339("1990-12-31T23:59:60Z").value()), "1990-12-31T23:59:59.000Z");
    EXPECT_TRUE(parse_rfc3339("2024-02-29T00:00:00Z"));
    for (const auto* text :
         {"", "2026-11-22", "2026-11-22T20:00:00", "2026-11-22 20:00:00Z", "2026-13-01T00:00:00Z", "2025-02-29T00:00:00Z",
          "2026-11-22T24:00:00Z", "2026-11-22T20:60:00Z", "2026-11-22T20:00:61Z", "2026-11-22T20:00:00.Z", "2026-11-22T20:00:00+24:00",
          "2026-11-22T20:00:00+0100", "2026-11-22T20:00:00ZZ", "+026-11-22T20:00:00Z", "2026-11-22T20:00:00.1234567890Z"}) {
        EXPECT_EQ(parse_rfc3339(text).error().code, ErrorCode::malformed) << text;
    }
}

}  // namespace
}  // namespace fiducial::ethereum
