#include "evidence/manifest.hpp"

#include <gtest/gtest.h>

#include "evidence/evidence_test_support.hpp"

namespace fiducial::evidence {
namespace {

Manifest sample() {
    Manifest m;
    m.study_instance_uid = Uid::parse("1.2.3").value();
    m.version = 2;
    m.previous = named_hash("v1");
    m.reasons = kReasonAdded | kReasonCorrected;
    m.patient = PatientIdentity{{{}, "Klinik"}, {{}, "\xD0\x96-7"}};
    m.linked_study = Uid::parse("1.2.4").value();
    for (const char* uid : {"1.2.3.1", "1.2.3.10", "1.2.3.2"}) {
        const auto body = body_of(uid, filler(uid, 1000));
        ManifestInstance i;
        i.sop_instance_uid = body.sop_instance_uid;
        i.transfer_syntax_uid = body.transfer_syntax_uid;
        i.size = body.size;
        i.sha256 = body.sha256;
        i.chunk_root = body.chunk_root;
        i.fragment_sha256 = named_hash("fragment");
        i.arrival_ms = 1795377600123;
        i.source.value = "AE MODALITY1";
        m.instances.push_back(i);
    }
    m.instances[0].series_instance_uid = Uid::parse("1.2.3.0").value();
    return m;
}

TEST(Manifest, RoundTrip) {
    const auto m = sample();
    const Bytes bytes = m.encode().value();
    const auto back = Manifest::decode(bytes).value();
    EXPECT_EQ(back.encode().value(), bytes);
    EXPECT_EQ(back.patient->patient_id.value, m.patient->patient_id.value);
    EXPECT_EQ(back.instances.size(), 3u);
    EXPECT_EQ(back.bodies(), m.bodies());
    EXPECT_EQ(back.instances[0].source.value, "AE MODALITY1");
}

TEST(Manifest, EveryTruncationAndEveryAppendedByteIsRefused) {
    Bytes bytes = sample().encode().value();
    for (std::size_t size = 0; size < bytes.size(); ++size) ASSERT_FALSE(Manifest::decode(ByteView(bytes).first(size))) << size;
    bytes.push_back(0);
    EXPECT_EQ(Manifest::decode(bytes).error().code, ErrorCode::malformed);
}

TEST(Manifest, WhatDecodesIsItsOwnEncoding) {
    const Bytes bytes = sample().encode().value();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        for (unsigned flip : {0x01u, 0x80u}) {
            Bytes changed = bytes;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ flip);
            const auto decoded = Manifest::decode(changed);
            ASSERT_TRUE(!decoded || decoded->encode().value() == changed) << i;
        }
    }
}

TEST(Manifest, Rejections) {
    const auto refused = [](auto change) {
        auto m = sample();
        change(m);
        const auto encoded = m.encode();
        return !encoded && encoded.error().code == ErrorCode::invalid_argument;
    };
    EXPECT_TRUE(refused([](auto& m) { m.study_instance_uid = {}; }));
    EXPECT_TRUE(refused([](auto& m) { m.version = 0; }));
    EXPECT_TRUE(refused([](auto& m) { m.version = 1; }));
    EXPECT_TRUE(refused([](auto& m) { m.previous = kZero32; }));
    EXPECT_TRUE(refused([](auto& m) { m.reasons = 0; }));
    EXPECT_TRUE(refused([](auto& m) { m.reasons = 64; }));
    EXPECT_TRUE(refused([](auto& m) { m.reasons = kReasonErased; }));
    EXPECT_TRUE(refused([](auto& m) { m.instances.clear(); }));
    EXPECT_TRUE(refused([](auto& m) { std::swap(m.instances[0], m.instances[1]); }));
    EXPECT_TRUE(refused([](auto& m) { m.instances[1] = m.instances[0]; }));
    EXPECT_TRUE(refused([](auto& m) { m.instances[1].transfer_syntax_uid = {}; }));
    EXPECT_TRUE(refused([](auto& m) { m.instances[1].size = 0; }));
    EXPECT_TRUE(refused([](auto& m) { m.instances[1].source.value = std::string(1025, 'x'); }));
    for (const char* not_utf8 : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\xFF", "\x80"}) {
        EXPECT_TRUE(refused([&](auto& m) { m.patient->patient_id.value = not_utf8; })) << not_utf8;
    }
    Bytes other = sample().encode().value();
    other[12] = '2';
    EXPECT_EQ(Manifest::decode(other).error().code, ErrorCode::malformed);
}

TEST(Manifest, ACountBeyondTheBytesReservesNothing) {
    auto m = sample();
    m.instances.resize(1);
    Bytes bytes = m.encode().value();
    m.instances.push_back(m.instances.front());
    const std::string needle(
        "\0\0\0\1\0\7"
        "1.2.3.1",
        13);
    const auto at = as_text(bytes).find(needle);
    ASSERT_NE(at, std::string_view::npos);
    bytes[at] = 0xFF;
    EXPECT_EQ(Manifest::decode(bytes).error().code, ErrorCode::malformed);
}

}  // namespace
}  // namespace fiducial::evidence
