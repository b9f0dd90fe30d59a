#include "evidence/bundle.hpp"

#include "base/hex.hpp"
#include "crypto/merkle.hpp"
#include "evidence/canonical_json.hpp"

namespace fiducial::evidence {

namespace {

constexpr std::string_view kFormat = "fid.bundle1";
constexpr std::size_t kMaxPath = 32;  // a study has fewer than 2^32 instances

struct Limit {
    const std::vector<Bytes>* list;
    std::size_t max_items;
    std::size_t max_bytes;
    std::string_view what;
};

Result<void> check_limits(const Bundle& bundle) {
    const auto bad = [](std::string_view what) { return fail(ErrorCode::invalid_argument, "evidence bundle: " + std::string(what)); };
    if (bundle.study_instance_uid.empty()) return bad("no Study Instance UID");
    if (bundle.instances.empty() || bundle.instances.size() > kMaxBundleInstances) return bad("no instances, or more than 4096");
    for (std::size_t i = 0; i < bundle.instances.size(); ++i) {
        const auto& instance = bundle.instances[i];
        if (instance.path.size() > kMaxPath) return bad("a path of more than 32 hashes");
        if (instance.body.sop_instance_uid.empty() || instance.body.transfer_syntax_uid.empty() || instance.body.size == 0)
            return bad("an instance body is incomplete");
        if (i == 0) continue;
        const auto& before = bundle.instances[i - 1];
        if (before.index >= instance.index || before.body.sop_instance_uid.text() >= instance.body.sop_instance_uid.text()) {
            return bad("instances are not strictly ascending by index and UID");
        }
    }
    for (const Limit& limit : {Limit{&bundle.headers, kMaxBundleHeaders, kMaxHeaderBytes, "headers"},
                               Limit{&bundle.account_proof, kMaxProofNodes, kMaxProofNodeBytes, "account_proof"},
                               Limit{&bundle.storage_proof, kMaxProofNodes, kMaxProofNodeBytes, "storage_proof"},
                               Limit{&bundle.next_storage_proof, kMaxProofNodes, kMaxProofNodeBytes, "next_storage_proof"}}) {
        if (limit.list->empty() || limit.list->size() > limit.max_items) return bad(std::string(limit.what) + ": none, or too many");
        for (const auto& item : *limit.list) {
            if (item.size() > limit.max_bytes) return bad(std::string(limit.what) + ": an item that is too long");
        }
    }
    return {};
}

JsonValue::Array hex_list(const std::vector<Bytes>& list) {
    JsonValue::Array out;
    for (const auto& item : list) out.emplace_back(to_0x(item));
    return out;
}

JsonValue::Object instance_json(const BundleInstance& instance) {
    JsonValue::Array path;
    for (const auto& hash : instance.path) path.emplace_back(to_0x(hash));
    const auto& body = instance.body;
    return {{"body", JsonValue::Object{{"chunk_root", to_0x(body.chunk_root)},
                                       {"overlay_sha256", to_0x(body.overlay_sha256)},
                                       {"sha256", to_0x(body.sha256)},
                                       {"size", body.size},
                                       {"sop_instance_uid", body.sop_instance_uid.text()},
                                       {"source_sha256", to_0x(body.source_sha256)},
                                       {"transfer_syntax_uid", body.transfer_syntax_uid.text()}}},
            {"index", std::uint64_t{instance.index}},
            {"path", std::move(path)},
            {"salt", to_0x(instance.salt)}};
}

JsonValue::Object record_json(const StudyRecord& record) {
    return {{"chain_id", record.chain_id},
            {"contract", to_0x(record.contract)},
            {"count", std::uint64_t{record.count}},
            {"format", std::uint64_t{record.format}},
            {"institution", to_0x(record.institution)},
            {"meta", to_0x(record.meta)},
            {"patient_ref", to_0x(record.patient_ref)},
            {"previous", to_0x(record.previous)},
            {"reasons", std::uint64_t{record.reasons}},
            {"root", to_0x(record.root)},
            {"uploads", to_0x(record.uploads)},
            {"version", record.version}};
}

Result<Uid> read_uid(ObjectReader& reader, std::string_view key) {
    FID_TRY(const auto text, reader.string(key, 64));
    auto uid = Uid::parse(text);
    if (!uid) return fail(uid.error().with(reader.part() + "." + std::string(key)));
    if (uid->text() != text) return fail(ErrorCode::malformed, reader.part() + "." + std::string(key) + ": padding");
    return uid;
}

Result<std::vector<Bytes>> read_hex_list(ObjectReader& reader, std::string_view key, std::size_t max_items, std::size_t max_bytes) {
    FID_TRY(const auto* items, reader.array(key, max_items));
    std::vector<Bytes> out;
    out.reserve(items->size());
    for (const auto& item : *items) {
        FID_TRY(auto bytes, read_hex(item, max_bytes, reader.part() + "." + std::string(key)));
        out.push_back(std::move(bytes));
    }
    return out;
}

Result<BundleInstance> read_instance(const JsonValue& value) {
    FID_TRY(auto reader, ObjectReader::of(value, "bundle.instances"));
    FID_TRY(auto body, reader.object("body"));
    BundleInstance out;
    FID_TRY(out.body.sop_instance_uid, read_uid(body, "sop_instance_uid"));
    FID_TRY(out.body.transfer_syntax_uid, read_uid(body, "transfer_syntax_uid"));
    FID_TRY(out.body.size, body.integer("size", UINT64_MAX));
    FID_TRY(out.body.sha256, body.fixed_hex<32>("sha256"));
    FID_TRY(out.body.chunk_root, body.fixed_hex<32>("chunk_root"));
    FID_TRY(out.body.source_sha256, body.fixed_hex<32>("source_sha256"));
    FID_TRY(out.body.overlay_sha256, body.fixed_hex<32>("overlay_sha256"));
    FID_CHECK(body.done());
    FID_TRY(out.salt, reader.fixed_hex<32>("salt"));
    FID_TRY(const auto index, reader.integer("index", UINT32_MAX));
    out.index = static_cast<std::uint32_t>(index);
    FID_TRY(const auto path, read_hex_list(reader, "path", kMaxPath, 32));
    for (const auto& item : path) {
        FID_TRY(const auto hash, fixed<32>(item, "bundle.instances.path"));
        out.path.push_back(hash);
    }
    FID_CHECK(reader.done());
    return out;
}

Result<StudyRecord> read_record(ObjectReader reader) {
    StudyRecord out;
    FID_TRY(out.chain_id, reader.integer("chain_id", UINT64_MAX));
    FID_TRY(out.contract, reader.fixed_hex<20>("contract"));
    FID_TRY(out.institution, reader.fixed_hex<32>("institution"));
    FID_TRY(out.version, reader.integer("version", UINT64_MAX));
    FID_TRY(out.previous, reader.fixed_hex<32>("previous"));
    FID_TRY(out.root, reader.fixed_hex<32>("root"));
    FID_TRY(const auto count, reader.integer("count", UINT32_MAX));
    FID_TRY(out.patient_ref, reader.fixed_hex<32>("patient_ref"));
    FID_TRY(out.meta, reader.fixed_hex<32>("meta"));
    FID_TRY(out.uploads, reader.fixed_hex<32>("uploads"));
    FID_TRY(const auto format, reader.integer("format", UINT16_MAX));
    FID_TRY(const auto reasons, reader.integer("reasons", UINT16_MAX));
    FID_CHECK(reader.done());
    out.count = static_cast<std::uint32_t>(count);
    out.format = static_cast<std::uint16_t>(format);
    out.reasons = static_cast<std::uint16_t>(reasons);
    return out;
}

Result<void> read_anchor(ObjectReader reader, Bundle& out) {
    FID_TRY(out.slot, reader.integer("slot", UINT64_MAX));
    FID_TRY(out.headers, read_hex_list(reader, "headers", kMaxBundleHeaders, kMaxHeaderBytes));
    FID_TRY(out.account_proof, read_hex_list(reader, "account_proof", kMaxProofNodes, kMaxProofNodeBytes));
    FID_TRY(out.storage_proof, read_hex_list(reader, "storage_proof", kMaxProofNodes, kMaxProofNodeBytes));
    FID_TRY(out.next_storage_proof, read_hex_list(reader, "next_storage_proof", kMaxProofNodes, kMaxProofNodeBytes));
    return reader.done();
}

}  // namespace

Result<std::string> Bundle::encode() const {
    FID_CHECK(check_limits(*this));
    JsonValue::Array instance_list;
    for (const auto& instance : instances) instance_list.emplace_back(instance_json(instance));
    std::string text =
        write_canonical(JsonValue::Object{{"anchor", JsonValue::Object{{"account_proof", hex_list(account_proof)},
                                                                       {"headers", hex_list(headers)},
                                                                       {"next_storage_proof", hex_list(next_storage_proof)},
                                                                       {"slot", slot},
                                                                       {"storage_proof", hex_list(storage_proof)}}},
                                          {"format", kFormat},
                                          {"instances", std::move(instance_list)},
                                          {"record", record_json(record)},
                                          {"study", JsonValue::Object{{"blind", to_0x(blind)}, {"uid", study_instance_uid.text()}}},
                                          {"trust", JsonValue::Object{{"sha256", to_0x(trust_sha256)}, {"version", trust_version}}}});
    if (text.size() > kMaxBundleBytes)
        return fail(ErrorCode::invalid_argument, "evidence bundle: larger than 16 MiB; open fewer instances");
    return text;
}

Result<Bundle> Bundle::decode(std::string_view text) {
    FID_TRY(const JsonValue document, read_canonical(text, {kMaxBundleBytes, 8, 1 << 18}));
    FID_TRY(auto reader, ObjectReader::of(document, "bundle"));
    FID_TRY(const auto format, reader.string("format", 32));
    if (format != kFormat) return fail(ErrorCode::unsupported, "bundle: its format is not fid.bundle1");
    Bundle out;
    FID_TRY(auto trust, reader.object("trust"));
    FID_TRY(out.trust_version, trust.integer("version", UINT64_MAX));
    FID_TRY(out.trust_sha256, trust.fixed_hex<32>("sha256"));
    FID_CHECK(trust.done());
    FID_TRY(auto study, reader.object("study"));
    FID_TRY(out.study_instance_uid, read_uid(study, "uid"));
    FID_TRY(out.blind, study.fixed_hex<32>("blind"));
    FID_CHECK(study.done());
    FID_TRY(auto record, reader.object("record"));
    FID_TRY(out.record, read_record(std::move(record)));
    out.record.study_key = evidence::study_key(out.blind, out.study_instance_uid);
    FID_TRY(const auto* list, reader.array("instances", kMaxBundleInstances));
    for (const auto& item : *list) {
        FID_TRY(auto instance, read_instance(item));
        out.instances.push_back(std::move(instance));
    }
    FID_TRY(auto anchor, reader.object("anchor"));
    FID_CHECK(read_anchor(std::move(anchor), out));
    FID_CHECK(reader.done());
    if (auto checked = check_limits(out); !checked) return fail(ErrorCode::malformed, checked.error().message);
    return out;
}

Result<std::string> build_bundle(const BundleInputs& inputs) {
    FID_INVARIANT(inputs.secrets != nullptr, "a bundle is built with the study's secrets");
    Bundle out{
        inputs.trust_version, inputs.trust_sha256,  inputs.study_instance_uid, inputs.secrets->blind(),  inputs.record, {}, inputs.slot,
        inputs.headers,       inputs.account_proof, inputs.storage_proof,      inputs.next_storage_proof};
    FID_CHECK(check_record(inputs.record));
    FID_TRY(const auto tree, study_tree(*inputs.secrets, inputs.bodies));
    if (study_key(out.blind, out.study_instance_uid) != inputs.record.study_key) {
        return fail(ErrorCode::corrupt, "evidence bundle: the record is not this study's, or the study's secret is another");
    }
    if (tree.root != inputs.record.root || tree.count != inputs.record.count) {
        return fail(ErrorCode::corrupt, "evidence bundle: the instances do not lead to the record's root");
    }
    for (const std::uint32_t index : inputs.shown) {
        if (index >= inputs.bodies.size())
            return fail(ErrorCode::invalid_argument, "evidence bundle: there is no instance " + std::to_string(index));
        const auto& body = inputs.bodies[index];
        out.instances.push_back({body, inputs.secrets->leaf_salt(body), index, crypto::merkle_inclusion_path(tree.leaves, index)});
    }
    return out.encode();
}

}  // namespace fiducial::evidence
