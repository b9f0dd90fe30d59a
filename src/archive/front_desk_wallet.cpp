// Wallets: a signature in place of the password, a wallet in place of the account that the site keeps, and the ledger as wallets ask for
// it.
#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/front_desk_parts.hpp"
#include "archive/members_on_ledger.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/address.hpp"
#include "ethereum/message.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;

constexpr std::chrono::minutes kChallengeLasts{5};
constexpr std::size_t kMostChallenges = 4096;
constexpr std::string_view kRpcPrefix = "rpc_";
constexpr std::string_view kNotKnown = "no account here has this wallet";

/// What a wallet needs to show balances and to send what its person signs; nothing that changes the node.
constexpr std::array<std::string_view, 17> kRpcMethods{"eth_blockNumber",
                                                       "eth_call",
                                                       "eth_chainId",
                                                       "eth_estimateGas",
                                                       "eth_feeHistory",
                                                       "eth_gasPrice",
                                                       "eth_getBalance",
                                                       "eth_getBlockByHash",
                                                       "eth_getBlockByNumber",
                                                       "eth_getCode",
                                                       "eth_getTransactionByHash",
                                                       "eth_getTransactionCount",
                                                       "eth_getTransactionReceipt",
                                                       "eth_maxPriorityFeePerGas",
                                                       "eth_syncing",
                                                       "net_version",
                                                       "web3_clientVersion"};

/// "https://archive.example:8443/x" as "archive.example:8443".
std::string authority_of(std::string_view url) {
    if (const auto at = url.find("://"); at != std::string_view::npos) url.remove_prefix(at + 3);
    return std::string(url.substr(0, url.find('/')));
}

/// A signature counts for the domain that it names. Without a name of our own, one that a request claims could be a stranger's, who passes
/// on what a person signs there: then only this machine's own will do.
Result<void> check_own_address(const Configuration& configuration, std::string_view base_url) {
    const auto authority = authority_of(base_url);
    const auto host = authority.substr(0, authority.rfind(':'));
    if (!configuration.http_public_url.empty() || host == "localhost" || host == "[::1]" || host.starts_with("127.")) return {};
    return fail(ErrorCode::unsupported, "wallets need a name of the archive's own: [http] public_url");
}

Result<Address> address_from(const json::object& said) {
    auto address = ethereum::parse_address(argument::text(said, "address"));
    if (!address) return fail(ErrorCode::invalid_argument, "address: this is no address of an account");
    return address;
}

json::object rpc_error(const json::value& id, int code, std::string_view message) {
    return {{"jsonrpc", "2.0"}, {"id", id}, {"error", {{"code", code}, {"message", message}}}};
}

}  // namespace

/// The text to sign, whoever asks: what it was signed for is checked when it comes back.
FrontDesk::Answer FrontDesk::make_wallet_message(const Visitor& visitor, const Said& said) {
    FID_TRY(const auto address, address_from(said));
    FID_CHECK(check_own_address(service_.site_.configuration(), visitor.base_url));
    const bool ties = visitor.who.subject != kZero32;
    const auto now = clock_.now();
    ethereum::SignInMessage message;
    message.domain = authority_of(visitor.base_url);
    message.address = address;
    message.statement = ties ? "Use this wallet as your account at " + service_.site_.configuration().site_name +
                                   ". Whoever knows whose wallet it is can then see on the ledger that it belongs here."
                             : "Log in to " + service_.site_.configuration().site_name + ".";
    message.uri = visitor.base_url;
    message.chain_id = service_.site_.facts().chain_id;
    message.nonce = to_hex(ByteView(crypto::random_bytes32()).first(16));
    message.issued_at = to_rfc3339(now);
    message.expiration_time = to_rfc3339(now + kChallengeLasts);
    FID_TRY(const auto text, message.to_text());
    {
        const std::lock_guard lock(mutex_);
        const auto steady = clock_.steady_now();
        forget_ended(challenges_, steady, kMostChallenges);
        challenges_[message.nonce] = {crypto::sha256(as_bytes(text)), visitor.who.subject, steady + kChallengeLasts};
    }
    return reply_of({{"message", text}});
}

/// Whose signature it is. Errors: unauthenticated: not of a text that was handed out for this, or over.
Result<Address> FrontDesk::signer_of(const Visitor& visitor, const Said& said) {
    const auto text = argument::text(said, "message");
    const auto over = [] { return fail(ErrorCode::unauthenticated, "this message was not made here, was used, or is over"); };
    const auto message = ethereum::parse_sign_in(text);
    if (!message) return over();
    {
        const std::lock_guard lock(mutex_);
        const auto found = challenges_.find(message->nonce);
        if (found == challenges_.end()) return over();
        const auto challenge = found->second;
        challenges_.erase(found);  // once, whatever comes of it
        if (challenge.until <= clock_.steady_now() || challenge.person != visitor.who.subject ||
            challenge.text != crypto::sha256(as_bytes(text)))
            return over();
    }
    const auto signature = from_hex(argument::text(said, "signature"));
    if (!signature) return fail(ErrorCode::unauthenticated, "the signature is not of this wallet");
    const ethereum::SignInExpectation expected{authority_of(visitor.base_url), visitor.base_url, service_.site_.facts().chain_id,
                                               message->nonce, clock_.now()};
    const auto verified = ethereum::verify_sign_in(text, *signature, expected);
    if (!verified) return fail(ErrorCode::unauthenticated, "the signature is not of this wallet");
    return verified->address;
}

FrontDesk::Answer FrontDesk::log_in_with_wallet(const Visitor& visitor, const Said& said) {
    FID_TRY(const auto address, signer_of(visitor, said));
    FID_TRY(const auto record,
            records_.database().read([&](database::Transaction& t) { return records_.find_by(t, kWalletRecord, to_0x(address)); }));
    if (!record) return fail(ErrorCode::unauthenticated, std::string(kNotKnown));
    FID_TRY(const auto person, fixed_from_hex<32>(record->id, "wallet: person"));
    FID_TRY(const auto on_ledger, person_at(*service_.rpc_, service_.site_.facts(), address));
    if (on_ledger != person) return fail(ErrorCode::unauthenticated, std::string(kNotKnown));  // it was changed there
    FID_TRY(auto log_in, log_in_of(person));
    return next_step(visitor, std::move(log_in));
}

FrontDesk::Answer FrontDesk::tie_wallet(const Visitor& visitor, const Said& said) {
    FID_TRY(const auto address, signer_of(visitor, said));
    const std::lock_guard registrations(registrations_mutex_);
    FID_TRY(auto log_in, log_in_of(visitor.who.subject));
    if (!log_in.wallet.empty()) return fail(ErrorCode::conflict, "your account is a wallet's already; that wallet gives it to another one");
    FID_TRY(const auto owner, person_at(*service_.rpc_, service_.site_.facts(), address));
    if (owner != kZero32 && owner != log_in.person) return fail(ErrorCode::conflict, "this wallet is somebody's account here already");
    FID_TRY(const auto administrator, service_.site_.key(kOperatorKey));
    FID_CHECK(set_wallet(*service_.rpc_, service_.site_.facts(), administrator, log_in.person, address));
    FID_TRY(const auto now, person_at(*service_.rpc_, service_.site_.facts(), address));
    if (now != log_in.person)
        return fail(ErrorCode::conflict, "the ledger gives the account of somebody with this office to a wallet only after seven days");
    const std::lock_guard changes(changes_mutex_);
    FID_TRY(log_in, log_in_of(visitor.who.subject));  // a password may have been changed meanwhile
    log_in.wallet = to_0x(address);
    log_in.kept_key.clear();  // rotated, not exported: it opens nothing any more
    FID_CHECK(records_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(records_.put(t, kWalletRecord, {to_hex(log_in.person), log_in.wallet, "{}"}));
        return put(t, log_in);
    }));
    messages_.tell(log_in.person, "security", "Your account on the ledger is now your own wallet " + log_in.wallet + ".");
    return reply_of({{"address", ethereum::to_checksum(address)}, {"custody", "wallet"}});
}

FrontDesk::Answer FrontDesk::make_rpc_address(const Visitor& visitor, const Said&) {
    const auto token = std::string(kRpcPrefix) + to_hex(crypto::random_bytes32());
    const auto whose = to_hex(visitor.who.subject);
    FID_CHECK(records_.database().write(database::Durability::full, [&](database::Transaction& t) {
        return records_.put(t, kRpcRecord, {whose, to_hex(crypto::sha256(as_bytes(token))), "{}"});  // in place of the one before
    }));
    return reply_of({{"url", visitor.base_url + "/rpc/" + token}, {"chainId", service_.site_.facts().chain_id}});
}

/// `question`: one of JSON-RPC, which is passed on to the node where it only looks.
FrontDesk::Answer FrontDesk::answer_question(const Said& said) {
    const auto* question = said.if_contains("question");
    const auto* asked = question != nullptr ? question->if_object() : nullptr;
    if (asked == nullptr) return reply_of(rpc_error(nullptr, -32600, "one question at a time is wanted"));
    const auto* id = asked->if_contains("id");
    const json::value number = id != nullptr && (id->is_number() || id->is_string()) ? *id : json::value();
    const auto method = argument::text(*asked, "method");
    if (std::find(kRpcMethods.begin(), kRpcMethods.end(), method) == kRpcMethods.end())
        return reply_of(rpc_error(number, -32601, "this method is not given out here"));
    const auto* parameters = asked->if_contains("params");
    const auto answer = service_.rpc_->raw(method, parameters != nullptr ? json::serialize(*parameters) : "[]");
    if (!answer) return reply_of(rpc_error(number, -32000, answer.error().message));
    return reply_of({{"jsonrpc", "2.0"}, {"id", number}, {"result", *answer}});
}

FrontDesk::Answer FrontDesk::ask_ledger_in_session(const Visitor& visitor, const Said& said) {
    FID_CHECK(check_active(visitor.who.subject));
    return answer_question(said);
}

FrontDesk::Answer FrontDesk::ask_ledger(const Visitor&, const Said& said) {
    FID_TRY(const auto record, records_.database().read([&](database::Transaction& t) {
        return records_.find_by(t, kRpcRecord, to_hex(crypto::sha256(as_bytes(argument::text(said, "token")))));
    }));
    if (!record) return fail(ErrorCode::not_found, "there is nothing here");
    FID_TRY(const auto person, fixed_from_hex<32>(record->id, "rpc: person"));
    FID_CHECK(check_active(person));
    return answer_question(said);
}

}  // namespace fiducial::archive
