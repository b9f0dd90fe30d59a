#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "archive/requester.hpp"
#include "archive/site.hpp"
#include "base/clock.hpp"
#include "ledger/follower.hpp"
#include "ledger/rpc.hpp"
#include "store/store.hpp"

namespace fiducial::archive {

/// What the contracts said to a request, and on which block that rests.
struct Decision {
    bool allowed = false;
    std::uint16_t reason = 0;        // IConsents.Reason
    std::uint8_t obligation = 0;     // IConsents.Obligation
    std::uint64_t valid_until = 0;   // s since 1970; 0 for a denial
    std::uint64_t block_number = 0;
    Hash block_hash{};
    bool node_away = false;          // rests on what was known before the node went away

    /// Errors: denied, with the reason in words. For callers that go on only when allowed.
    Result<void> require() const;
};
/// Returns: a sentence for people, for each value of IConsents.Reason.
std::string_view reason_text(std::uint16_t reason);

/// What is asked about: the patient and study as the contracts know them.
struct Subject {
    Bytes32 patient_key{};
    Bytes32 scope_ref{};  // zeros: all of the patient's
};

/// Asks the contracts whether somebody may do something, and remembers the answer until something changes.
/// Allowed only if both the settled and the latest state allow it.
/// Threads: safe. As LedgerChanges it must be among the follower's sinks.
/// Security: fails closed. Whatever cannot be asked, and is not covered by the node-away rules, is denied.
class Access final : public ledger::LedgerChanges {
public:
    Access(ledger::Rpc& rpc, const SiteFacts& facts, const Clock& clock = system_clock());
    void set_follower(const ledger::Follower* follower) { follower_ = follower; }

    /// Errors: unavailable when the node is away and the rules for that do not cover the request.
    Result<Decision> decide(const Requester& who, const Subject& about, Operation operation);

    std::uint64_t cached() const;

    Result<void> apply(database::Transaction& transaction, const ledger::Block& block, std::span<const ledger::Log> logs) override;
    Result<void> undo(database::Transaction& transaction, const ledger::Block& block, bool was_settled) override;
    Result<void> settle(database::Transaction& transaction, const ledger::Block& block) override;
    void committed() override;

private:
    using Key = Bytes32;  // H of everything that the answer depends on
    Result<Decision> ask(const Requester& who, const Subject& about, Operation operation);
    Result<Decision> ask_at(const Requester& who, const Subject& about, Operation operation, const Hash& block_hash, std::uint64_t block, std::uint64_t at);
    Result<Decision> without_node(const Key& key, const Error& why);

    ledger::Rpc& rpc_;
    const SiteFacts facts_;
    const Clock& clock_;
    const ledger::Follower* follower_ = nullptr;
    mutable std::mutex mutex_;
    std::unordered_map<Key, Decision, BytesHash> cache_;
    std::uint64_t generation_ = 0;  // counts what was forgotten, so that an answer under way is not kept past it
    bool drop_ = false;             // the follower's thread only
};

}  // namespace fiducial::archive
