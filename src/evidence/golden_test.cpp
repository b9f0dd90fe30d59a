// What test/vectors/evidence/generate.py computed, computed again.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "crypto/merkle.hpp"
#include "evidence/evidence_test_support.hpp"
#include "evidence/manifest.hpp"
#include "evidence/overlay.hpp"
#include "evidence/verifier.hpp"

namespace fiducial::evidence {
namespace {

namespace bj = boost::json;

const bj::object& vectors() {
    static const bj::value value = [] {
        const auto bytes = read_file(FIDUCIAL_SOURCE_DIR "/test/vectors/evidence/vectors.json", 1 << 24).value();
        return json::parse(as_text(bytes), 1 << 24).value();
    }();
    return value.as_object();
}
std::string text_of(const bj::value& value) {
    return std::string(value.as_string());
}
Bytes bytes_of(const bj::value& value) {
    return from_hex(text_of(value)).value();
}
Hash hash_of(const bj::value& value) {
    return fixed_from_hex<32>(text_of(value), "vector").value();
}
std::uint64_t number_of(const bj::value& value) {
    return value.is_string() ? std::stoull(text_of(value)) : value.to_number<std::uint64_t>();
}

InstanceBody body_from(const bj::object& o) {
    return {Uid::parse(text_of(o.at("sop_instance_uid"))).value(),
            Uid::parse(text_of(o.at("transfer_syntax_uid"))).value(),
            number_of(o.at("size")),
            hash_of(o.at("sha256")),
            hash_of(o.at("chunk_root")),
            hash_of(o.at("source_sha256")),
            hash_of(o.at("overlay_sha256"))};
}

TEST(Golden, Keccak256) {
    for (const auto& item : vectors().at("keccak256").as_array()) {
        EXPECT_EQ(crypto::keccak256(bytes_of(item.at("in"))), hash_of(item.at("out")));
    }
}

TEST(Golden, DataSets) {
    for (const auto& item : vectors().at("data_sets").as_array()) {
        const auto found = fingerprint_of(filler(text_of(item.at("name")), number_of(item.at("size"))));
        EXPECT_EQ(found.size, number_of(item.at("size")));
        EXPECT_EQ(found.sha256, hash_of(item.at("sha256")));
        EXPECT_EQ(found.chunk_root, hash_of(item.at("chunk_root"))) << item.at("name");
        Bytes all;
        for (const auto& hash : found.chunk_hashes) append(all, hash);
        EXPECT_EQ(crypto::sha256(all), hash_of(item.at("chunk_hashes_sha256")));
    }
}

TEST(Golden, Study) {
    const auto& v = vectors().at("study").as_object();
    const StudySecrets secrets(crypto::Secret::copy_of(bytes_of(v.at("K"))));
    const auto p = crypto::Secret::copy_of(bytes_of(v.at("P")));
    std::vector<InstanceBody> bodies;
    for (const auto& item : v.at("bodies").as_array()) {
        bodies.push_back(body_from(item.as_object()));
        EXPECT_EQ(bodies.back().encode(), bytes_of(item.at("encoded")));
        EXPECT_EQ(secrets.leaf_salt(bodies.back()), hash_of(item.at("salt")));
        EXPECT_EQ(secrets.leaf(bodies.back()), hash_of(item.at("leaf")));
    }
    const auto& roots = v.at("roots").as_array();
    for (std::size_t n = 1; n <= bodies.size(); ++n) {
        EXPECT_EQ(study_tree(secrets, std::span(bodies).first(n)).value().root, hash_of(roots.at(n - 1)));
    }
    EXPECT_EQ(secrets.blind(), hash_of(v.at("blind")));
    EXPECT_EQ(secrets.link(), hash_of(v.at("link")));
    EXPECT_EQ(secrets.scope(), hash_of(v.at("scope")));
    EXPECT_EQ(study_key(secrets.blind(), Uid::parse(text_of(v.at("study_instance_uid"))).value()), hash_of(v.at("study_key")));
    const Hash patient = patient_key(p, {{}, text_of(v.at("issuer"))}, {{}, text_of(v.at("patient_id"))}).value();
    EXPECT_EQ(patient, hash_of(v.at("patient_key")));
    EXPECT_EQ(patient_ref(secrets.link(), patient), hash_of(v.at("patient_ref")));
    EXPECT_EQ(scope_ref(secrets.scope()), hash_of(v.at("scope_ref")));
    EXPECT_EQ(meta_hash(secrets, bytes_of(v.at("manifest"))), hash_of(v.at("meta")));
    std::vector<Upload> uploads;
    for (const auto& item : v.at("uploads").as_array()) {
        uploads.push_back({text_of(item.at("id")), hash_of(item.at("digest")), bytes_of(item.at("signature"))});
    }
    EXPECT_EQ(uploads_hash(secrets, uploads).value(), hash_of(v.at("uploads_hash")));
}

TEST(Golden, Records) {
    for (const auto& item : vectors().at("records").as_array()) {
        StudyRecord r;
        r.chain_id = number_of(item.at("chain_id"));
        r.contract = fixed_from_hex<20>(text_of(item.at("contract")), "contract").value();
        r.institution = hash_of(item.at("institution"));
        r.study_key = hash_of(item.at("study_key"));
        r.version = number_of(item.at("version"));
        r.previous = hash_of(item.at("previous"));
        r.root = hash_of(item.at("root"));
        r.count = static_cast<std::uint32_t>(number_of(item.at("count")));
        r.patient_ref = hash_of(item.at("patient_ref"));
        r.meta = hash_of(item.at("meta"));
        r.uploads = hash_of(item.at("uploads"));
        r.format = static_cast<std::uint16_t>(number_of(item.at("format")));
        r.reasons = static_cast<std::uint16_t>(number_of(item.at("reasons")));
        EXPECT_TRUE(check_record(r));
        EXPECT_EQ(r.abi_encoded(), bytes_of(item.at("abi")));
        EXPECT_EQ(r.hash(), hash_of(item.at("hash")));
        const Hash slot = slot_key(r.institution, r.study_key, r.version);
        EXPECT_EQ(slot, hash_of(item.at("slot_key")));
        EXPECT_EQ(storage_key(slot, 2), hash_of(item.at("storage_key_slot_2")));
    }
}

TEST(Golden, Manifests) {
    const auto& list = vectors().at("manifests").as_array();
    const Bytes first = bytes_of(list.at(0));
    const auto m = Manifest::decode(first).value();
    EXPECT_EQ(m.encode().value(), first);
    EXPECT_EQ(m.version, 2u);
    EXPECT_EQ(m.previous, named_hash("v1"));
    EXPECT_EQ(m.reasons, kReasonAdded | kReasonCorrected);
    EXPECT_EQ(m.patient->issuer.value, " Klinik");
    EXPECT_EQ(m.linked_study.text(), "1.2.99");
    ASSERT_EQ(m.instances.size(), 2u);
    EXPECT_EQ(m.instances[0].body(), body_from(vectors().at("study").at("bodies").at(0).as_object()));
    EXPECT_EQ(m.instances[0].prefix_sha256, named_hash("prefix"));
    EXPECT_EQ(m.instances[0].fragment_sha256, named_hash("f"));
    EXPECT_EQ(m.instances[0].pixel_sha256, named_hash("px"));
    EXPECT_EQ(m.instances[0].arrival_ms, 1795377600123u);
    EXPECT_EQ(m.instances[0].source.value, "AE MODALITY1");
    EXPECT_EQ(m.instances[0].series_instance_uid.text(), "1.2.3.0");
    EXPECT_EQ(m.instances[0].sop_class_uid.text(), "1.2.840.10008.5.1.4.1.1.1");
    EXPECT_TRUE(m.instances[1].series_instance_uid.empty());
    const Bytes second = bytes_of(list.at(1));
    const auto bare = Manifest::decode(second).value();
    EXPECT_FALSE(bare.patient);
    EXPECT_EQ(bare.encode().value(), second);
}

TEST(Golden, AManifestOfAnEmptiedStudy) {
    const Bytes bytes = bytes_of(vectors().at("manifests").as_array().at(2));
    const auto m = Manifest::decode(bytes).value();
    EXPECT_EQ(m.encode().value(), bytes);
    EXPECT_EQ(m.reasons, kReasonRemoved);
    EXPECT_TRUE(m.instances.empty());
}

TEST(Golden, Overlay) {
    const auto& vector = vectors().at("overlay").as_object();
    const Bytes bytes = bytes_of(vector.at("bytes"));
    const auto key = crypto::Secret::copy_of(bytes_of(vector.at("key")));
    auto overlay = Overlay::decode(bytes).value();
    EXPECT_EQ(overlay.encode().value(), bytes);
    EXPECT_TRUE(overlay.check_signature(crypto::address_of(key).value()));
    EXPECT_EQ(overlay.previous, named_hash("overlay before"));
    EXPECT_EQ(overlay.person, named_hash("ada"));
    EXPECT_EQ(overlay.at_ms, 1795377600123u);
    EXPECT_EQ(overlay.patient_in_data_sets.patient_id.value, "\xD0\x96-7");
    EXPECT_EQ(overlay.patient.patient_id.value, "4711");
    ASSERT_EQ(overlay.edits.size(), 4u);
    EXPECT_EQ(overlay.edits[0], (Overlay::Edit{0x00100010, "PN", "M\xC3\xBCller^Eva"}));
    EXPECT_EQ(overlay.edits[2].value, "");
    EXPECT_FALSE(overlay.edits[3].value);
    overlay.signature = {};
    ASSERT_TRUE(overlay.sign(key));
    EXPECT_EQ(overlay.encode().value(), bytes) << "signatures are deterministic";
}

TEST(Golden, TrustFiles) {
    const auto& v = vectors().at("trust").as_object();
    const std::string first = text_of(v.at("first")), second = text_of(v.at("second"));
    EXPECT_EQ(TrustFile::parse(first).value().serialise().value(), first);
    EXPECT_EQ(TrustFile::parse(second).value().serialise().value(), second);
    EXPECT_EQ(trust_file_sha256(first), hash_of(v.at("first_sha256")));
    EXPECT_EQ(trust_signing_digest(hash_of(v.at("second_sha256"))), hash_of(v.at("signing_digest")));
    std::vector<crypto::RecoverableSignature> signatures;
    const auto& keys = v.at("signer_keys").as_array();
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const Bytes expected = bytes_of(v.at("signatures").at(i));
        const auto signature = sign_trust_file(crypto::Secret::copy_of(bytes_of(keys[i])), second).value();
        EXPECT_EQ(to_hex(signature.r) + to_hex(signature.s), to_hex(ByteView(expected).first(64)));
        EXPECT_EQ(signature.v, expected.back());
        signatures.push_back(crypto::RecoverableSignature::parse(expected).value());
    }
    EXPECT_TRUE(verify_succession(first, second, signatures));
    EXPECT_FALSE(verify_succession(first, second, std::span(signatures).first(1)));
}

TEST(Golden, Bundles) {
    for (const auto& item : vectors().at("bundles").as_array()) {
        const std::string text = text_of(item.at("bundle")), trust = text_of(item.at("trust"));
        EXPECT_EQ(Bundle::decode(text).value().encode().value(), text);
        FileFingerprinter fingerprinter;
        Bytes data_set = filler(text_of(item.at("data_set")), number_of(item.at("data_set_size")));
        fingerprinter.update(data_set);
        const Report report = verify(text, trust, fingerprinter.finish());
        EXPECT_EQ(report.verdict, Verdict::verified) << report.to_text();
        EXPECT_EQ(report.record_hash, hash_of(item.at("record_hash")));
        EXPECT_EQ(report.block, number_of(item.at("block")));
        EXPECT_EQ(report.signers, number_of(item.at("signers")));
        EXPECT_EQ(report.self_sealed, report.signers == 1);
        EXPECT_EQ(report.statements.back().state,
                  item.at("later_exists").as_bool() ? StatementState::refuted : StatementState::established);
        FileFingerprint source;
        source.file_sha256 = hash_of(item.at("source_sha256"));
        EXPECT_EQ(verify(text, trust, source).verdict, Verdict::verified);
        data_set[0] ^= 1;
        fingerprinter = {};
        fingerprinter.update(data_set);
        EXPECT_EQ(verify(text, trust, fingerprinter.finish()).verdict, Verdict::mismatch);
        EXPECT_EQ(verify(text, {}, {}).verdict, Verdict::trust_unverified);
    }
}

}  // namespace
}  // namespace fiducial::evidence
