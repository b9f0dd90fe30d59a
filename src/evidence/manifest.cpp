#include "evidence/manifest.hpp"

#include "base/utf8.hpp"

namespace fiducial::evidence {

namespace {

constexpr std::string_view kMagic = "fid.manifest1";
constexpr std::size_t kMaxText = 1024;
constexpr std::size_t kSmallestInstance = 4 * 2 + 2 + 2 * 8 + 7 * 32;

Result<void> check(const Manifest& m) {
    const auto bad = [](std::string_view what) { return fail(ErrorCode::invalid_argument, "manifest: " + std::string(what)); };
    const auto bad_text = [](const PatientText& text) { return text.value.size() > kMaxText || !is_utf8(text.value); };
    if (m.study_instance_uid.empty()) return bad("no Study Instance UID");
    if (m.version == 0 || (m.version == 1) != (m.previous == kZero32)) return bad("`previous` is zero exactly in version 1");
    if (m.reasons == 0 || (m.reasons & ~kAllReasons) != 0 || (m.reasons & kReasonErased) != 0)
        return bad("reasons are none, unknown or erased");
    if (m.patient && (bad_text(m.patient->issuer) || bad_text(m.patient->patient_id)))
        return bad("a patient's identifier is too long or not UTF-8");
    if (m.instances.empty() && (m.reasons & kReasonRemoved) == 0) return bad("no instances, and none removed");
    for (std::size_t i = 0; i < m.instances.size(); ++i) {
        const auto& instance = m.instances[i];
        const auto bad_instance = [&](std::string_view what) { return bad(std::string(what) + " in instance " + std::to_string(i)); };
        if (instance.sop_instance_uid.empty() || instance.transfer_syntax_uid.empty()) return bad_instance("an empty UID");
        if (i > 0 && m.instances[i - 1].sop_instance_uid.text() >= instance.sop_instance_uid.text())
            return bad_instance("UIDs not strictly ascending");
        if (instance.size == 0) return bad_instance("size 0");
        if (bad_text(instance.source)) return bad_instance("a source that is too long or not UTF-8");
    }
    return {};
}

void append_text(Bytes& out, std::string_view text) {
    append_lp(out, as_bytes(text));
}

void append_instance(Bytes& out, const ManifestInstance& i) {
    for (const Uid* uid : {&i.sop_instance_uid, &i.series_instance_uid, &i.sop_class_uid, &i.transfer_syntax_uid})
        append_text(out, uid->text());
    append_be(out, i.size);
    for (const Hash* hash :
         {&i.sha256, &i.chunk_root, &i.source_sha256, &i.overlay_sha256, &i.prefix_sha256, &i.fragment_sha256, &i.pixel_sha256}) {
        append(out, *hash);
    }
    append_be(out, i.arrival_ms);
    append_text(out, i.source.value);
}

Result<Uid> read_uid(ByteReader& reader, std::string_view field) {
    FID_TRY(auto bytes, reader.take_lp(field));
    if (bytes.empty()) return Uid();
    auto uid = Uid::parse(as_text(bytes));
    if (!uid) return fail(uid.error().with(field));
    if (uid->text().size() != bytes.size()) return fail(ErrorCode::malformed, std::string(field) + " carries padding");
    return uid;
}

Result<ManifestInstance> read_instance(ByteReader& reader) {
    ManifestInstance i;
    FID_TRY(i.sop_instance_uid, read_uid(reader, "SOP Instance UID"));
    FID_TRY(i.series_instance_uid, read_uid(reader, "Series Instance UID"));
    FID_TRY(i.sop_class_uid, read_uid(reader, "SOP Class UID"));
    FID_TRY(i.transfer_syntax_uid, read_uid(reader, "Transfer Syntax UID"));
    FID_TRY(i.size, reader.u64("size"));
    for (Hash* hash :
         {&i.sha256, &i.chunk_root, &i.source_sha256, &i.overlay_sha256, &i.prefix_sha256, &i.fragment_sha256, &i.pixel_sha256}) {
        FID_TRY(*hash, reader.array<32>("a hash of an instance"));
    }
    FID_TRY(i.arrival_ms, reader.u64("arrival"));
    FID_TRY(auto source, reader.take_lp("source"));
    i.source.value = as_text(source);
    return i;
}

}  // namespace

InstanceBody ManifestInstance::body() const {
    return {sop_instance_uid, transfer_syntax_uid, size, sha256, chunk_root, source_sha256, overlay_sha256};
}

Result<Bytes> Manifest::encode() const {
    FID_CHECK(check(*this));
    Bytes out = to_bytes(as_bytes(kMagic));
    append_text(out, study_instance_uid.text());
    append_be(out, version);
    append(out, previous);
    append_be(out, reasons);
    out.push_back(patient ? 1 : 0);
    if (patient) {
        append_text(out, patient->issuer.value);
        append_text(out, patient->patient_id.value);
    }
    append_text(out, linked_study.text());
    append_be(out, static_cast<std::uint32_t>(instances.size()));
    for (const auto& instance : instances) append_instance(out, instance);
    if (out.size() > kMaxManifestBytes)
        return fail(ErrorCode::invalid_argument, "manifest: larger than " + std::to_string(kMaxManifestBytes) + " bytes");
    return out;
}

Result<Manifest> Manifest::decode(ByteView bytes) {
    if (bytes.size() > kMaxManifestBytes)
        return fail(ErrorCode::limit_exceeded, "a manifest of " + std::to_string(bytes.size()) + " bytes");
    ByteReader reader(bytes);
    Manifest m;
    FID_TRY(auto magic, reader.take(kMagic.size(), "magic"));
    if (as_text(magic) != kMagic) return fail(ErrorCode::malformed, "these bytes are no manifest of a known format");
    FID_TRY(m.study_instance_uid, read_uid(reader, "Study Instance UID"));
    FID_TRY(m.version, reader.u64("version"));
    FID_TRY(m.previous, reader.array<32>("previous"));
    FID_TRY(m.reasons, reader.u16("reasons"));
    FID_TRY(auto has_patient, reader.u8("patient flag"));
    if (has_patient > 1) return fail(ErrorCode::malformed, "a manifest's patient flag is neither 0 nor 1");
    if (has_patient == 1) {
        m.patient.emplace();
        FID_TRY(auto issuer, reader.take_lp("issuer"));
        FID_TRY(auto patient_id, reader.take_lp("patient id"));
        m.patient->issuer.value = as_text(issuer);
        m.patient->patient_id.value = as_text(patient_id);
    }
    FID_TRY(m.linked_study, read_uid(reader, "linked study"));
    FID_TRY(auto count, reader.u32("count"));
    if (count > reader.remaining() / kSmallestInstance) return fail(ErrorCode::malformed, "a manifest counts more instances than it holds");
    m.instances.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        auto instance = read_instance(reader);
        if (!instance) return fail(instance.error().with("manifest instance " + std::to_string(i)));
        m.instances.push_back(*std::move(instance));
    }
    if (!reader.at_end()) return fail(ErrorCode::malformed, "a manifest goes on after its last instance");
    if (auto checked = check(m); !checked) return fail(ErrorCode::malformed, checked.error().message);
    return m;
}

std::vector<InstanceBody> Manifest::bodies() const {
    std::vector<InstanceBody> out;
    out.reserve(instances.size());
    for (const auto& instance : instances) out.push_back(instance.body());
    return out;
}

}  // namespace fiducial::evidence
