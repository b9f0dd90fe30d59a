#pragma once
#include <atomic>
#include <filesystem>

#include "archive/operations.hpp"
#include "crypto/recovery_share.hpp"
#include "crypto/secret.hpp"

namespace fiducial::archive {

struct RestoreOptions {
    std::filesystem::path source;  // a backup
    std::filesystem::path folder;  // for the site: new, or empty
    std::string
        ledger;  // a site with a node of its own: the folder of a chain that is newer than the backup's; else the node's new address
    std::filesystem::path geth;  // empty: as the site's settings say
    std::vector<crypto::RecoveryShare>
        shares;  // where the passphrase is lost: these open the backup, and the site gets the passphrase that is given
};

/// Makes a site again from a backup, beside its place, and moves it there when all of it is checked, its ledger answers, and what was
/// erased since is erased again: no door of it opens before. Errors: wrong_passphrase; corrupt when the backup is damaged or altered,
/// naming what; conflict when the folder is not empty; unavailable when
///         the ledger does not answer; cancelled. Nothing is left then.
/// Returns: what was restored, how many studies were erased again, which versions the ledger holds and the backup does not.
Result<boost::json::object> restore_site(const RestoreOptions& options, const crypto::Secret& passphrase, const EmitEvent& emit,
                                         const std::atomic<bool>& stop);

/// Reads the whole of a backup and compares it with its manifest. Errors: as above.
Result<boost::json::object> check_backup(const RestoreOptions& options, const crypto::Secret& passphrase, const EmitEvent& emit,
                                         const std::atomic<bool>& stop);

}  // namespace fiducial::archive
