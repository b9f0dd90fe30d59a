#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace fiducial::archive {

/// A run of a file's bytes as it lies in a backup: in a file of its own that bears the SHA-256 of what stands in it.
struct BackupPiece {
    Hash stored{};           // of the bytes in the backup
    std::uint64_t size = 0;  // of the bytes in the site
    Hash plain{};            // sealed files: HMAC of the bytes in the site, which says whether they have changed; else zeros
};

/// A file of the site.
struct BackupFile {
    std::uint64_t size = 0;
    std::int64_t modified_ns = 0;  // since 1970, when it was read; 0: not known, or too young to rely upon
    bool sealed = false;           // encrypted for the backup alone: what stands in clear in the site
    std::vector<BackupPiece> pieces;

    std::uint64_t stored_size(const BackupPiece& piece) const;
};

/// What a backup holds. The newest complete one replaces the one before in one step.
/// Spec: docs/formats/backup.md
struct BackupManifest {
    Bytes32 site_id{};
    std::uint64_t made_ms = 0;     // the moment that it is of
    std::uint64_t chain_head = 0;  // number and hash of the last block in it; 0: none
    Hash chain_hash{};
    std::map<std::string, BackupFile> files;  // by path below the site's folder, with '/'

    std::string body() const;
    /// The file, under a MAC.
    Bytes encode(const crypto::Secret& key) const;
};

/// A manifest as it was found: what it says counts once the MAC was checked.
struct FoundManifest {
    BackupManifest manifest;
    std::string body;
    Hash mac{};

    /// Errors: malformed, naming the field; unsupported for a newer format; limit_exceeded.
    static Result<FoundManifest> decode(ByteView file);
    /// Errors: corrupt when the MAC does not fit: altered, or another site's.
    Result<void> authenticate(const crypto::Secret& key) const;
};

/// Of the local node: no file of the site, but whole blocks in RLP one after the other, from block 1 on.
inline constexpr std::string_view kBlocksInBackup = "ledger/blocks.rlp";

inline constexpr std::uint64_t kMaxManifestBytes = std::uint64_t{256} << 20;  // some 50 TB of objects
inline constexpr std::uint64_t kMaxPieceBytes = std::uint64_t{16} << 20;

}  // namespace fiducial::archive
