#include "store/impl/convert.hpp"

#include <boost/json.hpp>

#include "base/hex.hpp"
#include "base/json.hpp"
#include "crypto/hash.hpp"

namespace fiducial::store {

Result<Hash> hash_of(const std::string& hex, std::string_view what) {
    if (hex.empty()) return kZero32;
    return fixed_from_hex<32>(hex, what);
}
std::string hex_or_empty(const Hash& hash) {
    return hash == kZero32 ? std::string() : to_hex(hash);
}

Result<Uid> uid_of(const std::string& text) {
    if (text.empty()) return Uid();
    return Uid::parse(text);
}

PatientRow patient_row(const PatientColumns& c) {
    PatientRow row;
    row.id = c.id;
    row.patient_id.value = c.patient_id;
    row.issuer.value = c.issuer;
    row.name.value = c.name;
    row.birth_date.value = c.birth_date;
    row.sex = c.sex;
    row.slot = static_cast<Slot>(c.slot);
    return row;
}

Result<StudyRow> study_row(const StudyColumns& c, const PatientColumns& patient) {
    StudyRow row;
    row.id = c.id;
    FID_TRY(row.study_uid, uid_of(c.study_uid));
    row.slot = static_cast<Slot>(c.slot);
    row.patient = patient_row(patient);
    row.date = c.date;
    row.time = c.time;
    row.accession_number.value = c.accession_number;
    row.description.value = c.description;
    row.study_id.value = c.study_id;
    row.referring_physician.value = c.referring_physician;
    row.instance_count = static_cast<std::uint64_t>(c.instance_count);
    row.changed_ms = static_cast<std::uint64_t>(c.changed_ms);
    row.revision = static_cast<std::uint64_t>(c.revision);
    return row;
}

Result<SeriesRow> series_row(const SeriesColumns& c) {
    SeriesRow row;
    row.id = c.id;
    FID_TRY(row.series_uid, uid_of(c.series_uid));
    row.modality = c.modality;
    row.number = c.number;
    row.date = c.date;
    row.time = c.time;
    row.body_part = c.body_part;
    row.description.value = c.description;
    return row;
}

Result<ObjectRow> object_row(const ObjectColumns& c, const Uid& study_uid) {
    ObjectRow row;
    FID_TRY(row.ref.id, fixed_from_hex<32>(c.object_id, "object id"));
    FID_TRY(row.ref.header_hash, hash_of(c.header_hash, "header hash"));
    FID_TRY(row.ref.chunk_root, hash_of(c.chunk_root, "chunk root"));
    row.ref.size = static_cast<std::uint64_t>(c.size);
    row.ref.slot = static_cast<Slot>(c.slot);
    row.ref.location = {static_cast<std::uint32_t>(c.segment), static_cast<std::uint64_t>(c.position)};
    row.kind = static_cast<ObjectKind>(c.kind);
    row.state = static_cast<ObjectState>(c.state);
    row.state_before = static_cast<ObjectState>(c.state_before);
    row.study_uid = study_uid;
    FID_TRY(row.sha256, hash_of(c.sha256, "sha256"));
    FID_TRY(row.pixel_sha256, hash_of(c.pixel_sha256, "pixel sha256"));
    FID_TRY(row.source_sha256, hash_of(c.source_sha256, "source sha256"));
    FID_TRY(row.prefix_sha256, hash_of(c.prefix_sha256, "prefix sha256"));
    FID_TRY(row.fragment_sha256, hash_of(c.fragment_sha256, "fragment sha256"));
    row.prefix_size = static_cast<std::uint64_t>(c.prefix_size);
    row.stored_size = static_cast<std::uint64_t>(c.stored_size);
    row.arrival_ms = static_cast<std::uint64_t>(c.arrival_ms);
    row.source.value = c.source;
    return row;
}

Result<InstanceRow> instance_row(const InstanceColumns& c, const ObjectColumns& object, const Uid& study_uid) {
    InstanceRow row;
    FID_TRY(row.object, object_row(object, study_uid));
    row.study_uid = study_uid;
    FID_TRY(row.series_uid, uid_of(c.series_uid));
    FID_TRY(row.sop_uid, uid_of(c.sop_uid));
    FID_TRY(row.sop_class_uid, uid_of(c.sop_class));
    FID_TRY(row.transfer_syntax_uid, uid_of(c.transfer_syntax));
    row.number = c.number;
    row.rows = static_cast<std::uint64_t>(c.pixel_rows);
    row.columns = static_cast<std::uint64_t>(c.pixel_columns);
    row.frames = static_cast<std::uint64_t>(c.frames);
    return row;
}

Result<StudyVersionRow> version_row(const VersionColumns& c) {
    StudyVersionRow row;
    auto& r = row.record;
    FID_TRY(row.study_uid, uid_of(c.study_uid));
    r.chain_id = std::strtoull(c.chain_id.c_str(), nullptr, 10);
    FID_TRY(r.contract, fixed_from_hex<20>(c.contract, "contract"));
    FID_TRY(r.institution, hash_of(c.institution, "institution"));
    FID_TRY(r.study_key, hash_of(c.study_key, "study key"));
    r.version = static_cast<std::uint64_t>(c.version);
    FID_TRY(r.previous, hash_of(c.previous, "previous"));
    FID_TRY(r.root, hash_of(c.root, "root"));
    r.count = static_cast<std::uint32_t>(c.count);
    FID_TRY(r.patient_ref, hash_of(c.patient_ref, "patient ref"));
    FID_TRY(r.meta, hash_of(c.meta, "meta"));
    FID_TRY(r.uploads, hash_of(c.uploads, "uploads"));
    r.format = static_cast<std::uint16_t>(c.format);
    r.reasons = static_cast<std::uint16_t>(c.reasons);
    FID_TRY(row.manifest, hash_of(c.manifest, "manifest"));
    row.created_ms = static_cast<std::uint64_t>(c.created_ms);
    row.study_revision = c.study_revision < 0 ? 0 : static_cast<std::uint64_t>(c.study_revision);
    return row;
}

VersionColumns version_columns(const StudyVersionRow& row) {
    const auto& r = row.record;
    VersionColumns c;
    c.record_hash = to_hex(r.hash());
    c.study_uid = row.study_uid.text();
    c.version = static_cast<long long>(r.version);
    c.count = r.count;
    c.format = r.format;
    c.reasons = r.reasons;
    c.chain_id = std::to_string(r.chain_id);
    c.contract = to_hex(r.contract);
    c.institution = hex_or_empty(r.institution);
    c.study_key = hex_or_empty(r.study_key);
    c.previous = hex_or_empty(r.previous);
    c.root = hex_or_empty(r.root);
    c.patient_ref = hex_or_empty(r.patient_ref);
    c.meta = hex_or_empty(r.meta);
    c.uploads = hex_or_empty(r.uploads);
    c.manifest = hex_or_empty(row.manifest);
    c.created_ms = static_cast<long long>(row.created_ms);
    c.study_revision = static_cast<long long>(row.study_revision);
    return c;
}

std::string attributes_text(const dicom::Attributes& attributes) {
    if (attributes.empty()) return {};
    boost::json::object out;
    for (const auto& [tag, values] : attributes) {
        boost::json::array list;
        for (const auto& value : values) list.emplace_back(value);
        out.emplace(dicom::tag_text(tag), std::move(list));
    }
    return boost::json::serialize(out);
}

Result<void> add_attributes(dicom::Attributes& to, const std::string& text) {
    if (text.empty()) return {};
    FID_TRY(const auto parsed, json::parse(text, std::size_t{16} << 20));
    const auto* object = parsed.if_object();
    if (object == nullptr) return fail(ErrorCode::corrupt, "index: attributes are not a JSON object");
    for (const auto& [name, list] : *object) {
        const auto tag = dicom::parse_tag(name);
        const auto* array = list.if_array();
        if (!tag || array == nullptr) return fail(ErrorCode::corrupt, "index: an attribute is not one");
        std::vector<std::string> values;
        for (const auto& value : *array) {
            if (const auto* string = value.if_string()) values.emplace_back(string->data(), string->size());
        }
        to.set(*tag, std::move(values));
    }
    return {};
}

std::string patient_key_text(std::string_view patient_id, std::string_view issuer, std::string_view study_uid) {
    if (patient_id.empty()) return "study:" + std::string(study_uid);
    return std::to_string(issuer.size()) + ":" + std::string(issuer) + std::string(patient_id);
}

Result<std::vector<InstanceAndObject>> select_instances(database::Transaction& transaction, const crypto::Secret& row_key,
                                                        const std::string& rest, std::vector<std::string> texts) {
    std::vector<InstanceAndObject> rows;
    InstanceAndObject row;
    Statement select(transaction, "SELECT " + column_list<InstanceColumns>("i") + ", " + column_list<ObjectColumns>("o") +
                                      " FROM instances i JOIN objects o ON o.object_id = i.object_id " + rest);
    for (auto& text : texts) select.in(text);
    bind_out(select, row.instance);
    bind_out(select, row.object);
    FID_CHECK(select.run());
    while (true) {
        FID_TRY(const bool more, select.next());
        if (!more) return rows;
        FID_CHECK(check_mac(row_key, row.instance));
        FID_CHECK(check_mac(row_key, row.object));
        rows.push_back(std::move(row));  // every column of it is set anew
    }
}

Result<std::optional<ObjectColumns>> select_overlay(database::Transaction& transaction, const crypto::Secret& row_key, long long study) {
    const auto current = number_text(ObjectState::current);
    return select_row<ObjectColumns>(transaction, row_key,
                                     "WHERE t.study = :study AND t.kind = 4 AND (t.state = " + current + " OR (t.state = " +
                                         number_text(ObjectState::quarantined) + " AND t.state_before = " + current + "))",
                                     {std::to_string(study)});
}

std::string chain_next(const crypto::Secret& row_key, const std::string& chain, const std::string& instance_mac) {
    Bytes input;
    append_lp(input, as_bytes(chain));
    append_lp(input, as_bytes(instance_mac));
    return to_hex(crypto::tagged_hmac_sha256(row_key.view(), "fid.chain1", {input}));
}

std::string fact_mac(const crypto::Secret& row_key, const std::string& name, const std::string& value) {
    return to_hex(crypto::tagged_hmac_sha256(row_key.view(), "fid.fact1", {as_bytes(name), as_bytes("="), as_bytes(value)}));
}

}  // namespace fiducial::store
