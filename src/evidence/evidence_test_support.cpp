#include "evidence/evidence_test_support.hpp"

#include "crypto/hash.hpp"
#include "crypto/merkle.hpp"
#include "ethereum/clique.hpp"
#include "ethereum/rlp.hpp"
#include "ethereum/trie.hpp"

namespace fiducial::evidence {

Bytes filler(std::string_view name, std::size_t size) {
    Bytes out;
    for (std::uint32_t i = 0; out.size() < size; ++i) {
        Bytes counter;
        append_be(counter, i);
        append(out, crypto::sha256({as_bytes(name), counter}));
    }
    out.resize(size);
    return out;
}

Hash named_hash(std::string_view name) {
    return crypto::sha256(as_bytes(name));
}
crypto::Secret named_key(std::string_view name) {
    return crypto::Secret::copy_of(named_hash("test key " + std::string(name)));
}

std::vector<crypto::Secret> named_keys(std::string_view seed, std::size_t count) {
    std::vector<crypto::Secret> out;
    for (std::size_t i = 0; i < count; ++i) out.push_back(named_key(std::string(seed) + " " + std::to_string(i)));
    std::sort(out.begin(), out.end(),
              [](const auto& a, const auto& b) { return crypto::address_of(a).value() < crypto::address_of(b).value(); });
    return out;
}

DataSetFingerprint fingerprint_of(ByteView data_set) {
    DataSetHasher hasher;
    hasher.update(data_set);
    return hasher.finish().value();
}

InstanceBody body_of(std::string_view uid, ByteView data_set) {
    const auto found = fingerprint_of(data_set);
    return {Uid::parse(uid).value(), Uid::parse("1.2.840.10008.1.2.1").value(), found.size, found.sha256, found.chunk_root, {}, {}};
}

namespace {

struct Proofs {
    Hash state_root{};
    std::vector<Bytes> account, storage, next;
};

const Bytes kCode = to_bytes(as_bytes("the code of Studies"));

Address address_named(std::string_view name) {
    return fixed<20>(ByteView(named_hash(name)).first(20), "address").value();
}

Bytes storage_value(const Hash& hash) {
    Bytes out;
    ethereum::rlp::append_uint256(out, ethereum::Uint256::from_be(hash));
    return out;
}

Proofs make_state(const StudyRecord& record, const SampleOptions& options) {
    const auto key_of = [&](const Hash& study, std::uint64_t version) {
        return crypto::keccak256(storage_key(slot_key(record.institution, study, version), options.slot));
    };
    ethereum::TrieBuilder storage;
    for (int i = 0; i < 20; ++i) {
        const std::string name = "another study " + std::to_string(i);
        storage.put(key_of(named_hash(name), 1), storage_value(named_hash(name + " record")));
    }
    const Hash key = key_of(record.study_key, record.version);
    const Hash next = key_of(record.study_key, record.version + 1);
    storage.put(key, storage_value(record.hash()));
    if (options.later_version_exists) storage.put(next, storage_value(named_hash("a later record")));

    ethereum::TrieBuilder state;
    for (int i = 0; i < 9; ++i) {
        const Address other = address_named("another account " + std::to_string(i));
        state.put(crypto::keccak256(other), ethereum::AccountState{1, 7, ethereum::kEmptyTrieRoot, ethereum::kEmptyCodeHash}.encode());
    }
    const Hash account_key = crypto::keccak256(record.contract);
    state.put(account_key, ethereum::AccountState{1, 0, storage.root(), crypto::keccak256(kCode)}.encode());
    return {state.root(), state.prove(account_key), storage.prove(key), storage.prove(next)};
}

std::vector<Bytes> make_blocks(const Hash& state_root, const std::vector<crypto::Secret>& keys, const SampleOptions& options) {
    std::size_t count = options.headers;
    if (count == 0) count = keys.size() < 2 ? 1 : 2 * ethereum::clique_majority(keys.size());
    std::vector<Bytes> out;
    Hash parent = named_hash("the block before");
    for (std::size_t i = 0; i < count; ++i) {
        ethereum::BlockHeader header;
        header.parent_hash = parent;
        header.ommers_hash = ethereum::kEmptyOmmersHash;
        header.state_root = state_root;
        header.transactions_root = header.receipts_root = ethereum::kEmptyTrieRoot;
        header.number = options.first_block + i;
        header.timestamp = 1700000000 + header.number;
        header.gas_limit = 300000000;
        header.base_fee_per_gas = ethereum::Uint256(0);
        if (!keys.empty()) {
            const std::size_t in_turn = header.number % keys.size();
            const std::size_t who = options.sealer ? options.sealer(i) : in_turn;
            header.difficulty = who == in_turn ? 2 : 1;
            header.extra_data.assign(ethereum::kCliqueVanitySize + ethereum::kCliqueSealSize, 0);
            if (options.before_seal) options.before_seal(i, header);
            FID_INVARIANT(ethereum::clique_seal(header, keys[who]).has_value(), "a test block can be sealed");
            if (options.after_seal) options.after_seal(i, header);
        } else if (options.before_seal) {
            options.before_seal(i, header);
        }
        out.push_back(header.encode());
        parent = header.hash();
    }
    return out;
}

TrustFile make_trust(const StudyRecord& record, const SampleOptions& options, const std::vector<crypto::Secret>& keys) {
    TrustFile out;
    out.chain_id = options.chain_id;
    out.genesis_hash = named_hash("genesis");
    out.client = keys.empty() ? ClientKind::development : ClientKind::clique;
    out.period = keys.size() > 1 ? 1 : 0;
    if (!keys.empty()) {
        SignerSet set;
        for (const auto& key : keys) set.signers.push_back(crypto::address_of(key).value());
        out.signer_sets.push_back(std::move(set));
    }
    out.contracts.push_back({"Studies", record.contract, crypto::keccak256(kCode), options.slot, 3});
    out.institutions.push_back({record.institution, "Example Hospital", crypto::address_of(named_key("gateway")).value()});
    return out;
}

}  // namespace

Sample make_sample(const SampleOptions& options) {
    Sample out;
    const StudySecrets secrets(crypto::Secret::copy_of(named_hash(options.study_seed + " K")));
    const auto study_uid = Uid::parse("2.25." + std::to_string(read_be<std::uint64_t>(named_hash(options.study_seed)))).value();
    for (std::uint32_t i = 0; i < options.instances; ++i) {
        const Bytes data_set = filler(options.study_seed + " instance " + std::to_string(i), 40000 + 100 * i);
        if (i == options.shown.front()) out.data_set = data_set;
        out.bodies.push_back(body_of("1.2.3." + std::to_string(100 + i), data_set));
        out.bodies.back().overlay_sha256 = options.overlay_sha256;
    }
    out.file.file_sha256 = crypto::sha256(out.data_set);
    out.file.data_set = fingerprint_of(out.data_set);

    const auto tree = study_tree(secrets, out.bodies).value();
    StudyRecord record;
    record.chain_id = options.chain_id;
    record.contract = address_named(options.contract_seed);
    record.institution = named_hash(options.institution_seed);
    record.study_key = study_key(secrets.blind(), study_uid);
    record.version = options.version;
    if (options.version > 1) record.previous = named_hash("record before " + std::to_string(options.version));
    record.root = tree.root;
    record.count = tree.count;
    record.patient_ref = named_hash("patient ref");
    record.meta = meta_hash(secrets, as_bytes("manifest"));
    record.reasons = options.version == 1 ? kReasonNew : kReasonAdded;

    out.keys = named_keys(options.signer_seed, options.signers);
    out.trust = make_trust(record, options, out.keys);
    out.trust_text = out.trust.serialise().value();
    auto proofs = make_state(record, options);
    BundleInputs inputs;
    inputs.trust_version = out.trust.version;
    inputs.trust_sha256 = trust_file_sha256(out.trust_text);
    inputs.study_instance_uid = study_uid;
    inputs.secrets = &secrets;
    inputs.record = record;
    inputs.bodies = out.bodies;
    inputs.shown = options.shown;
    inputs.slot = options.slot;
    inputs.headers = make_blocks(proofs.state_root, out.keys, options);
    inputs.account_proof = std::move(proofs.account);
    inputs.storage_proof = std::move(proofs.storage);
    inputs.next_storage_proof = std::move(proofs.next);
    out.text = build_bundle(inputs).value();
    out.bundle = Bundle::decode(out.text).value();
    return out;
}

}  // namespace fiducial::evidence
