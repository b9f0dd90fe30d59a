#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "audit/proof.hpp"

namespace fiducial::audit {

/// A copy of the log for everybody who checks it, in the layout that tiled logs are served in: 256 entries, or hashes, to a file. From it
/// roots and proofs of a log of any size come with a few small reads. It is made from the trace and proves nothing by itself: what comes
/// out of it is compared with a root that the trace, or a signature, vouches for.
/// Spec: C2SP tlog-tiles.
/// Threads: one at a time.
class TileFolder {
public:
    explicit TileFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}
    const std::filesystem::path& path() const { return folder_; }

    /// Goes on from `from`, the size up to which it was made, to the trace's first `to` entries. Requires: from <= to <= trace.size().
    /// Errors: io, no_space; corrupt when the trace cannot be read, or tiles of `from` entries are missing.
    Result<void> extend(const Trace& trace, std::uint64_t from, std::uint64_t to);
    /// Forgets all there is.
    Result<void> clear();

    /// Of a tree that tiles were made for. Errors: corrupt where a tile is missing or has another length; io.
    Result<Hash> hash(std::uint64_t begin, std::uint64_t end) const;
    RangeHash hashes() const {
        return [this](std::uint64_t begin, std::uint64_t end) { return hash(begin, end); };
    }

    /// Compares every file for the trace's first `size` entries. Returns: the first that differs, by its path in the folder.
    Result<std::optional<std::string>> first_difference(const Trace& trace, std::uint64_t size) const;

    /// The newest signed checkpoint; nothing where there is none. Errors: io; limit_exceeded.
    Result<std::optional<std::string>> checkpoint() const;
    Result<void> set_checkpoint(std::string_view note);

private:
    std::filesystem::path folder_;
};

/// "tile/0/x001/234", "tile/entries/000.p/7": where a tile of `width` hashes, or entries, lies. level: -1 for entries.
std::string tile_path(int level, std::uint64_t index, std::size_t width);

}  // namespace fiducial::audit
