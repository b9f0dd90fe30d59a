#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace fiducial::dicom {

struct ZipLimits {
    std::uint64_t entries = 200'000;
    std::uint64_t entry_bytes = 16ull << 30;   // uncompressed
    std::uint64_t total_bytes = 256ull << 30;  // uncompressed, of all entries
    std::uint64_t ratio = 2000;                // uncompressed : compressed, of an entry larger than 16 MiB
};

struct ZipEntry {
    std::uint64_t index = 0;
    std::string name;        // UTF-8, '/' between components; checked not to leave its folder
    std::uint64_t size = 0;  // as the archive claims; reading stops there
};

/// An entry that is not given out: the others are.
struct RefusedZipEntry {
    std::string name;  // as it stands there
    Error why;
};

/// Reads a ZIP file entry by entry. Never writes anything; nothing is held in memory but a buffer and the directory.
/// Security: encrypted entries, absolute paths, "..", NULs, links and sizes beyond the limits are refused, each by itself; what an entry
/// really inflates to is counted, checksums are verified.
/// Threads: one at a time.
class ZipReader {
public:
    /// Errors: malformed, limit_exceeded (the number of entries), not_found, io: of the file as a whole.
    static Result<ZipReader> open(const std::filesystem::path& path, ZipLimits limits = {});
    ZipReader(ZipReader&&) noexcept;
    ZipReader& operator=(ZipReader&&) noexcept;
    ~ZipReader();

    /// Files only, in the order of the archive.
    const std::vector<ZipEntry>& entries() const;
    /// malformed, unsupported (encrypted), limit_exceeded.
    const std::vector<RefusedZipEntry>& refused() const;
    /// Hands the entry's bytes to the sink in pieces; an error of the sink ends the reading and is returned.
    Result<void> read(const ZipEntry& entry, const std::function<Result<void>(ByteView)>& sink) const;

private:
    struct State;
    explicit ZipReader(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace fiducial::dicom
