#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "archive/access.hpp"
#include "ledger/outbox.hpp"

namespace fiducial::archive {

/// Why a doctor breaks the glass: words that a list has, for whoever looks through them later.
std::span<const std::string_view> emergency_reasons();
inline constexpr std::uint64_t kEmergency_s = 3600;  // how long it stays open

/// What this archive decides about its patients, for those who have no wallet, and the emergencies that its doctors open. Each is a row
/// under a MAC and a call in the outbox, in one commit: what takes away, and an emergency, counts here from when the function returns, also
/// with the node away; a grant, and a restriction that is lifted, once it is settled. Nothing is sent twice: each call is stored once, and
/// the contract refuses an epoch or serial that was used. Spec:     docs/design/rights.md; contracts/src/Consents.sol Requires: the caller
/// asked Access first and left a trace. Errors:   of all that write: unavailable where the table of rights does not know the patient's
/// epoch and serials; corrupt. Threads:  safe.
class Consents {
public:
    /// Requires: what is referred to outlives it.
    Consents(database::Database& database, store::Rights& rights, Access& access, ledger::Outbox& outbox, const SiteFacts& facts,
             const Clock& clock = system_clock())
        : database_(database), rights_(rights), access_(access), outbox_(outbox), facts_(facts), clock_(clock) {}

    /// Who decided what, and why.
    struct By {
        Bytes32 person{};
        std::string study_uid;  // that was named; empty: the patient was
        std::string reason;     // of an emergency: one of emergency_reasons()
        std::string note;
    };
    /// Errors: invalid_argument for a reason that the list lacks, or without words.
    static Result<void> check_ground(std::string_view reason, std::string_view words);
    /// For kEmergency_s from now on. Two that meet are one. Requires: a ground that passed check_ground().
    Result<store::LocalChange> open_emergency(const Hash& patient_key, const By& by);

    /// To a person or institution, or to whoever has a role; for all studies (scope zeros) or one. Counts once it is settled.
    /// Errors: invalid_argument for a target, purpose or end that the contract refuses.
    Result<store::LocalChange> grant(const Hash& patient_key, const Target& to, const Hash& scope, Purpose purpose, std::uint64_t until,
                                     const By& by);
    /// One grant, or all (zeros). Errors: not_found: there is no such grant.
    Result<store::LocalChange> revoke(const Hash& patient_key, const Hash& grant_id, const By& by);
    Result<store::LocalChange> restrict(const Hash& patient_key, const Target& whom, const Hash& scope, const By& by);
    /// Counts once it is settled. Errors: not_found: no such restriction is in force.
    Result<store::LocalChange> lift(const Hash& patient_key, const Hash& restriction_id, const By& by);

    static Hash grant_id(const Target& to, const Hash& scope, Purpose purpose);
    static Hash restriction_id(const Target& whom, const Hash& scope);
    /// Of a patient's grants or restrictions, the one whose id begins so, in hex. Errors: not_found; conflict: several do.
    Result<Hash> find(const Hash& patient_key, store::RightsFact fact, std::string_view id_begins) const;

    /// What waits and the outbox does not know of: its row was altered and taken away.
    Result<std::vector<store::LocalChange>> unsent() const;
    /// Sends that again. Returns: how many.
    Result<std::uint64_t> send_again();
    /// All that was ever decided here, in order.
    Result<std::vector<store::LocalChange>> all() const;
    /// How far it is on its way to the chain. Errors: not_found: the outbox does not know of it; corrupt.
    Result<ledger::OutboxItem> sent(database::Transaction& transaction, const store::LocalChange& local) const;

private:
    /// What is known of a patient: told by the chain, or decided here.
    struct Known {
        std::vector<store::RightsChange> changes;
        std::uint64_t at = 0;  // s since 1970: by the clock or the newest block, whichever is later
        std::uint64_t epoch() const;
        std::uint64_t last_serial(const Hash& restriction_id) const;
        const store::RightsChange* last(store::RightsFact fact, const Hash& item) const;
    };
    Result<store::LocalChange> decide(const Hash& patient_key, const By& by,
                                      const std::function<Result<void>(store::LocalChange& local, const Known& known)>& fill);
    Result<std::vector<store::RightsChange>> known_of(database::Transaction& transaction, const Hash& patient_key) const;
    Result<std::vector<store::LocalChange>> unsent(database::Transaction& transaction) const;
    Result<void> enqueue(database::Transaction& transaction, const store::LocalChange& local);

    database::Database& database_;
    store::Rights& rights_;
    Access& access_;
    ledger::Outbox& outbox_;
    const SiteFacts facts_;
    const Clock& clock_;
};

}  // namespace fiducial::archive
