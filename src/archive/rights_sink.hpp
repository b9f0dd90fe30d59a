#pragma once
#include <optional>
#include <span>

#include "archive/site.hpp"
#include "base/clock.hpp"
#include "database/database.hpp"
#include "ledger/follower.hpp"
#include "store/rights.hpp"

namespace fiducial::archive {

/// What a log of the followed contracts changes in the table of rights; nothing where it changes nobody's rights.
/// An event that cannot be read gives RightsFact::unreadable: it may be a revocation.
std::optional<store::RightsChange> rights_change(const ledger::Log& log, const SiteFacts& facts);

/// Feeds the table of rights from the chain that is followed.
/// What is damaged in the table never stops the following: the table then stays unusable, and whoever asks it is told so.
/// Threads: as LedgerChanges.
class RightsSink final : public ledger::LedgerChanges {
public:
    /// Requires: database and rights outlive it.
    RightsSink(database::Database& database, store::Rights& rights, SiteFacts facts) : database_(database), rights_(rights), facts_(std::move(facts)) {}

    Result<void> apply(database::Transaction& transaction, const ledger::Block& block, std::span<const ledger::Log> logs) override;
    Result<void> undo(database::Transaction& transaction, const ledger::Block& block, bool was_settled) override;
    Result<void> settle(database::Transaction& transaction, const ledger::Block& block) override;
    /// Writes down when the node last answered, at most once a minute, so that it survives a restart.
    void answered(SystemTime at) override;

private:
    database::Database& database_;
    store::Rights& rights_;
    const SiteFacts facts_;
    std::optional<SystemTime> noted_;
};

}  // namespace fiducial::archive
