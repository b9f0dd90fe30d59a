// What those who watch over the archive ask: the trace, who broke the glass, who looked at a study, the ledger that it stands on, and what
// waits.
#include <boost/json.hpp>

#include "archive/front_desk_parts.hpp"
#include "archive/queue_desk.hpp"
#include "archive/service.hpp"
#include "archive/trace_desk.hpp"
#include "base/hex.hpp"
#include "crypto/secp256k1.hpp"
#include "ethereum/clique.hpp"
#include "evidence/trust_file.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;

Result<Reply> reply_with(const Result<json::object>& answer) {
    FID_CHECK(answer);
    return reply_of(*answer);
}

}  // namespace

FrontDesk::Answer FrontDesk::search_trace(const Visitor& visitor, const Said& said) {
    return reply_with(TraceDesk(service_, visitor.who).search(said));
}

FrontDesk::Answer FrontDesk::prove_entry(const Visitor& visitor, const Said& said) {
    return reply_with(TraceDesk(service_, visitor.who).prove_on_ledger(said));
}

FrontDesk::Answer FrontDesk::list_emergencies(const Visitor& visitor, const Said&) {
    return reply_with(TraceDesk(service_, visitor.who).list_emergencies());
}

FrontDesk::Answer FrontDesk::list_looks(const Visitor& visitor, const Said& said) {
    return reply_with(TraceDesk(service_, visitor.who).list_looks(said));
}

/// All that waits for a peer or a person, and how much room is left.
FrontDesk::Answer FrontDesk::list_queues(const Visitor& visitor, const Said&) {
    FID_CHECK(administer(visitor.who, {}, false));
    QueueDesk desk(service_);
    FID_TRY(auto answer, desk.list_deliveries({}));
    FID_TRY(auto set_aside, desk.list_set_aside({}));
    FID_TRY(auto quarantine, desk.list_quarantine());
    answer["setAside"] = std::move(set_aside["setAside"]);
    answer["quarantined"] = std::move(quarantine["quarantined"]);
    FID_TRY(answer["disk"], desk.room());
    FID_TRY(answer["mail"], desk.list_mails());
    return reply_of(answer);
}

FrontDesk::Answer FrontDesk::retry_deliveries(const Visitor& visitor, const Said& said) {
    FID_CHECK(administer(visitor.who, {}, false));
    return reply_with(QueueDesk(service_).retry_deliveries(said));
}

FrontDesk::Answer FrontDesk::discard_deliveries(const Visitor& visitor, const Said& said) {
    FID_CHECK(administer(visitor.who, {}, false));
    return reply_with(QueueDesk(service_).discard_deliveries(said));
}

FrontDesk::Answer FrontDesk::restore_object(const Visitor& visitor, const Said& said) {
    return reply_with(QueueDesk(service_).restore(visitor.who, said));
}

/// What its members may know of the chain anyhow, and whose accounts on it are this archive's and the visitor's.
FrontDesk::Answer FrontDesk::describe_ledger(const Visitor& visitor, const Said&) {
    FID_CHECK(check_active(visitor.who.subject));
    const auto status = ledger::collect_status(*service_.follower_, *service_.outbox_, service_.node_.get());
    const auto& facts = service_.site_.facts();
    FID_TRY(const auto trust, evidence::TrustFile::parse(service_.trust_text()));
    auto signers = status.chain.voted_signers;
    if (signers.empty() && !trust.signer_sets.empty()) signers = trust.signer_sets.back().signers;

    json::array accounts, sealers;
    const auto add = [&](const Address& address, std::string_view whose) {
        accounts.push_back({{"address", to_0x(address)}, {"whose", whose}});
    };
    add(service_.outbox_->account(), "gateway");
    FID_TRY(const auto operator_key, service_.site_.key(kOperatorKey));
    FID_TRY(const auto operator_account, crypto::address_of(operator_key));
    add(operator_account, "operator");
    for (const auto& signer : signers) {
        add(signer, "signer");
        sealers.emplace_back(to_0x(signer));
    }
    if (const auto log_in = log_in_of(visitor.who.subject)) {
        if (!log_in->kept_key.empty()) {
            FID_TRY(const auto address, crypto::address_of(crypto::Secret::copy_of(log_in->kept_key)));
            add(address, "yours");
        } else if (!log_in->wallet.empty()) {
            accounts.push_back({{"address", log_in->wallet}, {"whose", "yours"}});
        }
    }
    const auto majority = facts.development ? 0 : ethereum::clique_majority(signers.size());
    return reply_of({{"chainId", facts.chain_id},
                     {"genesisHash", to_0x(facts.genesis_hash)},
                     {"kind", facts.own_node      ? "own"
                              : facts.development ? "development"
                                                  : "external"},
                     {"period", trust.period},
                     {"epoch", trust.epoch},
                     {"signers", std::move(sealers)},
                     {"majority", majority},
                     {"head", status.chain.head},
                     {"settled", status.chain.settled},
                     {"reachable", status.chain.reachable},
                     {"behind", status.chain.behind},
                     {"problem", status.chain.problem},
                     {"contracts",
                      {{"Members", to_0x(facts.members)},
                       {"Studies", to_0x(facts.studies)},
                       {"Consents", to_0x(facts.consents)},
                       {"Checkpoints", to_0x(facts.checkpoints)},
                       {"Directory", to_0x(facts.directory)}}},
                     {"accounts", std::move(accounts)},
                     {"outbox",
                      {{"stored", status.outbox.stored},
                       {"submitted", status.outbox.submitted},
                       {"included", status.outbox.included},
                       {"incidents", status.outbox.incidents},
                       {"failed", status.outbox.failed},
                       {"oldestUnsettledMs", status.outbox.oldest_unsettled.count()}}}});
}

}  // namespace fiducial::archive
