#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"

namespace fiducial::archive {

enum class DeliveryKind : std::uint8_t {
    commitment,    // what became of a request for storage commitment
    object,        // an instance that a rule forwards
    availability,  // which instances of a study are here
    fetch,         // the other way: a study that is to come from the peer
};
enum class DeliveryState : std::uint8_t {
    waiting,
    failed,  // given up: waits for a person
    done,    // of commitments: kept for a while, so that their UIDs are known
};
std::string_view name_of(DeliveryKind kind);
std::string_view name_of(DeliveryState state);

/// Something that is to be brought to a peer.
struct Delivery {
    std::int64_t id = 0;
    DeliveryKind kind = DeliveryKind::object;
    std::string peer;       // AE title
    std::string study_uid;  // of all but a commitment
    std::string subject;    // SOP Instance UID, Transaction UID, or Study Instance UID
    std::string content;    // of a commitment: JSON, see commitments.cpp
    // How far it is:
    DeliveryState state = DeliveryState::waiting;
    std::uint64_t since_ms = 0;  // when it began to wait, or was tried anew by a person
    std::uint32_t refusals = 0;  // by the peer, or for want of a right
    std::uint64_t next_ms = 0;   // not before
    std::string problem;         // what was wrong last
};

struct DeliveryLimits {
    std::uint32_t refusals = 10;                                           // with so many it is given up
    std::chrono::hours age{168};                                           // so it is when it has waited so long
    std::chrono::milliseconds first_pause{1'000}, longest_pause{300'000};  // between tries; each is twice the one before
    std::chrono::hours keep_done{24 * 30};
};

/// What waits to be brought to peers: it survives whatever is killed when, and goes when the peer has it. A crash between these two brings
/// it twice. What a row says is under a MAC, so that whoever can write to the index cannot make the archive send what was never asked of
/// it; how far it is, is not.
/// Spec:    docs/formats/index.md#deliveries
/// Errors:  of all: unavailable, io: the index
/// Threads: safe
class Deliveries {
public:
    Deliveries(database::Database& database, crypto::Secret row_key, DeliveryLimits limits, const Clock& clock = system_clock())
        : database_(database), row_key_(std::move(row_key)), limits_(limits), clock_(clock) {}

    /// Adds one, in the caller's transaction. An object that waits already for this peer, or was given up, waits from now on: as it is now,
    /// whatever is on its way. Errors: conflict: the peer's transaction is known already.
    Result<void> add(database::Transaction& transaction, const Delivery& delivery);

    /// Peers for whom something is due, but those that are paused.
    Result<std::vector<std::string>> peers_waiting();
    /// What is to be brought to a peer next: one thing, or objects of one study, oldest first.
    Result<std::vector<Delivery>> due(std::string_view peer, std::size_t most);
    /// Errors: not_found: it is done, or somebody discarded it.
    Result<Delivery> find(DeliveryKind kind, std::string_view peer, std::string_view subject);

    /// The peer has it.
    Result<void> done(const Delivery& delivery);
    /// Not before `pause` is over, for no fault of the peer's; given up where it is too old.
    Result<void> postpone(const Delivery& delivery, std::chrono::milliseconds pause, std::string_view why);
    /// The peer, or the contracts, did not want it.
    Result<void> refused(const Delivery& delivery, std::string_view why);
    /// It can never be brought.
    Result<void> give_up(const Delivery& delivery, std::string_view why);

    /// A peer that cannot be reached: nothing is due for it until a pause is over, which gets longer each time. What has waited too long
    /// for it is given up.
    Result<void> pause(std::string_view peer, std::string_view why);
    /// It answers again.
    void resume(std::string_view peer);

    /// Which ones a person means.
    struct Which {
        std::vector<std::int64_t> ids;  // these; none: all that the rest says
        std::string peer;               // of this one; empty: of all
        bool only_failed = false;
    };
    /// By id, those that are not done.
    Result<std::vector<Delivery>> list(std::int64_t after_id, std::size_t most);
    /// Why nothing goes to a peer at present; empty: it does.
    std::string problem_of(std::string_view peer) const;
    /// Tries again now. Returns: how many.
    Result<std::uint64_t> retry(const Which& which);
    Result<std::uint64_t> discard(const Which& which);

    struct Count {
        std::string peer;
        DeliveryKind kind = DeliveryKind::object;
        DeliveryState state = DeliveryState::waiting;
        std::uint64_t count = 0, oldest_ms = 0;
    };
    Result<std::vector<Count>> counts();

    /// Puts the rows under another key. Those that did not fit the former one fit the new one as little.
    static Result<void> rekey(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now);

private:
    struct Paused {
        SteadyTime until{};
        std::chrono::milliseconds wait{0};
        std::string why;
    };
    std::uint64_t now_ms() const { return static_cast<std::uint64_t>(clock_.now().time_since_epoch().count()); }
    std::chrono::milliseconds pause_after(std::uint32_t tries) const;
    Result<void> progress(const Delivery& delivery, DeliveryState state, std::uint32_t refusals, std::uint64_t next_ms,
                          std::string_view why);
    Result<std::uint64_t> change(const Which& which, const std::string& what);

    database::Database& database_;
    const crypto::Secret row_key_;
    const DeliveryLimits limits_;
    const Clock& clock_;
    mutable std::mutex mutex_;
    std::map<std::string, Paused, std::less<>> paused_;
};

}  // namespace fiducial::archive
