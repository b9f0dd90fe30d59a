#include "evidence/overlay.hpp"

#include <gtest/gtest.h>

#include "evidence/evidence_test_support.hpp"

namespace fiducial::evidence {
namespace {

crypto::Secret key(std::uint8_t last) {
    Bytes bytes(32);
    bytes.back() = last;
    return crypto::Secret::copy_of(bytes);
}

Overlay sample() {
    Overlay o;
    o.study_instance_uid = Uid::parse("1.2.3").value();
    o.previous = named_hash("before");
    o.person = named_hash("ada");
    o.at_ms = 1795377600123;
    o.reason = "picked the line above in the worklist";
    o.patient_in_data_sets = {{{}, "Klinik"}, {{}, "\xD0\x96-7"}};
    o.patient = {{{}, "Klinik"}, {{}, "4711"}};
    o.edits = {{0x00100010, "PN", "M\xC3\xBCller^Eva"}, {0x00100020, "LO", "4711"}, {0x00100030, "DA", ""}, {0x00101000, "LO", {}}};
    EXPECT_TRUE(o.sign(key(7)));
    return o;
}

TEST(Overlay, RoundTripAndSignature) {
    const auto o = sample();
    const Bytes bytes = o.encode().value();
    const auto back = Overlay::decode(bytes).value();
    EXPECT_EQ(back.encode().value(), bytes);
    EXPECT_EQ(back.edits, o.edits);
    EXPECT_EQ(back.patient.patient_id.value, "4711");
    EXPECT_TRUE(back.check_signature(crypto::address_of(key(7)).value()));
    EXPECT_EQ(back.check_signature(crypto::address_of(key(8)).value()).error().code, ErrorCode::unverified);
}

TEST(Overlay, EveryTruncationAndEveryAppendedByteIsRefused) {
    Bytes bytes = sample().encode().value();
    for (std::size_t size = 0; size < bytes.size(); ++size) ASSERT_FALSE(Overlay::decode(ByteView(bytes).first(size))) << size;
    bytes.push_back(0);
    EXPECT_EQ(Overlay::decode(bytes).error().code, ErrorCode::malformed);
}

TEST(Overlay, WhatDecodesIsItsOwnEncodingAndNoOtherIsSignedByIt) {
    const Bytes bytes = sample().encode().value();
    const auto gateway = crypto::address_of(key(7)).value();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        for (unsigned flip : {0x01u, 0x80u}) {
            Bytes changed = bytes;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ flip);
            const auto decoded = Overlay::decode(changed);
            if (!decoded) continue;
            ASSERT_EQ(decoded->encode().value(), changed) << i;
            ASSERT_FALSE(decoded->check_signature(gateway)) << i;
        }
    }
}

TEST(Overlay, WhatTheFormatCannotSayIsRefused) {
    const auto refused = [](auto&& change) {
        auto o = sample();
        change(o);
        return !o.encode() && !o.sign(key(7));
    };
    EXPECT_TRUE(refused([](Overlay& o) { o.study_instance_uid = Uid(); }));
    EXPECT_TRUE(refused([](Overlay& o) { o.reason.clear(); }));
    EXPECT_TRUE(refused([](Overlay& o) { o.reason.assign(1025, 'x'); }));
    EXPECT_TRUE(refused([](Overlay& o) { o.patient.issuer.value = "\xff"; }));
    EXPECT_TRUE(refused([](Overlay& o) { std::swap(o.edits[0], o.edits[1]); }));
    EXPECT_TRUE(refused([](Overlay& o) { o.edits[0].tag = 0x00020010; }));
    EXPECT_TRUE(refused([](Overlay& o) { o.edits[0].vr = "pn"; }));
    EXPECT_TRUE(refused([](Overlay& o) { o.edits[0].value = std::string(1025, 'x'); }));
}

}  // namespace
}  // namespace fiducial::evidence
