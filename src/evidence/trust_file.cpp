#include "evidence/trust_file.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/message.hpp"
#include "evidence/canonical_json.hpp"

namespace fiducial::evidence {

namespace {

constexpr std::string_view kFormat = "fid.trust1";
constexpr std::string_view kSignaturesFormat = "fid.trust_signatures1";
constexpr std::size_t kMaxBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxSigners = 256;
constexpr std::size_t kMaxName = 100;
constexpr JsonLimits kLimits{kMaxBytes, 8, 1 << 18};

template <typename Range, typename Key>
bool strictly_ascending(const Range& range, Key key) {
    for (std::size_t i = 1; i < range.size(); ++i) {
        if (!(key(range[i - 1]) < key(range[i]))) return false;
    }
    return true;
}
bool strictly_ascending(const std::vector<Address>& addresses) {
    return strictly_ascending(addresses, [](const Address& address) { return address; });
}

bool is_contract_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    return !name.empty() && name.size() <= 32 && letter(name.front()) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || digit(c); });
}
bool is_display_name(std::string_view name) {
    return name.size() <= kMaxName && std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

tl::unexpected<Error> bad(std::string_view what) {
    return fail(ErrorCode::malformed, "trust file: " + std::string(what));
}

Result<void> check_signer_sets(const TrustFile& file) {
    if (file.client == ClientKind::development) {
        if (!file.signer_sets.empty()) return bad("a development chain has no signers");
        return {};
    }
    if (file.signer_sets.empty()) return bad("no signer set");
    for (std::size_t i = 0; i < file.signer_sets.size(); ++i) {
        const auto& set = file.signer_sets[i];
        const bool last = i + 1 == file.signer_sets.size();
        if (set.signers.empty() || set.signers.size() > kMaxSigners) return bad("a signer set of none, or of more than 256");
        if (!strictly_ascending(set.signers)) return bad("signers are not strictly ascending");
        if (last != !set.last_block.has_value()) return bad("all signer sets but the last one, and only they, have a last block");
        if (!last && (*set.last_block < set.first_block || *set.last_block == UINT64_MAX)) return bad("a signer set ends before it begins");
        if (i > 0 && set.first_block != *file.signer_sets[i - 1].last_block + 1) return bad("signer sets leave a gap or overlap");
    }
    return {};
}

Result<void> check(const TrustFile& file) {
    if (file.version == 0 || (file.version == 1) != (file.previous_sha256 == kZero32))
        return bad("`previous` is zero exactly in version 1");
    if (file.chain_id == 0) return bad("chain id 0");
    if (file.epoch == 0) return bad("epoch 0");
    FID_CHECK(check_signer_sets(file));
    for (const auto& contract : file.contracts) {
        if (!is_contract_name(contract.name)) return bad("a contract's name is not a letter and up to 31 letters or digits");
    }
    if (!strictly_ascending(file.contracts,
                            [](const TrustedContract& c) { return std::tuple(std::string_view(c.name), c.from_block, c.address); })) {
        return bad("contracts are not strictly ascending by name, first block and address");
    }
    for (std::size_t i = 0; i < file.contracts.size(); ++i) {
        for (std::size_t k = 0; k < i; ++k) {
            if (file.contracts[i].name == file.contracts[k].name && file.contracts[i].address == file.contracts[k].address)
                return bad("a contract is listed twice");
        }
    }
    for (const auto& institution : file.institutions) {
        if (!is_display_name(institution.name)) return bad("an institution's name is longer than 100 characters or not printable ASCII");
    }
    if (!strictly_ascending(file.institutions, [](const TrustedInstitution& i) { return i.id; }))
        return bad("institutions are not strictly ascending");
    if (!strictly_ascending(file.witnesses)) return bad("witnesses are not strictly ascending");
    return {};
}

JsonValue::Array addresses_json(const std::vector<Address>& addresses) {
    JsonValue::Array out;
    for (const auto& address : addresses) out.emplace_back(to_0x(address));
    return out;
}

Result<std::vector<Address>> read_addresses(ObjectReader& reader, std::string_view key, std::size_t max) {
    FID_TRY(const auto* items, reader.array(key, max));
    std::vector<Address> out;
    const std::string part = reader.part() + "." + std::string(key);
    for (const auto& item : *items) {
        FID_TRY(auto bytes, read_hex(item, 20, part));
        FID_TRY(auto address, fixed<20>(bytes, part));
        out.push_back(address);
    }
    return out;
}

Result<SignerSet> read_signer_set(const JsonValue& value) {
    FID_TRY(auto reader, ObjectReader::of(value, "trust file.signer_sets"));
    SignerSet set;
    FID_TRY(set.first_block, reader.integer("first_block", UINT64_MAX));
    if (reader.has("last_block")) {
        FID_TRY(set.last_block, reader.integer("last_block", UINT64_MAX));
    }
    FID_TRY(set.signers, read_addresses(reader, "signers", kMaxSigners));
    FID_CHECK(reader.done());
    return set;
}

Result<TrustedContract> read_contract(const JsonValue& value) {
    FID_TRY(auto reader, ObjectReader::of(value, "trust file.contracts"));
    TrustedContract contract;
    FID_TRY(contract.name, reader.string("name", 32));
    FID_TRY(contract.address, reader.fixed_hex<20>("address"));
    FID_TRY(contract.code_hash, reader.fixed_hex<32>("code_hash"));
    FID_TRY(contract.slot, reader.integer("slot", UINT64_MAX));
    FID_TRY(contract.from_block, reader.integer("from_block", UINT64_MAX));
    FID_CHECK(reader.done());
    return contract;
}

Result<TrustedInstitution> read_institution(const JsonValue& value) {
    FID_TRY(auto reader, ObjectReader::of(value, "trust file.institutions"));
    TrustedInstitution institution;
    FID_TRY(institution.id, reader.fixed_hex<32>("id"));
    FID_TRY(institution.name, reader.string("name", kMaxName));
    FID_TRY(institution.gateway, reader.fixed_hex<20>("gateway"));
    FID_CHECK(reader.done());
    return institution;
}

template <typename Item, typename Read>
Result<std::vector<Item>> read_items(ObjectReader& reader, std::string_view key, std::size_t max, Read read) {
    FID_TRY(const auto* items, reader.array(key, max));
    std::vector<Item> out;
    out.reserve(items->size());
    for (const auto& item : *items) {
        FID_TRY(auto one, read(item));
        out.push_back(std::move(one));
    }
    return out;
}

/// What the past of a chain was is not for a later trust file to change.
Result<void> check_past_kept(const TrustFile& now, const TrustFile& next) {
    const auto changed = [](std::string_view what) {
        return fail(ErrorCode::unverified, "the next trust file changes " + std::string(what));
    };
    if (next.chain_id != now.chain_id || next.genesis_hash != now.genesis_hash || next.client != now.client) {
        return fail(ErrorCode::unverified, "the next trust file is of another chain: " + std::to_string(next.chain_id) + " with genesis " +
                                               to_0x(next.genesis_hash) + ", not " + std::to_string(now.chain_id) + " with genesis " +
                                               to_0x(now.genesis_hash));
    }
    if (next.period != now.period || next.epoch != now.epoch)
        return changed("the chain's period or epoch, by which earlier blocks are judged");
    if (next.signer_sets.size() < now.signer_sets.size()) return changed("earlier signer sets");
    for (std::size_t i = 0; i < now.signer_sets.size(); ++i) {
        const auto& before = now.signer_sets[i];
        const auto& after = next.signer_sets[i];
        const bool same_end = before.last_block == after.last_block || !before.last_block;
        if (before.first_block != after.first_block || before.signers != after.signers || !same_end)
            return changed("an earlier signer set");
    }
    for (const auto& contract : now.contracts) {
        const auto* kept = next.contract(contract.name, contract.address);
        if (kept == nullptr || *kept != contract) return changed("an earlier contract");
    }
    for (const auto& institution : now.institutions) {
        if (next.institution(institution.id) == nullptr) return changed("the list of institutions by leaving one out");
    }
    return {};
}

}  // namespace

Result<std::string> TrustFile::serialise() const {
    if (auto checked = check(*this); !checked) return fail(ErrorCode::invalid_argument, checked.error().message);
    JsonValue::Array sets, contract_list, institution_list;
    for (const auto& set : signer_sets) {
        JsonValue::Object object{{"first_block", set.first_block}, {"signers", addresses_json(set.signers)}};
        if (set.last_block) object.emplace("last_block", *set.last_block);
        sets.emplace_back(std::move(object));
    }
    for (const auto& c : contracts) {
        contract_list.emplace_back(JsonValue::Object{{"address", to_0x(c.address)},
                                                     {"code_hash", to_0x(c.code_hash)},
                                                     {"from_block", c.from_block},
                                                     {"name", c.name},
                                                     {"slot", c.slot}});
    }
    for (const auto& i : institutions) {
        institution_list.emplace_back(JsonValue::Object{{"gateway", to_0x(i.gateway)}, {"id", to_0x(i.id)}, {"name", i.name}});
    }
    const JsonValue::Object chain{{"client", client == ClientKind::clique ? "clique" : "development"},
                                  {"epoch", epoch},
                                  {"genesis", to_0x(genesis_hash)},
                                  {"id", chain_id},
                                  {"period", period}};
    std::string text = write_canonical(JsonValue::Object{{"chain", chain},
                                                         {"contracts", std::move(contract_list)},
                                                         {"format", kFormat},
                                                         {"institutions", std::move(institution_list)},
                                                         {"previous", to_0x(previous_sha256)},
                                                         {"signer_sets", std::move(sets)},
                                                         {"version", version},
                                                         {"witnesses", addresses_json(witnesses)}});
    if (text.size() > kMaxBytes) return fail(ErrorCode::invalid_argument, "trust file: larger than 4 MiB");
    return text;
}

Result<TrustFile> TrustFile::parse(std::string_view text) {
    FID_TRY(const JsonValue document, read_canonical(text, kLimits));
    FID_TRY(auto reader, ObjectReader::of(document, "trust file"));
    FID_TRY(const auto format, reader.string("format", 32));
    if (format != kFormat) return fail(ErrorCode::unsupported, "trust file: its format is not fid.trust1");
    TrustFile file;
    FID_TRY(file.version, reader.integer("version", UINT64_MAX));
    FID_TRY(file.previous_sha256, reader.fixed_hex<32>("previous"));
    FID_TRY(auto chain, reader.object("chain"));
    FID_TRY(const auto client, chain.string("client", 16));
    if (client != "clique" && client != "development")
        return fail(ErrorCode::unsupported, "trust file: a client other than clique and development");
    file.client = client == "clique" ? ClientKind::clique : ClientKind::development;
    FID_TRY(file.chain_id, chain.integer("id", UINT64_MAX));
    FID_TRY(file.genesis_hash, chain.fixed_hex<32>("genesis"));
    FID_TRY(file.period, chain.integer("period", kMaxJsonInteger));
    FID_TRY(file.epoch, chain.integer("epoch", kMaxJsonInteger));
    FID_CHECK(chain.done());
    FID_TRY(file.signer_sets, read_items<SignerSet>(reader, "signer_sets", 4096, read_signer_set));
    FID_TRY(file.contracts, read_items<TrustedContract>(reader, "contracts", 1024, read_contract));
    FID_TRY(file.institutions, read_items<TrustedInstitution>(reader, "institutions", 16384, read_institution));
    FID_TRY(file.witnesses, read_addresses(reader, "witnesses", 16384));
    FID_CHECK(reader.done());
    FID_CHECK(check(file));
    return file;
}

const SignerSet* signers_at(std::span<const SignerSet> sets, std::uint64_t block) {
    for (const auto& set : sets) {
        if (block >= set.first_block && (!set.last_block || block <= *set.last_block)) return &set;
    }
    return nullptr;
}

const TrustedContract* TrustFile::contract(std::string_view name, const Address& address) const {
    const auto found =
        std::find_if(contracts.begin(), contracts.end(), [&](const auto& c) { return c.name == name && c.address == address; });
    return found == contracts.end() ? nullptr : &*found;
}

const TrustedInstitution* TrustFile::institution(const Bytes32& id) const {
    const auto found =
        std::lower_bound(institutions.begin(), institutions.end(), id, [](const auto& i, const Bytes32& wanted) { return i.id < wanted; });
    return found == institutions.end() || found->id != id ? nullptr : &*found;
}

std::string display_name(std::string_view name) {
    std::string out;
    for (const char c : name.substr(0, kMaxName)) out.push_back(c >= 0x20 && c < 0x7f ? c : '?');
    return out;
}

Hash trust_file_sha256(std::string_view text) {
    return crypto::sha256(as_bytes(text));
}

Hash trust_signing_digest(const Hash& trust_sha256) {
    return ethereum::personal_message_hash(trust_sha256);
}

Result<crypto::RecoverableSignature> sign_trust_file(const crypto::Secret& signer_key, std::string_view text) {
    return crypto::sign_recoverable(signer_key, trust_signing_digest(trust_file_sha256(text)));
}

std::string serialise_trust_signatures(const Hash& trust_sha256, std::span<const crypto::RecoverableSignature> signatures) {
    JsonValue::Array list;
    for (const auto& signature : signatures) list.emplace_back(to_0x(signature.serialised()));
    return write_canonical(
        JsonValue::Object{{"format", kSignaturesFormat}, {"signatures", std::move(list)}, {"trust_sha256", to_0x(trust_sha256)}});
}

Result<TrustSignatures> parse_trust_signatures(std::string_view text) {
    FID_TRY(const JsonValue document, read_canonical(text, kLimits));
    FID_TRY(auto reader, ObjectReader::of(document, "trust signatures"));
    FID_TRY(const auto format, reader.string("format", 32));
    if (format != kSignaturesFormat) return fail(ErrorCode::unsupported, "trust signatures: their format is not fid.trust_signatures1");
    TrustSignatures out;
    FID_TRY(out.trust_sha256, reader.fixed_hex<32>("trust_sha256"));
    FID_TRY(const auto* list, reader.array("signatures", kMaxSigners));
    for (const auto& item : *list) {
        FID_TRY(auto bytes, read_hex(item, 65, "trust signatures.signatures"));
        FID_TRY(auto signature, crypto::RecoverableSignature::parse(bytes));
        out.signatures.push_back(signature);
    }
    FID_CHECK(reader.done());
    return out;
}

Result<std::vector<crypto::RecoverableSignature>> read_trust_signatures(std::string_view text, const Hash& trust_sha256) {
    if (text.size() > kMaxBytes) return fail(ErrorCode::limit_exceeded, "trust signatures: larger than 4 MiB");
    const auto trim = [&text](std::string_view away) {
        text.remove_prefix(std::min(text.find_first_not_of(away), text.size()));
        text.remove_suffix(text.size() - std::min(text.find_last_not_of(away) + 1, text.size()));
    };
    trim(" \t\r\n");
    if (text.starts_with('{')) {
        FID_TRY(auto file, parse_trust_signatures(text));
        if (file.trust_sha256 == trust_sha256) return std::move(file.signatures);
        return fail(ErrorCode::unverified, "the signatures are for the trust file with SHA-256 " + to_hex(file.trust_sha256) +
                                               ", not for " + to_hex(trust_sha256));
    }
    trim("\"'");
    if (text.starts_with("0x")) text.remove_prefix(2);
    const auto bytes = text.size() == 130 ? from_hex(text) : Result<Bytes>(fail(ErrorCode::malformed, "of another length"));
    if (!bytes) return fail(ErrorCode::malformed, "trust signatures: neither a file of signatures nor one signature of 130 hex digits");
    FID_TRY(const auto signature, crypto::RecoverableSignature::parse(*bytes));
    return std::vector{signature};
}

Result<void> check_succession(std::string_view current, std::string_view next) {
    FID_TRY(const auto now, TrustFile::parse(current));
    FID_TRY(const auto later, TrustFile::parse(next));
    if (later.version != now.version + 1) {
        std::string advice;
        if (later.version > now.version + 1) advice = "; version " + std::to_string(now.version + 1) + " comes first";
        return fail(ErrorCode::unverified, "trust file version " + std::to_string(later.version) + " does not follow version " +
                                               std::to_string(now.version) + advice);
    }
    if (later.previous_sha256 != trust_file_sha256(current)) {
        return fail(ErrorCode::unverified,
                    "the next trust file was made to follow another one, with SHA-256 " + to_hex(later.previous_sha256));
    }
    FID_CHECK(check_past_kept(now, later));
    if (now.signer_sets.empty()) return fail(ErrorCode::unverified, "a development chain has no signers who could sign a next trust file");
    return {};
}

Result<std::vector<Address>> verify_succession(std::string_view current, std::string_view next,
                                               std::span<const crypto::RecoverableSignature> signatures) {
    FID_CHECK(check_succession(current, next));
    FID_TRY(const auto now, TrustFile::parse(current));
    const auto& signers = now.signer_sets.back().signers;
    const Hash digest = trust_signing_digest(trust_file_sha256(next));
    std::set<Address> seen, strangers;
    for (const auto& signature : signatures) {
        FID_TRY(const auto signer, crypto::recover_address(digest, signature));
        (std::binary_search(signers.begin(), signers.end(), signer) ? seen : strangers).insert(signer);
    }
    if (seen.size() * 2 > signers.size()) return std::vector(seen.begin(), seen.end());
    std::string text = "the next trust file is signed by " + std::to_string(seen.size()) + " of the " + std::to_string(signers.size()) +
                       " signers of version " + std::to_string(now.version) + "; more than half are needed";
    if (!strangers.empty()) {
        text += "; a signature is by " + to_0x(*strangers.begin()) + ", which is none of them, or it signs something else";
    }
    return fail(ErrorCode::unverified, std::move(text));
}

std::vector<std::string> describe_changes(const TrustFile& now, const TrustFile& next) {
    std::vector<std::string> out;
    const std::vector<Address> nobody;
    const auto missing_in = [](const std::vector<Address>& here, const std::vector<Address>& there) {
        std::vector<Address> missing;
        std::set_difference(there.begin(), there.end(), here.begin(), here.end(), std::back_inserter(missing));
        return missing;
    };
    for (std::size_t i = now.signer_sets.size(); i < next.signer_sets.size(); ++i) {
        const auto& set = next.signer_sets[i];
        const auto& before = i == 0 ? nobody : next.signer_sets[i - 1].signers;
        const std::string from = " from block " + std::to_string(set.first_block) + " on";
        for (const auto& signer : missing_in(before, set.signers)) out.push_back("signer " + to_0x(signer) + " seals" + from);
        for (const auto& signer : missing_in(set.signers, before)) out.push_back("signer " + to_0x(signer) + " seals no more" + from);
    }
    for (const auto& contract : next.contracts) {
        if (std::find(now.contracts.begin(), now.contracts.end(), contract) != now.contracts.end()) continue;
        out.push_back("contract " + contract.name + " at " + to_0x(contract.address) + " with code " + to_0x(contract.code_hash) +
                      ", slot " + std::to_string(contract.slot) + ", from block " + std::to_string(contract.from_block) + " on");
    }
    for (const auto& institution : next.institutions) {
        const auto* before = now.institution(institution.id);
        if (before == nullptr)
            out.push_back("institution " + institution.name + " (" + to_0x(institution.id) + ") anchors by account " +
                          to_0x(institution.gateway));
        else if (before->name != institution.name)
            out.push_back("institution " + before->name + " is called " + institution.name);
        if (before != nullptr && before->gateway != institution.gateway)
            out.push_back("institution " + institution.name + " anchors by account " + to_0x(institution.gateway));
    }
    for (const auto& witness : missing_in(now.witnesses, next.witnesses)) out.push_back("witness " + to_0x(witness) + " cosigns");
    for (const auto& witness : missing_in(next.witnesses, now.witnesses)) out.push_back("witness " + to_0x(witness) + " cosigns no more");
    return out;
}

}  // namespace fiducial::evidence
