#pragma once
#include <optional>
#include <span>
#include <string>

#include "archive/site.hpp"
#include "base/clock.hpp"
#include "database/database.hpp"
#include "ledger/follower.hpp"
#include "ledger/rpc.hpp"
#include "store/rights.hpp"

namespace fiducial::archive {

/// What a log of the followed contracts changes in the table of rights; nothing where it changes nobody's rights.
/// An event that cannot be read gives RightsFact::unreadable: it may be a revocation.
std::optional<store::RightsChange> rights_change(const ledger::Log& log, const SiteFacts& facts);

/// Feeds the table of rights from the chain that is followed.
/// What is damaged in the table never stops the following: whoever asks it is told so, and with the node's next answer the whole
/// history is read from the chain again. A table that begins after the contracts' first block is made whole in the same way, and so is
/// one that the follower, which began anew, tells blocks that it has already: until then it stands as it was.
/// Threads: as LedgerChanges.
class RightsSink final : public ledger::LedgerChanges {
public:
    /// Requires: database, rights and rpc outlive it; rpc is the follower's.
    RightsSink(database::Database& database, store::Rights& rights, ledger::Rpc& rpc, SiteFacts facts)
        : database_(database), rights_(rights), rpc_(rpc), facts_(std::move(facts)) {}

    Result<void> apply(database::Transaction& transaction, const ledger::Block& block, std::span<const ledger::Log> logs) override;
    Result<void> undo(database::Transaction& transaction, const ledger::Block& block, bool was_settled) override;
    Result<void> settle(database::Transaction& transaction, const ledger::Block& block) override;
    /// Mends the table where it must; writes down when the node last answered and the table was whole, at most once a minute.
    void answered(SystemTime at) override;

private:
    Result<void> go_on_if_damaged(Result<void> outcome);
    Result<void> look_whether_whole();
    Result<void> read_again();

    database::Database& database_;
    store::Rights& rights_;
    ledger::Rpc& rpc_;
    const SiteFacts facts_;
    std::optional<SystemTime> noted_;
    std::optional<bool> whole_;                             // nothing: to be looked at
    std::uint64_t head_ = 0, head_time_ = 0, settled_ = 0;  // as told since the start; 0: not yet
    static constexpr std::chrono::milliseconds kFirstPause{1'000}, kLongestPause{300'000};
    SystemTime again_at_{};  // not earlier, after an attempt to read the history again; 1 s, 2 s, 4 s … after failures
    std::chrono::milliseconds pause_ = kFirstPause;
    std::string problem_;  // said once
};

}  // namespace fiducial::archive
