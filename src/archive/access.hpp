#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "archive/access/evaluate.hpp"
#include "archive/accounts.hpp"
#include "archive/devices.hpp"
#include "archive/requester.hpp"
#include "archive/site.hpp"
#include "base/clock.hpp"
#include "ledger/follower.hpp"
#include "ledger/rpc.hpp"
#include "store/rights.hpp"
#include "store/store.hpp"

namespace fiducial::archive {

/// What the contracts said to a request, and on which block that rests.
struct Decision {
    bool allowed = false;
    std::uint16_t reason = 0;       // IConsents.Reason
    std::uint8_t obligation = 0;    // IConsents.Obligation
    std::uint64_t valid_until = 0;  // s since 1970; 0 for a denial
    std::uint64_t block_number = 0;
    Hash block_hash{};
    bool node_away = false;  // rests on what was known before the node went away

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

/// Says whether somebody may do something. While the own node answers, the contracts are asked and the answer is remembered until
/// something changes that it depends on; while it is away or behind, the table of rights is, within the bounds of docs/design/rights.md.
/// Allowed only if both the settled and the latest state allow it and no local denial stands.
/// Threads: safe. As LedgerChanges it must be among the follower's sinks, after RightsSink.
/// Security: fails closed. Whatever cannot be asked, and is not covered by the node-away rules, is not allowed.
class Access final : public ledger::LedgerChanges {
public:
    /// Requires: what is referred to outlives it.
    Access(ledger::Rpc& rpc, const SiteFacts& facts, database::Database& database, store::Rights& rights,
           const Clock& clock = system_clock());
    void set_follower(const ledger::Follower* follower) { follower_ = follower; }
    /// Who may store goes on storing by these where the node is away and the table of rights knows nothing.
    void set_accounts(Accounts* accounts, Devices* devices) {
        accounts_ = accounts;
        devices_ = devices;
    }
    /// Whether the chain that this site alone had is gone, and no node can come back with it. Without it: never.
    void set_chain_gone(std::function<bool()> gone) { chain_gone_ = std::move(gone); }

    /// `change` says what an operation `consent` would do.
    /// Errors: unavailable when the node is away and the rules for that do not cover the request; corrupt when what is known
    /// here was changed behind our back.
    Result<Decision> decide(const Requester& who, const Subject& about, Operation operation, ConsentChange change = ConsentChange::none);

    /// For a row of a list: likewise, but by the table of rights while it is as new as the chain, so that a list asks the node nothing.
    /// What is read is confirmed by decide(). Never for operations that change something.
    Result<Decision> decide_listed(const Requester& who, const Subject& about, Operation operation);

    /// Denies at once, whatever the chain says, until it is taken back. Durable when it returns.
    /// Errors: invalid_argument when it names neither a subject nor a patient.
    Result<std::int64_t> add_denial(const Bytes32& subject, const Hash& patient_key, std::string reason);
    /// Errors: not_found.
    Result<void> remove_denial(std::int64_t id);
    Result<std::vector<store::LocalDenial>> denials() const;

    /// With the node away longer, what was last settled no longer counts: at most a day.
    void set_away_limit(std::chrono::seconds limit) { away_limit_s_ = static_cast<std::uint64_t>(limit.count()); }

    /// Writes what this site decides by itself, durably: decisions know of it from when this returns.
    Result<void> change_local_rows(const std::function<Result<void>(database::Transaction& transaction)>& body);

    std::uint64_t cached() const;

    Result<void> apply(database::Transaction& transaction, const ledger::Block& block, std::span<const ledger::Log> logs) override;
    Result<void> undo(database::Transaction& transaction, const ledger::Block& block, bool was_settled) override;
    Result<void> settle(database::Transaction& transaction, const ledger::Block& block) override;
    void committed() override;

private:
    using Key = Bytes32;  // H of everything that the answer depends on
    struct Kept {
        Decision decision;
        Bytes32 subject{};
        Hash patient_key{};
    };
    /// What a commit of the follower changes.
    struct Touched {
        bool everything = false;
        std::set<Bytes32> subjects;
        std::set<Hash> patients;
        bool any() const { return everything || !subjects.empty() || !patients.empty(); }
    };
    /// What an answer depends on besides the state: of the chain, or of the table.
    enum class Source : std::uint8_t { node, table };
    static Key key_of(const Requester& who, const Subject& about, Operation operation, Source source);
    std::optional<Decision> remembered(const Key& key, const ledger::FollowerStatus& status);
    void remember(const Key& key, const Requester& who, const Subject& about, const Decision& answer, const ledger::FollowerStatus& status,
                  std::uint64_t generation);
    Result<bool> is_outdated(const Decision& decision);
    Result<Decision> with_local_rows(const Requester& who, const Subject& about, Operation operation, Decision answer);
    Result<std::optional<Decision>> by_table(const Requester& who, const Subject& about, Operation operation,
                                             const ledger::FollowerStatus& status);
    std::uint64_t generation() const;
    Result<Decision> by_node(const Requester& who, const Subject& about, Operation operation, ConsentChange change);
    Result<Decision> ask(const Requester& who, const Subject& about, Operation operation);
    Result<Decision> ask_at(const Requester& who, const Subject& about, Operation operation, const Hash& block_hash, std::uint64_t block,
                            std::uint64_t at);
    Result<Decision> without_node(const Requester& who, const Subject& about, Operation operation, ConsentChange change,
                                  const std::string& why);
    Result<Decision> store_by_accounts(const Requester& who, bool denied_here, const std::string& why);
    /// As by_node(), for an answer of the contract, which does not know yet what was decided here last.
    Result<Decision> with_local_changes(const Requester& who, const Subject& about, Operation operation, Decision answer);
    Result<RightsSnapshot> snapshot_at(database::Transaction& transaction, const Requester& who, const Subject& about, std::uint64_t block,
                                       std::span<const store::RightsChange> waiting) const;
    /// What stands in the index alone.
    struct Local {
        std::vector<store::LocalDenial> denials;
        std::unordered_map<Hash, std::vector<store::RightsChange>, BytesHash> waiting;  // by patient: not settled on the chain
    };
    Result<std::shared_ptr<const Local>> local() const;
    Result<std::vector<store::RightsChange>> waiting(const Hash& patient_key) const;
    Result<bool> is_denied_here(const Bytes32& subject, const Hash& patient_key) const;
    ledger::FollowerStatus chain() const;
    void touch(const store::RightsChange& change);

    ledger::Rpc& rpc_;
    const SiteFacts facts_;
    database::Database& database_;
    store::Rights& rights_;
    const Clock& clock_;
    const ledger::Follower* follower_ = nullptr;
    Accounts* accounts_ = nullptr;
    Devices* devices_ = nullptr;
    std::function<bool()> chain_gone_;
    std::uint64_t away_limit_s_ = 24 * 3600;
    mutable std::mutex mutex_;
    std::unordered_map<Key, Kept, BytesHash> cache_;
    std::uint64_t generation_ = 0;  // counts what was forgotten, so that an answer under way is not kept past it
    mutable std::mutex local_mutex_;
    mutable std::shared_ptr<const Local> local_;  // as in the database; null: to be read
    Touched touched_;                             // the follower's thread only
    std::optional<std::uint64_t> last_applied_;   // likewise
};

}  // namespace fiducial::archive
