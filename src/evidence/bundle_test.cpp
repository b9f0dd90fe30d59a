#include "evidence/bundle.hpp"

#include <gtest/gtest.h>

#include "crypto/hash.hpp"
#include "evidence/evidence_test_support.hpp"

namespace fiducial::evidence {
namespace {

TEST(Bundle, RoundTrip) {
    SampleOptions options;
    options.signers = 3;
    options.shown = {0, 2, 4};
    const auto sample = make_sample(options);
    EXPECT_EQ(sample.bundle.encode().value(), sample.text);
    EXPECT_EQ(sample.bundle.instances.size(), 3u);
    EXPECT_EQ(Bundle::decode(sample.text).value(), sample.bundle);
    EXPECT_EQ(Bundle::decode(sample.text + "\n").error().code, ErrorCode::malformed);
    EXPECT_EQ(Bundle::decode("{}").error().code, ErrorCode::malformed);
    EXPECT_EQ(Bundle::decode(std::string(kMaxBundleBytes + 1, '[')).error().code, ErrorCode::limit_exceeded);
}

TEST(Bundle, EncodeRefusesWhatDecodeWould) {
    const auto base = make_sample().bundle;
    const auto refused = [&](auto change) {
        auto bundle = base;
        change(bundle);
        const auto text = bundle.encode();
        return !text && text.error().code == ErrorCode::invalid_argument;
    };
    EXPECT_FALSE(refused([](auto&) {}));
    EXPECT_TRUE(refused([](auto& b) { b.study_instance_uid = {}; }));
    EXPECT_TRUE(refused([](auto& b) { b.instances.clear(); }));
    EXPECT_TRUE(refused([](auto& b) { b.instances.push_back(b.instances[0]); }));
    EXPECT_TRUE(refused([](auto& b) { b.instances.resize(kMaxBundleInstances + 1); }));
    EXPECT_TRUE(refused([](auto& b) { b.instances[0].path.resize(33); }));
    EXPECT_TRUE(refused([](auto& b) { b.instances[0].body.size = 0; }));
    EXPECT_TRUE(refused([](auto& b) { b.instances[0].body.sop_instance_uid = {}; }));
    EXPECT_TRUE(refused([](auto& b) { b.headers.clear(); }));
    EXPECT_TRUE(refused([](auto& b) { b.headers.resize(kMaxBundleHeaders + 1); }));
    EXPECT_TRUE(refused([](auto& b) { b.headers[0].resize(kMaxHeaderBytes + 1); }));
    EXPECT_TRUE(refused([](auto& b) { b.account_proof.clear(); }));
    EXPECT_TRUE(refused([](auto& b) { b.storage_proof.resize(kMaxProofNodes + 1); }));
    EXPECT_TRUE(refused([](auto& b) { b.next_storage_proof[0].resize(kMaxProofNodeBytes + 1); }));
}

TEST(BuildBundle, GivesNothingAwayThatDoesNotBelongTogether) {
    const StudySecrets secrets(crypto::Secret::copy_of(named_hash("K")));
    const StudySecrets other(crypto::Secret::copy_of(named_hash("K2")));
    const auto uid = Uid::parse("1.2").value();
    std::vector<InstanceBody> bodies{body_of("1.2.1", filler("a", 10)), body_of("1.2.2", filler("b", 10))};
    const auto tree = study_tree(secrets, bodies).value();
    BundleInputs inputs;
    inputs.study_instance_uid = uid;
    inputs.secrets = &secrets;
    inputs.record.study_key = study_key(secrets.blind(), uid);
    inputs.record.root = tree.root;
    inputs.record.count = tree.count;
    inputs.record.meta = named_hash("m");
    inputs.bodies = bodies;
    const std::vector<std::uint32_t> shown{1}, beyond{2}, twice{1, 1};
    inputs.shown = shown;
    inputs.headers = inputs.account_proof = inputs.storage_proof = inputs.next_storage_proof = {{1}};
    ASSERT_TRUE(build_bundle(inputs));

    auto wrong = inputs;
    wrong.secrets = &other;
    EXPECT_EQ(build_bundle(wrong).error().code, ErrorCode::corrupt);
    wrong = inputs;
    wrong.study_instance_uid = Uid::parse("1.3").value();
    EXPECT_EQ(build_bundle(wrong).error().code, ErrorCode::corrupt);
    wrong = inputs;
    wrong.record.root = named_hash("another root");
    EXPECT_EQ(build_bundle(wrong).error().code, ErrorCode::corrupt);
    wrong = inputs;
    wrong.bodies = std::span(bodies).first(1);
    EXPECT_EQ(build_bundle(wrong).error().code, ErrorCode::corrupt);
    wrong = inputs;
    wrong.shown = beyond;
    EXPECT_EQ(build_bundle(wrong).error().code, ErrorCode::invalid_argument);
    wrong.shown = twice;
    EXPECT_EQ(build_bundle(wrong).error().code, ErrorCode::invalid_argument);
    wrong.shown = {};
    EXPECT_EQ(build_bundle(wrong).error().code, ErrorCode::invalid_argument);
    wrong = inputs;
    wrong.record.version = 0;
    EXPECT_EQ(build_bundle(wrong).error().code, ErrorCode::malformed);
}

}  // namespace
}  // namespace fiducial::evidence
