#include "evidence/study_record.hpp"

#include <gtest/gtest.h>

#include "crypto/merkle.hpp"
#include "evidence/evidence_test_support.hpp"

namespace fiducial::evidence {
namespace {

StudySecrets secrets_named(std::string_view name) {
    return StudySecrets(crypto::Secret::copy_of(named_hash(name)));
}

StudyRecord good_record() {
    StudyRecord record;
    record.chain_id = 7;
    record.root = named_hash("root");
    record.count = 2;
    record.meta = named_hash("meta");
    record.patient_ref = named_hash("patient");
    return record;
}

TEST(InstanceBody, RoundTripAndRejections) {
    auto body = body_of("1.2.3", filler("x", 100));
    body.source_sha256 = named_hash("jpeg");
    const Bytes bytes = body.encode();
    EXPECT_EQ(InstanceBody::decode(bytes).value(), body);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_EQ(InstanceBody::decode(ByteView(bytes).first(size)).error().code, ErrorCode::malformed) << size;
    }
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(InstanceBody::decode(longer));
    body.size = 0;
    EXPECT_FALSE(InstanceBody::decode(body.encode()));
    Bytes padded;
    append_lp(padded, ByteView(as_bytes(std::string_view("1.2.3\0", 6))));
    append(padded, ByteView(bytes).subspan(7));
    EXPECT_FALSE(InstanceBody::decode(padded));
}

TEST(StudySecrets, EveryValueIsAnother) {
    const auto secrets = secrets_named("K");
    const auto body = body_of("1.2.3", filler("x", 100));
    std::vector<Hash> values{secrets.blind(),      secrets.link(),          secrets.scope(),   secrets.meta_key(),
                             secrets.upload_key(), secrets.leaf_salt(body), secrets.leaf(body)};
    std::sort(values.begin(), values.end());
    EXPECT_EQ(std::unique(values.begin(), values.end()), values.end());
    EXPECT_EQ(secrets.leaf(body), instance_leaf(secrets.leaf_salt(body), body));
    EXPECT_NE(secrets.blind(), secrets_named("K2").blind());
}

TEST(PatientKey, OuterSpacesAreDroppedAndFieldsKeptApart) {
    const auto p = crypto::Secret::copy_of(named_hash("P"));
    const auto key = [&](std::string issuer, std::string id) {
        return patient_key(p, {{}, std::move(issuer)}, {{}, std::move(id)}).value();
    };
    EXPECT_EQ(key("  A ", " 1 2 "), key("A", "1 2"));
    EXPECT_NE(key("A", "1 2"), key("A", "12"));
    EXPECT_NE(key("AB", "C"), key("A", "BC"));
    EXPECT_EQ(patient_key(p, {}, {{}, std::string(70000, 'x')}).error().code, ErrorCode::limit_exceeded);
}

TEST(PatientKey, IsAnotherAtEachInstitution) {
    const auto key = [](std::string_view institution) {
        return patient_key(crypto::Secret::copy_of(named_hash(institution)), {{}, "Ministry of Health"}, {{}, "4711"}).value();
    };
    EXPECT_EQ(key("P"), key("P"));
    EXPECT_NE(key("P"), key("the P of another hospital"));
}

TEST(Uploads, NoneIsZeroAndLimitsHold) {
    const auto secrets = secrets_named("K");
    EXPECT_EQ(uploads_hash(secrets, {}).value(), kZero32);
    const std::vector<Upload> one{{"person", named_hash("d"), {1, 2, 3}}};
    EXPECT_NE(uploads_hash(secrets, one).value(), kZero32);
    const std::vector<Upload> too_long{{std::string(65536, 'x'), {}, {}}};
    EXPECT_EQ(uploads_hash(secrets, too_long).error().code, ErrorCode::limit_exceeded);
}

TEST(StudyTree, LeavesAscendStrictlyByUidBytes) {
    const auto secrets = secrets_named("K");
    const Bytes data = filler("x", 100);
    std::vector<InstanceBody> bodies{body_of("1.2.10", data), body_of("1.2.9", data)};  // as bytes, "1" < "9"
    const auto tree = study_tree(secrets, bodies).value();
    EXPECT_EQ(tree.count, 2u);
    EXPECT_EQ(tree.root, crypto::merkle_root(tree.leaves));
    std::swap(bodies[0], bodies[1]);
    EXPECT_EQ(study_tree(secrets, bodies).error().code, ErrorCode::invalid_argument);
    bodies[0] = bodies[1];
    EXPECT_EQ(study_tree(secrets, bodies).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(study_tree(secrets, {}).error().code, ErrorCode::invalid_argument);
}

TEST(StudyRecord, EveryFieldChangesTheHash) {
    const auto base = good_record();
    std::vector<Hash> hashes{base.hash()};
    const auto with = [&](auto change) {
        auto record = base;
        change(record);
        hashes.push_back(record.hash());
    };
    with([](auto& r) { r.chain_id++; });
    with([](auto& r) { r.contract[19]++; });
    with([](auto& r) { r.institution[0]++; });
    with([](auto& r) { r.study_key[0]++; });
    with([](auto& r) { r.version++; });
    with([](auto& r) { r.previous[31]++; });
    with([](auto& r) { r.root[3]++; });
    with([](auto& r) { r.count++; });
    with([](auto& r) { r.patient_ref[3]++; });
    with([](auto& r) { r.meta[3]++; });
    with([](auto& r) { r.uploads[3]++; });
    with([](auto& r) { r.format++; });
    with([](auto& r) { r.reasons++; });
    std::sort(hashes.begin(), hashes.end());
    EXPECT_EQ(hashes.size(), 14u);
    EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end());
    EXPECT_EQ(base.abi_encoded().size(), 14u * 32);
}

TEST(StudyRecord, FieldsMustFitTogether) {
    EXPECT_TRUE(check_record(good_record()));
    const auto refused = [](auto change) {
        auto record = good_record();
        change(record);
        const auto checked = check_record(record);
        return !checked && checked.error().code == ErrorCode::malformed;
    };
    EXPECT_TRUE(refused([](auto& r) { r.version = 0; }));
    EXPECT_TRUE(refused([](auto& r) { r.version = 2; }));
    EXPECT_TRUE(refused([](auto& r) { r.previous = named_hash("p"); }));
    EXPECT_TRUE(refused([](auto& r) { r.format = 2; }));
    EXPECT_TRUE(refused([](auto& r) { r.reasons = 0; }));
    EXPECT_TRUE(refused([](auto& r) { r.reasons = 32; }));
    EXPECT_TRUE(refused([](auto& r) { r.reasons = kReasonErased; }));
    EXPECT_TRUE(refused([](auto& r) { r.count = 0; }));
    EXPECT_TRUE(refused([](auto& r) { r.root = crypto::merkle_empty_root(); }));
    EXPECT_TRUE(refused([](auto& r) { r.meta = kZero32; }));
    EXPECT_TRUE(refused([](auto& r) { r.count = 0, r.root = crypto::merkle_empty_root(); }));
    EXPECT_FALSE(refused([](auto& r) { r.count = 0, r.root = crypto::merkle_empty_root(), r.reasons = kReasonRemoved; }));
    EXPECT_TRUE(refused([](auto& r) { r.reasons = kReasonRemoved | kReasonErased; }));
}

TEST(StudyRecord, ErasureCarriesThePatientAndNothingElse) {
    const auto last = good_record();
    const auto erased = erasure_record(last);
    EXPECT_TRUE(check_record(erased));
    EXPECT_EQ(erased.version, 2u);
    EXPECT_EQ(erased.previous, last.hash());
    EXPECT_EQ(erased.patient_ref, last.patient_ref);
    EXPECT_EQ(erased.study_key, last.study_key);
    EXPECT_EQ(erased.meta, kZero32);
    EXPECT_EQ(erased.root, crypto::merkle_empty_root());
    EXPECT_EQ(erased.count, 0u);
}

TEST(Reasons, AsText) {
    EXPECT_EQ(reasons_text(kReasonNew), "new");
    EXPECT_EQ(reasons_text(kReasonAdded | kReasonCorrected), "added, corrected");
    EXPECT_EQ(reasons_text(kReasonRemoved | kReasonErased), "removed, erased");
}

}  // namespace
}  // namespace fiducial::evidence
