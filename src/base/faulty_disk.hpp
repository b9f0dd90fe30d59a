#pragma once
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>

namespace fiducial {

/// Makes the disk under a test fail. The calls of the C library that change files are defined in the test program itself and forward to the
/// real ones, so that whoever makes them is met: `File`, SQLite. As with Linux' page cache, a failed sync drops what was written since the
/// last good one, and the next sync succeeds.
/// Requires: one at a time; made before the threads that use the disk, or while they rest. Threads: the fault is asked by all of them.
class FaultyDisk {
public:
    enum class Call : std::uint8_t { create, write, sync, truncate, rename, remove, sync_folder };
    struct Operation {
        Call call = Call::write;
        std::filesystem::path path;
        std::uint64_t size = 0;  // bytes written, or the size that is left
    };
    /// Returns: the error (EIO, ENOSPC …) that the operation fails with, having done nothing; 0: it goes through.
    using Fault = std::function<int(const Operation&)>;

    /// Concerns what lies below `folder`. Calls that open a file without making it, and reads, always go through.
    FaultyDisk(const std::filesystem::path& folder, Fault fault);
    ~FaultyDisk();
    FaultyDisk(const FaultyDisk&) = delete;
    FaultyDisk& operator=(const FaultyDisk&) = delete;

    void set(Fault fault);
};

}  // namespace fiducial
