#include "evidence/study_record.hpp"

#include "crypto/hash.hpp"
#include "crypto/merkle.hpp"

namespace fiducial::evidence {

namespace {

Bytes lp(ByteView bytes) {
    Bytes out;
    append_lp(out, bytes);
    return out;
}

template <typename Integer>
void append_word(Bytes& out, Integer value) {
    out.insert(out.end(), 32 - sizeof(Integer), 0);
    append_be(out, value);
}

std::string_view without_outer_spaces(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

Result<Uid> exact_uid(ByteView bytes, std::string_view field) {
    auto uid = Uid::parse(as_text(bytes));
    if (!uid) return fail(uid.error().with(field));
    if (uid->text() != as_text(bytes)) return fail(ErrorCode::malformed, std::string(field) + " carries padding");
    return uid;
}

}  // namespace

Bytes InstanceBody::encode() const {
    Bytes out;
    append_lp(out, as_bytes(sop_instance_uid.text()));
    append_lp(out, as_bytes(transfer_syntax_uid.text()));
    append_be(out, size);
    for (const Hash* hash : {&sha256, &chunk_root, &source_sha256, &overlay_sha256}) append(out, *hash);
    return out;
}

Result<InstanceBody> InstanceBody::decode(ByteView bytes) {
    ByteReader reader(bytes);
    InstanceBody body;
    FID_TRY(auto instance, reader.take_lp("SOP Instance UID"));
    FID_TRY(body.sop_instance_uid, exact_uid(instance, "SOP Instance UID"));
    FID_TRY(auto syntax, reader.take_lp("Transfer Syntax UID"));
    FID_TRY(body.transfer_syntax_uid, exact_uid(syntax, "Transfer Syntax UID"));
    FID_TRY(body.size, reader.u64("size"));
    FID_TRY(body.sha256, reader.array<32>("sha256"));
    FID_TRY(body.chunk_root, reader.array<32>("chunk_root"));
    FID_TRY(body.source_sha256, reader.array<32>("source_sha256"));
    FID_TRY(body.overlay_sha256, reader.array<32>("overlay_sha256"));
    if (body.size == 0) return fail(ErrorCode::malformed, "an instance body speaks of a data set of no bytes");
    if (!reader.at_end()) return fail(ErrorCode::malformed, "an instance body goes on after its end");
    return body;
}

StudySecrets::StudySecrets(const crypto::Secret& k) : k_(k.clone()) {
    FID_INVARIANT(k.size() == 32, "a study's secret K has 32 bytes");
}

Hash StudySecrets::blind() const {
    return crypto::hmac_sha256(k_.view(), {as_bytes("study")});
}
Hash StudySecrets::link() const {
    return crypto::hmac_sha256(k_.view(), {as_bytes("link")});
}
Hash StudySecrets::scope() const {
    return crypto::hmac_sha256(k_.view(), {as_bytes("scope")});
}
Hash StudySecrets::meta_key() const {
    return crypto::hmac_sha256(k_.view(), {as_bytes("meta")});
}
Hash StudySecrets::upload_key() const {
    return crypto::hmac_sha256(k_.view(), {as_bytes("upload")});
}
Hash StudySecrets::leaf_salt(const InstanceBody& body) const {
    return crypto::tagged_hmac_sha256(k_.view(), "fid.leaf1", {body.encode()});
}
Hash StudySecrets::leaf(const InstanceBody& body) const {
    return instance_leaf(leaf_salt(body), body);
}

Hash instance_leaf(const Hash& salt, const InstanceBody& body) {
    return crypto::tagged_leaf_sha256("fid.leaf1", {salt, body.encode()});
}

Hash study_key(const Hash& blind, const Uid& study_instance_uid) {
    return crypto::tagged_sha256("fid.study1", {blind, lp(as_bytes(study_instance_uid.text()))});
}

Result<Hash> patient_key(const crypto::Secret& p, const PatientText& issuer, const PatientText& patient_id) {
    FID_INVARIANT(p.size() == 32, "a patient's secret P has 32 bytes");
    const auto issuer_text = without_outer_spaces(issuer.value);
    const auto id_text = without_outer_spaces(patient_id.value);
    if (issuer_text.size() > 0xFFFF || id_text.size() > 0xFFFF) {
        return fail(ErrorCode::limit_exceeded, "a patient's identifier is longer than 65535 bytes");
    }
    return crypto::tagged_sha256("fid.patient1", {p.view(), lp(as_bytes(issuer_text)), lp(as_bytes(id_text))});
}

Hash patient_ref(const Hash& link, const Hash& patient_key) {
    return crypto::tagged_sha256("fid.link1", {link, patient_key});
}
Hash scope_ref(const Hash& scope) {
    return crypto::tagged_sha256("fid.scope1", {scope});
}

Hash meta_hash(const StudySecrets& secrets, ByteView manifest_bytes) {
    return crypto::tagged_sha256("fid.meta1", {secrets.meta_key(), crypto::sha256(manifest_bytes)});
}

Result<Hash> uploads_hash(const StudySecrets& secrets, std::span<const Upload> uploads) {
    if (uploads.empty()) return kZero32;
    Bytes list;
    for (const auto& upload : uploads) {
        if (upload.person_or_device.size() > 0xFFFF || upload.signature.size() > 0xFFFF) {
            return fail(ErrorCode::limit_exceeded, "an upload's id or signature is longer than 65535 bytes");
        }
        append_lp(list, as_bytes(upload.person_or_device));
        append(list, upload.digest);
        append_lp(list, upload.signature);
    }
    return crypto::tagged_sha256("fid.upload1", {secrets.upload_key(), list});
}

Result<StudyTree> study_tree(const StudySecrets& secrets, std::span<const InstanceBody> bodies) {
    if (bodies.size() > 0xFFFFFFFFu) return fail(ErrorCode::limit_exceeded, "a study version of more than 2^32-1 instances");
    StudyTree tree;
    tree.leaves.reserve(bodies.size());
    for (std::size_t i = 0; i < bodies.size(); ++i) {
        if (i > 0 && bodies[i - 1].sop_instance_uid.text() >= bodies[i].sop_instance_uid.text()) {
            return fail(ErrorCode::invalid_argument,
                        "the instances of a study version are not strictly ascending by UID, at index " + std::to_string(i));
        }
        tree.leaves.push_back(secrets.leaf(bodies[i]));
    }
    tree.root = crypto::merkle_root(tree.leaves);
    tree.count = static_cast<std::uint32_t>(bodies.size());
    return tree;
}

std::string reasons_text(std::uint16_t reasons) {
    static constexpr std::array<std::string_view, 5> names{"new", "added", "corrected", "removed", "erased"};
    std::string out;
    for (std::size_t bit = 0; bit < names.size(); ++bit) {
        if ((reasons >> bit & 1) == 0) continue;
        if (!out.empty()) out += ", ";
        out += names[bit];
    }
    return out;
}

Bytes StudyRecord::abi_encoded() const {
    Bytes out;
    out.reserve(14 * 32);
    Bytes32 tag{};
    std::memcpy(tag.data(), "fid.record1", 11);
    append(out, tag);
    append_word(out, chain_id);
    out.insert(out.end(), 12, 0);
    append(out, contract);
    append(out, institution);
    append(out, study_key);
    append_word(out, version);
    append(out, previous);
    append(out, root);
    append_word(out, count);
    append(out, patient_ref);
    append(out, meta);
    append(out, uploads);
    append_word(out, format);
    append_word(out, reasons);
    return out;
}

Hash StudyRecord::hash() const {
    return crypto::keccak256(abi_encoded());
}

Result<void> check_record(const StudyRecord& record) {
    const auto bad = [](std::string_view what) { return fail(ErrorCode::malformed, "study record: " + std::string(what)); };
    if (record.version == 0) return bad("version 0");
    if ((record.version == 1) != (record.previous == kZero32)) return bad("`previous` is zero exactly in version 1");
    if (record.format != kRecordFormat) return bad("format " + std::to_string(record.format) + " is unknown");
    if (record.reasons == 0 || (record.reasons & ~kAllReasons) != 0)
        return bad("reasons " + std::to_string(record.reasons) + " are none or unknown");
    const bool erased = (record.reasons & kReasonErased) != 0;
    const bool may_be_empty = erased || (record.reasons & kReasonRemoved) != 0;
    if ((record.count == 0 && !may_be_empty) || (erased && record.count != 0))
        return bad("count is 0 exactly when the study is erased, or all of it was removed");
    if ((record.count == 0) != (record.root == crypto::merkle_empty_root()))
        return bad("the root is that of no leaves exactly when count is 0");
    if (erased != (record.meta == kZero32)) return bad("`meta` is zero exactly when the study is erased");
    return {};
}

StudyRecord erasure_record(const StudyRecord& last) {
    StudyRecord out = last;
    out.version = last.version + 1;
    out.previous = last.hash();
    out.root = crypto::merkle_empty_root();
    out.count = 0;
    out.meta = kZero32;
    out.uploads = kZero32;
    out.format = kRecordFormat;
    out.reasons = kReasonErased;
    return out;
}

Hash slot_key(const Bytes32& institution, const Hash& study_key, std::uint64_t version) {
    Bytes out;
    append(out, institution);
    append(out, study_key);
    append_word(out, version);
    return crypto::keccak256(out);
}

Hash storage_key(const Hash& slot_key, std::uint64_t mapping_slot) {
    Bytes out = to_bytes(slot_key);
    append_word(out, mapping_slot);
    return crypto::keccak256(out);
}

}  // namespace fiducial::evidence
