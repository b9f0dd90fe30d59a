#include "ledger/status.hpp"

namespace fiducial::ledger {
namespace {
// A node that seals on demand seals within milliseconds; one with a period within a few of them (the follower sees that).
constexpr std::chrono::seconds kNoBlockFor{30};
}  // namespace

LedgerStatus collect_status(const Follower& follower, const Outbox& outbox, const LocalNode* node) {
    LedgerStatus out;
    out.chain = follower.status();
    out.outbox = outbox.status();
    if (node != nullptr) {
        out.own_node = true;
        out.node = node->state();
        out.node_problem = node->problem();
        out.node_restarts = node->restarts();
    }
    out.chain_stalled =
        out.chain.stalled || (out.chain.reachable && out.outbox.open_transactions > 0 && out.outbox.oldest_unsent > kNoBlockFor);
    out.healthy = !out.chain.behind && out.chain.problem.empty() && out.outbox.problem.empty() && !out.chain_stalled &&
                  out.outbox.incidents == 0 && !out.outbox.foreign_nonce && out.chain.unacknowledged == 0;
    return out;
}

}  // namespace fiducial::ledger
