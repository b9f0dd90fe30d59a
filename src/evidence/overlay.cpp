#include "evidence/overlay.hpp"

#include "base/utf8.hpp"
#include "crypto/hash.hpp"

namespace fiducial::evidence {
namespace {

constexpr std::string_view kMagic = "fid.overlay1";
constexpr std::size_t kMaxText = 1024;
constexpr std::size_t kMostEdits = 1024;
constexpr std::size_t kSmallestEdit = 4 + 2 + 1;

Result<void> check(const Overlay& o) {
    const auto bad = [](std::string_view what) { return fail(ErrorCode::invalid_argument, "overlay: " + std::string(what)); };
    const auto fits = [](const std::string& text) { return text.size() <= kMaxText && is_utf8(text); };
    if (o.study_instance_uid.empty()) return bad("no Study Instance UID");
    if (o.reason.empty() || !fits(o.reason)) return bad("the reason is missing, too long, or not UTF-8");
    for (const auto* patient : {&o.patient_in_data_sets, &o.patient}) {
        if (!fits(patient->issuer.value) || !fits(patient->patient_id.value)) return bad("a patient's identifier is too long or not UTF-8");
    }
    if (o.edits.size() > kMostEdits) return bad("too many attributes");
    for (std::size_t i = 0; i < o.edits.size(); ++i) {
        const auto& edit = o.edits[i];
        if (i > 0 && o.edits[i - 1].tag >= edit.tag) return bad("tags not strictly ascending");
        if (edit.tag >> 16 < 8 || (edit.tag & 0xffff) == 0) return bad("a tag that no data set has at its top level");
        const auto capital = [](char c) { return c >= 'A' && c <= 'Z'; };
        if (edit.vr.size() != 2 || !capital(edit.vr[0]) || !capital(edit.vr[1])) return bad("a VR that is none");
        if (edit.value && !fits(*edit.value)) return bad("a value that is too long or not UTF-8");
    }
    return {};
}

Result<std::string> take_text(ByteReader& reader, std::string_view field) {
    FID_TRY(const auto bytes, reader.take_lp(field));
    return std::string(as_text(bytes));
}

Hash digest_of(ByteView unsigned_bytes) {
    return crypto::tagged_sha256(kMagic, {unsigned_bytes});
}

}  // namespace

Result<Bytes> Overlay::encode_unsigned() const {
    FID_CHECK(check(*this));
    Bytes out = to_bytes(as_bytes(kMagic));
    append_lp(out, as_bytes(study_instance_uid.text()));
    append(out, previous);
    append(out, person);
    append_be(out, at_ms);
    append_lp(out, as_bytes(reason));
    for (const auto* whose : {&patient_in_data_sets, &patient}) {
        append_lp(out, as_bytes(whose->issuer.value));
        append_lp(out, as_bytes(whose->patient_id.value));
    }
    append_be(out, static_cast<std::uint16_t>(edits.size()));
    for (const auto& edit : edits) {
        append_be(out, edit.tag);
        append(out, as_bytes(edit.vr));
        out.push_back(edit.value ? 1 : 0);
        if (edit.value) append_lp(out, as_bytes(*edit.value));
    }
    if (out.size() > kMaxOverlayBytes - 65) return fail(ErrorCode::invalid_argument, "overlay: too long");
    return out;
}

Result<void> Overlay::sign(const crypto::Secret& gateway_key) {
    FID_TRY(const auto bytes, encode_unsigned());
    FID_TRY(signature, crypto::sign_recoverable(gateway_key, digest_of(bytes)));
    return {};
}

Result<Address> Overlay::signer() const {
    FID_TRY(const auto bytes, encode_unsigned());
    auto account = crypto::recover_address(digest_of(bytes), signature);
    if (!account) return fail(ErrorCode::unverified, "a correction carries nobody's signature");
    return account;
}

Result<void> Overlay::check_signature(const Address& gateway) const {
    const auto account = signer();
    if (account && *account == gateway) return {};
    return fail(ErrorCode::unverified, "a correction was not signed by this institution's gateway");
}

Result<Bytes> Overlay::encode() const {
    FID_TRY(auto out, encode_unsigned());
    append(out, signature.serialised());
    return out;
}

Result<Overlay> Overlay::decode(ByteView bytes) {
    if (bytes.size() > kMaxOverlayBytes) return fail(ErrorCode::limit_exceeded, "an overlay of " + std::to_string(bytes.size()) + " bytes");
    ByteReader reader(bytes);
    Overlay o;
    FID_TRY(const auto magic, reader.take(kMagic.size(), "magic"));
    if (as_text(magic) != kMagic) return fail(ErrorCode::malformed, "these bytes are no overlay of a known format");
    FID_TRY(const auto uid_text, take_text(reader, "Study Instance UID"));
    FID_TRY(o.study_instance_uid, Uid::parse(uid_text));
    if (o.study_instance_uid.text() != uid_text) return fail(ErrorCode::malformed, "a Study Instance UID carries padding");
    FID_TRY(o.previous, reader.array<32>("previous"));
    FID_TRY(o.person, reader.array<32>("person"));
    FID_TRY(o.at_ms, reader.u64("time"));
    FID_TRY(o.reason, take_text(reader, "reason"));
    for (auto* whose : {&o.patient_in_data_sets, &o.patient}) {
        FID_TRY(whose->issuer.value, take_text(reader, "issuer"));
        FID_TRY(whose->patient_id.value, take_text(reader, "patient id"));
    }
    FID_TRY(const auto count, reader.u16("count"));
    if (count > reader.remaining() / kSmallestEdit) return fail(ErrorCode::malformed, "an overlay counts more attributes than it holds");
    o.edits.reserve(count);
    for (std::uint16_t i = 0; i < count; ++i) {
        Edit edit;
        FID_TRY(edit.tag, reader.u32("tag"));
        FID_TRY(const auto vr, reader.take(2, "VR"));
        edit.vr = as_text(vr);
        FID_TRY(const auto has_value, reader.u8("value flag"));
        if (has_value > 1) return fail(ErrorCode::malformed, "an overlay's value flag is neither 0 nor 1");
        if (has_value == 1) {
            FID_TRY(edit.value, take_text(reader, "value"));
        }
        o.edits.push_back(std::move(edit));
    }
    FID_TRY(const auto signature, reader.take(65, "signature"));
    FID_TRY(o.signature, crypto::RecoverableSignature::parse(signature));
    if (signature[64] > 1) return fail(ErrorCode::malformed, "an overlay's signature is written otherwise");
    if (!reader.at_end()) return fail(ErrorCode::malformed, "an overlay goes on after its signature");
    if (auto checked = check(o); !checked) return fail(ErrorCode::malformed, checked.error().message);
    return o;
}

}  // namespace fiducial::evidence
