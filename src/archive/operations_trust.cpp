// The trust file's next version: made from what the chain says, signed, taken over.
#include <algorithm>
#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "archive/trust.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ledger/signer_history.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::chrono::seconds kChainPatience{30};
constexpr std::uint64_t kTellEvery = 1000;  // blocks

json::array texts_of(const std::vector<Address>& addresses) {
    json::array out;
    for (const auto& address : addresses) out.push_back(json::value(to_0x(address)));
    return out;
}

Result<crypto::RecoverableSignature> read_signature(const json::value& answer) {
    if (!answer.is_string()) return fail(ErrorCode::malformed, "the node's signature is no text");
    FID_TRY(const auto read, evidence::read_trust_signatures(std::string_view(answer.get_string()), {}));
    return read.front();
}

/// By a key that only the node has: of an account that it keeps unlocked to seal.
Result<crypto::RecoverableSignature> sign_by_node(ledger::Rpc& rpc, const std::vector<Address>& signers, const Hash& sha256) {
    FID_TRY(const auto accounts, rpc.raw("eth_accounts", "[]"));
    if (!accounts.is_array()) return fail(ErrorCode::malformed, "the node's accounts are no list");
    for (const auto& item : accounts.get_array()) {
        if (!item.is_string() || !item.get_string().starts_with("0x")) continue;
        const auto account = fixed_from_hex<20>(std::string_view(item.get_string()).substr(2), "account");
        if (!account || std::find(signers.begin(), signers.end(), *account) == signers.end()) continue;
        FID_TRY(const auto answer, rpc.raw("eth_sign", R"([")" + to_0x(*account) + R"(",")" + to_0x(sha256) + R"("])"));
        FID_TRY(const auto signature, read_signature(answer));
        FID_TRY(const auto by, crypto::recover_address(evidence::trust_signing_digest(sha256), signature));
        if (by != *account) return fail(ErrorCode::unverified, "the node signed something else than it was asked to");
        return signature;
    }
    return fail(ErrorCode::not_found,
                "this site's node keeps no key of a signer; sign where the key is: fiducial trust sign FILE --key KEY, or in a console as "
                "docs/operating/consortium.md says");
}

/// Whether the chain holds, at each contract's address, the code that the trust file names. Errors: unverified.
Result<void> check_same_code(ledger::Rpc& rpc, const std::vector<evidence::TrustedContract>& contracts, std::uint64_t settled) {
    for (const auto& contract : contracts) {
        FID_TRY(const auto code, rpc.code(contract.address, settled));
        if (crypto::keccak256(code) == contract.code_hash) continue;
        return fail(ErrorCode::unverified,
                    "the trust file names contract " + contract.name + " at " + to_0x(contract.address) + " with code " +
                        to_0x(contract.code_hash) +
                        (code.empty() ? "; the chain has no code there" : "; on the chain its code is " + to_0x(crypto::keccak256(code))));
    }
    return {};
}

}  // namespace

struct Operations::ChainSigners {
    std::vector<evidence::SignerSet> sets;
    std::uint64_t until = 0;  // settled
};

Result<Operations::ChainSigners> Operations::signers_of_chain(const evidence::TrustFile& trust) {
    if (trust.client == evidence::ClientKind::development)
        return fail(ErrorCode::unsupported, "a development chain has no signers; its trust file stays as it is");
    service_.follower_->wait_until([](const ledger::FollowerStatus& now) { return now.current && now.settled > 0; }, kChainPatience);
    const auto status = service_.follower_->status();
    if (!status.current || status.settled == 0) {
        return fail(ErrorCode::unavailable, "who seals is read from the chain, which is not followed now" +
                                                (status.problem.empty() ? std::string() : ": " + status.problem));
    }
    const auto each = [&](std::uint64_t number, std::span<const Address>) {
        if (number % kTellEvery == 0) emit_({{"progress", {{"block", number}, {"lastBlock", status.settled}}}});
        return !stop_.load();
    };
    const ledger::KnownSigners known{trust.genesis_hash, {trust.period, trust.epoch}, trust.signer_sets};
    ChainSigners out;
    out.until = status.settled;
    FID_TRY(out.sets, ledger::follow_signer_sets(*service_.rpc_, known, status.settled, status.settled_hash, each));
    return out;
}

Result<json::object> Operations::next_trust(const Arguments&) {
    const auto now_text = service_.trust_text();
    FID_TRY(const auto now, evidence::TrustFile::parse(now_text));
    FID_CHECK(administer({}, true));
    FID_TRY(auto signers, signers_of_chain(now));
    auto next = now;
    next.version = now.version + 1;
    next.previous_sha256 = evidence::trust_file_sha256(now_text);
    next.signer_sets = std::move(signers.sets);
    for (auto& institution : next.institutions) {
        if (institution.id != service_.site_.facts().institution) continue;
        institution.name = evidence::display_name(service_.site_.configuration().site_name);
        institution.gateway = service_.outbox_->account();
    }
    const auto changes = evidence::describe_changes(now, next);
    if (changes.empty())
        return fail(ErrorCode::conflict, "trust file version " + std::to_string(now.version) +
                                             " still says who seals and who anchors: a next one would say the same");
    FID_TRY(const auto text, next.serialise());
    const auto& who = now.signer_sets.back().signers;
    return json::object{{"text", text},
                        {"version", next.version},
                        {"sha256", to_hex(evidence::trust_file_sha256(text))},
                        {"changes", json::value_from(changes)},
                        {"signers", texts_of(who)},
                        {"needed", who.size() / 2 + 1}};
}

/// Nobody signs signers, or code of a contract, that his own node does not see on the chain.
Result<json::object> Operations::sign_trust(const Arguments& arguments) {
    FID_TRY(const auto text, argument::required_text(arguments, "text"));
    FID_TRY(const auto next, evidence::TrustFile::parse(text));
    const auto now_text = service_.trust_text();
    FID_TRY(const auto now, evidence::TrustFile::parse(now_text));
    if (next.chain_id != now.chain_id || next.genesis_hash != now.genesis_hash) {
        return fail(ErrorCode::unverified, "the trust file is of another chain, " + std::to_string(next.chain_id) + "; this site's is " +
                                               std::to_string(now.chain_id));
    }
    if (next.client != now.client || next.period != now.period || next.epoch != now.epoch) {
        return fail(ErrorCode::unverified,
                    "the trust file names another client, period or epoch than this site's, by which the same chain's blocks are judged");
    }
    // Each institution has a trust file of its own on the chain: only the next one of ours can be compared with it whole.
    const bool follows_ours = next.previous_sha256 == evidence::trust_file_sha256(now_text) ||
                              next.contract("Studies", service_.site_.facts().studies) != nullptr;
    if (follows_ours) FID_CHECK(evidence::check_succession(now_text, text));
    FID_TRY(const auto chain, signers_of_chain(now));
    FID_CHECK(ledger::check_same_signers(chain.sets, next.signer_sets, chain.until));
    if (next.signer_sets.empty() || next.signer_sets.back().first_block > chain.until + 1) {
        return fail(ErrorCode::unavailable, "the trust file names signers for blocks that are not settled here yet (settled up to " +
                                                std::to_string(chain.until) + "); try again later");
    }
    FID_CHECK(check_same_code(*service_.rpc_, next.contracts, service_.follower_->status().settled));
    FID_CHECK(administer({}, true));
    std::vector<Address> signers = now.signer_sets.back().signers;
    for (const auto& set : follows_ours ? std::vector<evidence::SignerSet>() : next.signer_sets)
        signers.insert(signers.end(), set.signers.begin(), set.signers.end());

    const auto sha256 = evidence::trust_file_sha256(text);
    crypto::RecoverableSignature signature;
    if (service_.site_.facts().own_node) {
        FID_TRY(const auto sealer, service_.site_.key(kSealerKey));
        FID_TRY(signature, evidence::sign_trust_file(sealer, text));
    } else {
        FID_TRY(signature, sign_by_node(*service_.rpc_, signers, sha256));
    }
    FID_TRY(const auto signer, crypto::recover_address(evidence::trust_signing_digest(sha256), signature));
    return json::object{{"signer", to_0x(signer)},
                        {"sha256", to_hex(sha256)},
                        {"signatures", evidence::serialise_trust_signatures(sha256, std::vector{signature})},
                        {"comparedWithChain", true},
                        {"says", json::value_from(evidence::describe_changes(follows_ours ? now : evidence::TrustFile{}, next))}};
}

Result<json::object> Operations::accept_trust(const Arguments& arguments) {
    FID_TRY(const auto text, argument::required_text(arguments, "text"));
    FID_TRY(const auto given, argument::texts(arguments, "signatures"));
    const auto sha256 = evidence::trust_file_sha256(text);
    std::vector<crypto::RecoverableSignature> signatures;
    for (const auto& one : given) {
        FID_TRY(const auto read, evidence::read_trust_signatures(one, sha256));
        signatures.insert(signatures.end(), read.begin(), read.end());
    }
    FID_CHECK(evidence::verify_succession(service_.trust_text(), text, signatures));
    FID_CHECK(administer({}, true));
    FID_TRY(const auto signers, service_.take_over_trust_file(text, signatures));
    FID_TRY(const auto next, evidence::TrustFile::parse(text));
    return json::object{{"version", next.version}, {"sha256", to_hex(sha256)}, {"signedBy", texts_of(signers)}};
}

}  // namespace fiducial::archive
