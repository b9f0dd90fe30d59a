#pragma once
#include "archive/operations.hpp"
#include "archive/site.hpp"

namespace fiducial::archive {

struct NewRootOptions {
    unsigned recovery_needed = 2, recovery_shares = 3;  // of the new site key
    bool with_damage = false;                           // although something is damaged that could be mended from a backup until then
    /// Told of the new recovery shares as soon as they are those of the site.
    std::function<void(const RotateReport& report)> on_shares{};
    std::function<void(std::string_view step)> on_step{};  // what was done, for people
};

/// Whether a change of the root key was begun there and not finished. Errors: as of KeyFile::open.
Result<bool> is_new_root_unfinished(const std::filesystem::path& folder, const crypto::Secret& passphrase);

/// Gives a site a new root key and site key, and puts everything under them that its keys were derived for: index, shred store, key files,
/// the local node's keystore, trace. Data are to be encrypted anew afterwards (Store::reencrypt).
/// Spec: docs/design/keys.md
/// Errors: locked while an archive runs on the site; conflict: data of an earlier change are not yet encrypted anew, or something is
/// damaged; invalid_argument where the new passphrase is the former one. Whatever ends it once the shares are told:
/// finish_new_root() goes on.
Result<void> give_new_root(const std::filesystem::path& folder, const crypto::Secret& passphrase, const crypto::Secret& new_passphrase,
                           const NewRootOptions& options);

/// Goes on where an earlier run ended. Does nothing where none did.
Result<void> finish_new_root(const std::filesystem::path& folder, const crypto::Secret& passphrase,
                             const std::function<void(std::string_view step)>& on_step);

}  // namespace fiducial::archive
