#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "database/database.hpp"
#include "store/keyring.hpp"

namespace fiducial::store {

/// What kind of change to somebody's rights the chain told of. The numbers are stored.
enum class RightsFact : std::uint8_t {
    institution_registered = 1,
    institution_activity = 2,
    person_registered = 3,
    person_roles = 4,
    person_activity = 5,
    person_removed = 6,
    device_registered = 7,
    device_changed = 8,
    device_removed = 9,
    controller = 20,
    guardian = 21,
    grant = 22,
    revocation = 23,
    restriction = 24,
    emergency_opened = 25,
    emergency_closed = 26,
    unreadable = 90,  // an event that could not be read: whatever rests on the table from here on is unknown
};

/// One change, as the event said it. Fields that a kind does not have are zero.
struct RightsChange {
    RightsFact fact = RightsFact::unreadable;
    std::uint64_t log_index = 0;  // within the block
    Bytes32 about{};              // id in `Members`; of consents: the holder
    Hash patient_key{};           // consents
    Bytes32 item{};               // id of a grant or restriction; an emergency's ground
    Bytes32 other{};          // institution of a person or device; controller, guardian, doctor; id of a grant's or restriction's target
    std::uint8_t detail = 0;  // ControllerKind, TargetKind
    std::uint32_t bits = 0;   // roles, a device's operations, a target's role
    Hash scope{};
    std::uint8_t purpose = 0;
    std::uint64_t from = 0, until = 0;  // s since 1970
    std::uint64_t epoch = 0;            // a restriction's serial
    bool on = false;                    // active; a restriction's
    bool operator==(const RightsChange&) const = default;
};

/// All changes from a first to a latest block, without a gap.
struct RightsHistory {
    std::uint64_t first_block = 0, latest_block = 0;
    std::uint64_t latest_time = 0;                                // of that block, s since 1970
    std::uint64_t settled_block = 0;                              // 0: none
    std::vector<std::pair<std::uint64_t, RightsChange>> changes;  // with the block each came from
};

/// How far the table follows the chain.
struct RightsState {
    std::uint64_t first_block = 0;  // from here on without a gap; 0: nothing yet
    std::uint64_t latest_block = 0;
    std::uint64_t latest_time = 0;    // of that block, s since 1970
    std::uint64_t settled_block = 0;  // 0: none
    std::uint64_t answered = 0;       // when the node last answered, s since 1970; written at most once a minute. 0: never
    std::uint64_t changes = 0;        // rows
};

/// The site's own denial: holds at once, whatever the chain says. Of a subject, of a patient, or of a subject about a patient.
struct LocalDenial {
    std::int64_t id = 0;
    Bytes32 subject{};        // zeros: everybody
    Hash patient_key{};       // zeros: all patients
    std::string reason;       // for people; at most 1,000 bytes, no patient's name
    std::uint64_t since = 0;  // s since 1970
};

/// A change that this archive decided by itself: written here first, sent to the chain by the outbox, and known to be there once the chain
/// has told of it in a settled block. Kept afterwards, for who decided it and why.
struct LocalChange {
    std::int64_t id = 0;
    RightsChange change;              // as the event will say it; log_index 0
    Bytes32 person{};                 // who decided it
    std::string study_uid;            // that was named; empty: the patient was
    std::string reason;               // of a list
    std::string note;                 // in words; with `reason` at most 1,000 bytes
    Bytes32 salt{};                   // of an emergency's ground
    std::uint64_t made = 0;           // s since 1970
    std::uint64_t settled_block = 0;  // in which the chain told of it; 0: it waits
};

/// The rights that the chain told of, event by event with the block each came from, so that the state at any height up to the
/// latest can be made from them and a reorganisation is undone by taking rows away. Every row is under a MAC and names the MAC of
/// the row before it; the state names the last one. What the rows mean is the archive's business.
/// Spec:    docs/formats/index.md#rights
/// Errors:  corrupt, naming table and row, when a row was changed, removed or put back.
/// Threads: safe; a Transaction belongs to one thread.
class Rights {
public:
    explicit Rights(const Keyring& keyring) : row_key_(keyring.row_key().clone()) {}

    Result<RightsState> state(database::Transaction& transaction) const;

    /// A block became part of the chain. Requires: changes ascend by log_index.
    /// Errors: conflict when it does not follow the latest block; the table stands as it was, and only replace() brings it on.
    Result<void> apply(database::Transaction& transaction, std::uint64_t block, std::uint64_t time, std::span<const RightsChange> changes);
    /// The latest block is no longer part of it. Blocks that were never applied are let pass.
    Result<void> undo(database::Transaction& transaction, std::uint64_t block);
    Result<void> settle(database::Transaction& transaction, std::uint64_t block);
    /// Puts a whole history in place of what stands there. Local denials and the last answer stay; where the state's own row cannot be
    /// read, a new one vouches for the denials that are left, says so in the log, and knows no last answer.
    /// Errors: corrupt when a denial's row is damaged as well: nobody is served until a person has looked.
    /// Requires: changes ascend by block and log_index, none is later than the latest block.
    Result<void> replace(database::Transaction& transaction, const RightsHistory& history);
    Result<void> note_answer(database::Transaction& transaction, std::uint64_t seconds);

    // A settled block that tells of a local change is noted in its row; one that is undone, or is not in a history put in place, is not.

    /// Changes about a person, device or institution up to and including a block, in order.
    Result<std::vector<RightsChange>> about(database::Transaction& transaction, const Bytes32& id, std::uint64_t up_to_block) const;
    /// Changes to what a holder's patient decided, likewise.
    Result<std::vector<RightsChange>> about_patient(database::Transaction& transaction, const Bytes32& holder, const Hash& patient_key,
                                                    std::uint64_t up_to_block) const;
    Result<std::vector<RightsChange>> of_block(database::Transaction& transaction, std::uint64_t block) const;
    /// Whether an event up to that block could not be read.
    Result<bool> has_unreadable(database::Transaction& transaction, std::uint64_t up_to_block) const;

    /// Requires: Durability::full. Returns: the denial's id. Errors: invalid_argument when it names neither.
    Result<std::int64_t> add_denial(database::Transaction& transaction, LocalDenial denial);
    /// Errors: not_found.
    Result<void> remove_denial(database::Transaction& transaction, std::int64_t id);
    Result<std::vector<LocalDenial>> denials(database::Transaction& transaction) const;

    /// Requires: Durability::full. Returns: its id. Errors: limit_exceeded for a reason that is too long.
    Result<std::int64_t> add_local_change(database::Transaction& transaction, const LocalChange& change);
    /// In the order in which they were made.
    Result<std::vector<LocalChange>> local_changes(database::Transaction& transaction) const;
    /// What is left of the denials and local changes counts from now on; rows whose own MAC does not fit go. For `fsck --repair`, once a
    /// person was told. Requires: Durability::full. Errors: corrupt: the state's own row, which the ledger mends first.
    Result<void> accept_local_rows(database::Transaction& transaction);

    /// Checks every MAC and all chains of rows. Returns: what does not fit.
    Result<std::vector<Error>> check_all(database::Transaction& transaction) const;

private:
    Result<std::vector<RightsChange>> changes_about(database::Transaction& transaction, const Bytes32& id, const Hash& patient_key,
                                                    std::uint64_t up_to_block) const;
    crypto::Secret row_key_;
};

}  // namespace fiducial::store
