#pragma once
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "archive/backup_manifest.hpp"
#include "base/file.hpp"

namespace fiducial::archive {

/// Where a backup lies:  DIR/manifest  DIR/pieces/ab/ab…  DIR/lock
/// Spec: docs/formats/backup.md
struct BackupLayout {
    std::filesystem::path root;
    std::filesystem::path manifest() const { return root / "manifest"; }
    std::filesystem::path pieces() const { return root / "pieces"; }
    std::filesystem::path piece(const Hash& stored) const;
    std::filesystem::path lock() const { return root / "lock"; }
};

/// Makes a backup, or the next one over it. What the last complete one holds stays whole until finish() has replaced its manifest, whenever
/// this is killed; pieces that are there already are not written again.
/// Threads: one at a time.
class BackupWriter {
public:
    /// `key`: of manifests and sealed pieces. Pieces that a killed backup left are removed here. A backup under one of the former keys is
    /// replaced by a whole new one.
    /// Errors: conflict when the folder holds something else, or another site's backup; locked; corrupt when the manifest there does not
    /// fit the key.
    static Result<std::unique_ptr<BackupWriter>> open(const std::filesystem::path& folder, const Bytes32& site_id, crypto::Secret key,
                                                      std::span<const crypto::Secret> former_keys = {});

    const BackupManifest& previous() const { return previous_; }
    /// Told how many more bytes of the site were looked at; what it returns is this class's error.
    void on_progress(std::function<Result<void>(std::uint64_t bytes)> progress) { progress_ = std::move(progress); }

    /// The first `size` bytes of a file. Those of which the last backup holds the same size and time are not read again.
    /// `piece_bytes`: at most so many in a piece.
    Result<void> add_file(const std::string& path, const std::filesystem::path& source, std::uint64_t size, std::uint64_t piece_bytes,
                          bool sealed = false);
    Result<void> add_bytes(const std::string& path, ByteView bytes);
    /// A file that only grows, by what `next` gives until that is empty. `goes_on`: what the last backup holds of it comes before.
    Result<void> add_stream(const std::string& path, bool goes_on, const std::function<Result<Bytes>()>& next);

    struct Report {
        std::uint64_t files = 0, bytes = 0;                 // of the site
        std::uint64_t pieces_copied = 0, bytes_copied = 0;  // that were not there before
    };
    /// Makes all of it durable, then puts the manifest in its place, then overwrites and removes the pieces that only the one before named.
    Result<Report> finish(std::uint64_t made_ms, std::uint64_t chain_head, const Hash& chain_hash);

private:
    BackupWriter(BackupLayout layout, crypto::Secret key) : layout_(std::move(layout)), key_(std::move(key)) {}
    Result<BackupPiece> add_piece(ByteView bytes, bool sealed, const BackupPiece* before);
    Result<void> add_to(BackupFile& file, ByteView bytes, const BackupPiece* before);
    void forget_what_is_missing();
    Result<void> remove_unnamed(const BackupManifest& named);

    BackupLayout layout_;
    crypto::Secret key_;
    File lock_;
    BackupManifest previous_, manifest_;
    std::set<Hash> present_;  // pieces that are known to be whole: of the last manifest, or written since
    std::function<Result<void>(std::uint64_t)> progress_;
    Report report_;
};

/// Reads a backup. Nothing in it is believed before its hash, and nothing of the manifest before authenticate().
class BackupReader {
public:
    /// Errors: not_found when there is no backup; those of FoundManifest::decode.
    static Result<BackupReader> open(const std::filesystem::path& folder);
    Result<void> authenticate(crypto::Secret key);
    const BackupManifest& manifest() const { return found_.manifest; }

    /// A small file. Errors: not_found; corrupt; limit_exceeded.
    Result<Bytes> read(const std::string& path, std::uint64_t max_bytes) const;
    /// Checks every piece of a file, and writes the file where `target` is given. `progress`: as BackupWriter's.
    /// Returns: what is damaged, a sentence each.
    Result<std::vector<std::string>> check(const std::string& path, const std::filesystem::path* target,
                                           const std::function<Result<void>(std::uint64_t)>& progress) const;

private:
    Result<Bytes> read_piece(const BackupFile& file, const BackupPiece& piece) const;

    BackupLayout layout_;
    FoundManifest found_;
    crypto::Secret key_;
};

}  // namespace fiducial::archive
