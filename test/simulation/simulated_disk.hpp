#pragma once
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fate.hpp"
#include "journal.hpp"
#include "random.hpp"

namespace fiducial::simulation {

/// A disk that remembers what it owes: for each file the sectors and sizes that were not synced yet, for each folder the entries. A power
/// cut leaves of them what a real disk may leave. The files themselves are real ones in a folder; what a program does there comes through
/// here (interposed.cpp).
///
/// Model: a sector (512 bytes) is whole, old or new, each by itself; any of its states since the last sync may be there. So may any
/// size that the file had. Entries of one folder come in the order in which they were made, up to some point. fsync of a file
/// says nothing of its entry. A failed sync leaves it open what is on the disk, and a later one that succeeds does not settle that. What
/// is mapped into memory (SQLite's -shm) is never durable.
class SimulatedDisk {
public:
    /// How often calls fail: once in so many; 0: never.
    struct Faults {
        unsigned reads = 0, writes = 0, syncs = 0, entries = 0;
        bool full = false;
        bool any() const { return reads != 0 || writes != 0 || syncs != 0 || entries != 0 || full; }
    };

    /// `folder` is what the program sees, `beside` where the disk keeps every file that is not forgotten. Both are there and empty, on one
    /// file system.
    SimulatedDisk(const std::filesystem::path& folder, const std::filesystem::path& beside, Random random, Fate& fate, Journal& journal);
    ~SimulatedDisk();
    SimulatedDisk(const SimulatedDisk&) = delete;
    SimulatedDisk& operator=(const SimulatedDisk&) = delete;

    Faults faults;
    /// Syncs of files and folders whose name ends so do nothing (a folder's ends with a slash): as if the product forgot them. To see that
    /// it would be found.
    std::string forgotten_syncs;
    /// Faults that came since the last call.
    std::uint64_t take_faults();
    /// The power goes and comes back. Requires: nobody has a file open.
    void power_cut();
    /// As an orderly shutdown of the machine.
    void sync_everything();

    // As the system calls of these names; errno is set. Threads: safe.
    bool holds(const char* path) const;
    bool holds(int descriptor) const;
    /// What a path relative to an open folder means; nothing where it is none of ours.
    std::optional<std::string> path_at(int folder, const char* path) const;
    int open(const char* path, int flags, mode_t mode);
    int close(int descriptor);
    void closed(int descriptor);  // by a call that is not ours
    ssize_t read_at(int descriptor, void* out, std::size_t size, off_t offset);
    ssize_t write_at(int descriptor, const void* bytes, std::size_t size, off_t offset);
    int truncate(int descriptor, off_t size);
    int sync(int descriptor);
    int sync_all(int descriptor);
    int rename(const char* from, const char* to);
    int unlink(const char* path);
    int make_folder(const char* path, mode_t mode);
    int remove_folder(const char* path);

private:
    static constexpr std::size_t kSector = 512;
    using SectorBytes = std::array<std::uint8_t, kSector>;
    struct Sector {
        std::vector<SectorBytes> former;  // what it may hold instead of what is read from it now; the durable state first
        bool doubtful = false;            // a sync of it failed: none that follows makes it durable
    };
    struct StoredFile {
        std::uint64_t id = 0;
        int descriptor = -1;  // of our own
        bool never_durable = false;
        std::uint64_t size = 0;
        std::vector<std::uint64_t> former_sizes;
        std::map<std::uint64_t, Sector> sectors;  // by number; those that owe
    };
    struct Entry {
        std::uint64_t file = 0;  // 0: a folder
        bool operator==(const Entry&) const = default;
    };
    using Entries = std::map<std::string, Entry>;
    using Change = std::vector<std::pair<std::string, std::optional<Entry>>>;  // comes as one
    struct Folder {
        Entries durable;
        std::vector<Change> changes;
        Entries now;
    };
    struct Open {
        std::string path;
        std::uint64_t file = 0;  // 0: a folder
    };
    class Own;

    std::string name_of(const std::string& path) const;
    std::string name_of(int descriptor) const;
    std::filesystem::path kept_at(std::uint64_t id) const;
    Folder& folder_of(const std::string& path, std::string& name);
    void change_entries(Folder& folder, Change change);
    static void apply(Entries& entries, const Change& change);
    StoredFile& file_of(int descriptor);
    void before_change(StoredFile& file, std::uint64_t first, std::uint64_t size);
    void resize(StoredFile& file, std::uint64_t size);
    void make_durable(StoredFile& file);
    void leave_open(StoredFile& file);
    void settle(StoredFile& file);
    void settle_entries(const std::string& path, std::vector<std::pair<std::string, Entry>>& kept);
    bool fails(unsigned one_in);
    template <typename Call>
    int change(std::string_view what, const std::string& subject, Call&& call, const std::function<void()>& begin = {});

    const std::string folder_;
    const std::filesystem::path beside_;
    Random random_;
    Fate& fate_;
    Journal& journal_;
    mutable std::recursive_mutex mutex_;
    std::uint64_t last_id_ = 0;
    std::map<std::uint64_t, StoredFile> files_;
    std::map<ino_t, std::uint64_t> by_inode_;
    std::map<std::string, Folder> folders_;
    std::map<int, Open> open_;
    std::uint64_t new_faults_ = 0;
};

}  // namespace fiducial::simulation
