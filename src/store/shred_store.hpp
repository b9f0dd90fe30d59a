#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"
#include "store/keyring.hpp"
#include "store/types.hpp"

namespace fiducial::store {

inline constexpr std::uint32_t kSlotsPerPage = 1024;

/// Secrets of one study: names are made from K, data are encrypted under D.
struct StudySecretPair {
    crypto::Secret k;
    crypto::Secret d;
    // While data are encrypted anew:
    crypto::Secret former_d;         // under which data in segments up to this one may still be
    std::uint32_t former_until = 0;  // 0: there is none
};

/// How far a store was in use when it got a new root key.
struct UsedSecrets {
    Slot study_slots = 0, patient_slots = 0;  // slots below these
    std::uint32_t segment = 0;                // segments up to this one
};

/// Keeps the secrets without which nothing of a study or patient can be read or named, and destroys them on demand.
/// Small files of 1,024 slots each (pages), made ahead and synced, each rewritten under a fresh key at each erasure.
/// Spec: docs/formats/shred_store.md
/// Errors of all: corrupt (names the page), wrong_passphrase when the site key is not the one that made it, io, no_space.
/// Threads: safe. Survives kill -9 at any moment: a page is the old one or the new one.
class ShredStore {
public:
    /// Opens the folder. Where it holds no page, the first of each kind is made if `may_make` (nothing is stored under them yet).
    static Result<std::unique_ptr<ShredStore>> open(const std::filesystem::path& folder, const Keyring& keyring, bool may_make = true);
    ~ShredStore();

    /// Takes the next free slot; a page is made (and synced) when none is left. Which slots are taken is told by the index
    /// at start (mark_used): a slot that nothing durable names is taken again.
    Result<Slot> allocate_study_slot();
    Result<Slot> allocate_patient_slot();
    /// All slots up to and including this one are taken.
    void mark_study_slots_used(Slot highest);
    void mark_patient_slots_used(Slot highest);
    /// How many slots the pages hold. What was stored under a higher one cannot be read: secrets_missing().
    std::uint64_t study_slots() const;
    std::uint64_t patient_slots() const;

    /// Errors: not_found: destroyed. corrupt: no page holds the slot.
    Result<StudySecretPair> study_secrets(Slot slot) const;
    Result<crypto::Secret> patient_secret(Slot slot) const;

    /// Destroys a slot's secrets for good. Durable when it returns; idempotent. The page's former file is overwritten then,
    /// as far as the file system permits; a copy in a backup lives until the backup goes.
    Result<void> destroy_study(Slot slot);
    Result<void> destroy_patient(Slot slot);

    /// Hands out every page as it stands in its file, checked, and the file's name. Each is of one moment; slots that were taken before the
    /// call are in them. For backups: whoever keeps a copy keeps what was destroyed since.
    Result<void> copy_pages(const std::function<Result<void>(const std::string& file_name, ByteView page)>& take) const;

    /// The highest segment with data that may be under a former D of their study. 0: none is.
    std::uint32_t former_until() const;
    /// Destroys the former Ds for good. Durable when it returns; can be repeated after a failure.
    /// Requires: nothing that anybody needs is under them any more.
    Result<void> forget_former();
    /// Writes every page again, wrapped under another root key, with a fresh D beside the former one in each slot of a study that is in
    /// use, and wholly fresh secrets in those that are not. Can be repeated after a failure. Requires: nobody has the folder open.
    /// Errors: conflict where pages hold former Ds already.
    static Result<void> renew(const std::filesystem::path& folder, const Keyring& former, const Keyring& now, const UsedSecrets& used);
    /// The slots below these are in use.
    Slot study_slots_used() const;
    Slot patient_slots_used() const;

private:
    struct State;
    explicit ShredStore(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// What is said where something is stored under secrets that no page holds. kind: "study" or "patient".
Error secrets_missing(std::string_view kind, std::uint64_t slot, std::uint64_t slots);

}  // namespace fiducial::store
