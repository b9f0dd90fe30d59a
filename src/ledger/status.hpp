#pragma once
#include <cstdint>
#include <string>

#include "ledger/follower.hpp"
#include "ledger/node/local_node.hpp"
#include "ledger/outbox.hpp"

namespace fiducial::ledger {

/// One picture for health, metrics and `ledger status`.
struct LedgerStatus {
    FollowerStatus chain;
    OutboxStatus outbox;
    bool own_node = false;  // a node that we supervise
    NodeState node = NodeState::stopped;
    std::string node_problem;
    std::uint64_t node_restarts = 0;
    bool chain_stalled = false;  // no block comes although it should: by time (period > 0), or with transactions waiting
    bool healthy = false;        // not behind, not stalled, no problem, no incident
};

/// `node` may be null: a node that somebody else runs.
LedgerStatus collect_status(const Follower& follower, const Outbox& outbox, const LocalNode* node);

}  // namespace fiducial::ledger
