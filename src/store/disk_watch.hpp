#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace fiducial::store {

/// How little free room is too little. A mark is the lesser of its two measures, so that one setting fits small disks and large ones.
struct DiskMarks {
    struct Mark {
        std::uint64_t bytes = 0;
        unsigned percent = 0;  // of the file system
    };
    Mark warn;                  // below it people are told
    Mark refuse;                // below it nothing new is taken: what is left is for the trace, the ledger and the index
    std::uint64_t reserve = 0;  // bytes below which neither mark goes, however small the disk
};

enum class DiskState : std::uint8_t { ample, low, full };
std::string_view name_of(DiskState state);

/// One file system, as a site sees it.
struct DiskRoom {
    std::filesystem::path folder;  // of the site, that lies there
    std::uint64_t free_bytes = 0, total_bytes = 0;
    std::uint64_t warn_below = 0, refuse_below = 0;  // bytes
    DiskState state = DiskState::ample;
    /// "3.1 GiB of 200.0 GiB are free where /srv/clinic/store lies".
    std::string text() const;
};

/// Watches the file systems that a site lies on.
/// Threads: safe. Each question is answered afresh (a system call a folder).
class DiskWatch {
public:
    struct Space {
        std::uint64_t free_bytes = 0, total_bytes = 0;
    };
    using Measure = std::function<Result<Space>(const std::filesystem::path&)>;

    /// `measure` is a seam for tests. Folders that are not there yet are left out.
    DiskWatch(std::vector<std::filesystem::path> folders, DiskMarks marks, Measure measure = measure_space);
    /// Returns: the one with the least room, by its state and then by bytes. A state that changed is logged. Errors: io.
    Result<DiskRoom> look() const;
    /// Errors: no_space, saying how much is free and what to do, where something new must not be taken.
    Result<void> admit() const;

    static Result<Space> measure_space(const std::filesystem::path& folder);

private:
    std::vector<std::filesystem::path> folders_;
    DiskMarks marks_;
    Measure measure_;
    mutable std::mutex mutex_;
    mutable DiskState told_ = DiskState::ample;
};

}  // namespace fiducial::store
