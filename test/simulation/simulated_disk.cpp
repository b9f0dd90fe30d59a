#include "simulated_disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <stdexcept>
#include <utility>

namespace fiducial::simulation {
namespace {

thread_local int own_calls = 0;  // > 0: the disk's own calls, not the program's

constexpr std::string_view kMapped = "-shm";

[[noreturn]] void broken(const std::string& what) {
    throw std::runtime_error("the simulated disk: " + what + ": " + std::strerror(errno));
}

}  // namespace

class SimulatedDisk::Own {
public:
    Own() { ++own_calls; }
    ~Own() { --own_calls; }
};

SimulatedDisk::SimulatedDisk(const std::filesystem::path& folder, const std::filesystem::path& beside, Random random, Fate& fate,
                             Journal& journal)
    : folder_(folder.string()), beside_(beside), random_(random), fate_(fate), journal_(journal) {
    folders_[folder_];
}

SimulatedDisk::~SimulatedDisk() {
    const Own own;
    for (const auto& [id, file] : files_) ::close(file.descriptor);
}

std::uint64_t SimulatedDisk::take_faults() {
    const std::lock_guard lock(mutex_);
    return std::exchange(new_faults_, 0);
}

bool SimulatedDisk::fails(unsigned one_in) {
    if (!random_.one_in(one_in)) return false;
    ++new_faults_;
    return true;
}

// ---- names

bool SimulatedDisk::holds(const char* path) const {
    if (own_calls > 0 || path == nullptr) return false;
    const std::string_view text(path);
    return text.starts_with(folder_) && (text.size() == folder_.size() || text[folder_.size()] == '/');
}

bool SimulatedDisk::holds(int descriptor) const {
    if (own_calls > 0) return false;
    const std::lock_guard lock(mutex_);
    return open_.contains(descriptor);
}

std::optional<std::string> SimulatedDisk::path_at(int folder, const char* path) const {
    if (own_calls > 0 || path == nullptr) return std::nullopt;
    if (path[0] == '/' || folder == AT_FDCWD) return holds(path) ? std::optional<std::string>(path) : std::nullopt;
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(folder);
    if (found == open_.end()) return std::nullopt;
    return found->second.path + "/" + path;
}

std::string SimulatedDisk::name_of(const std::string& path) const {
    return path.size() > folder_.size() ? path.substr(folder_.size() + 1) : "/";
}
std::string SimulatedDisk::name_of(int descriptor) const {
    return name_of(open_.at(descriptor).path);
}
std::filesystem::path SimulatedDisk::kept_at(std::uint64_t id) const {
    return beside_ / std::to_string(id);
}

SimulatedDisk::Folder& SimulatedDisk::folder_of(const std::string& path, std::string& name) {
    const auto slash = path.rfind('/');
    name = path.substr(slash + 1);
    const auto found = folders_.find(path.substr(0, slash));
    if (found == folders_.end()) broken(path + " lies in no known folder");
    return found->second;
}

void SimulatedDisk::apply(Entries& entries, const Change& change) {
    for (const auto& [name, entry] : change) {
        if (entry)
            entries[name] = *entry;
        else
            entries.erase(name);
    }
}

void SimulatedDisk::change_entries(Folder& folder, Change change) {
    apply(folder.now, change);
    folder.changes.push_back(std::move(change));
}

// ---- what is owed

SimulatedDisk::StoredFile& SimulatedDisk::file_of(int descriptor) {
    return files_.at(open_.at(descriptor).file);
}

// Keeps what stands in the sectors that a change of these bytes touches.
void SimulatedDisk::before_change(StoredFile& file, std::uint64_t first, std::uint64_t size) {
    if (size == 0 || file.never_durable) return;
    for (auto number = first / kSector; number <= (first + size - 1) / kSector; ++number) {
        SectorBytes bytes{};
        if (::pread(file.descriptor, bytes.data(), bytes.size(), static_cast<off_t>(number * kSector)) < 0) broken("reading");
        auto& sector = file.sectors[number];
        sector.former.push_back(bytes);
        sector.doubtful = false;
    }
}

void SimulatedDisk::resize(StoredFile& file, std::uint64_t size) {
    if (size == file.size) return;
    file.former_sizes.push_back(file.size);
    file.size = size;
}

void SimulatedDisk::make_durable(StoredFile& file) {
    std::erase_if(file.sectors, [](const auto& sector) { return !sector.second.doubtful; });
    file.former_sizes.clear();
}

void SimulatedDisk::leave_open(StoredFile& file) {
    for (auto& [number, sector] : file.sectors) sector.doubtful = true;
}

// What of a file is on the disk after the power came back.
void SimulatedDisk::settle(StoredFile& file) {
    if (file.never_durable) {
        std::vector<std::uint8_t> noise(file.size);
        random_.fill(noise);
        if (random_.coin() && ::pwrite(file.descriptor, noise.data(), noise.size(), 0) < 0) broken("writing");
        return;
    }
    // All old, all new, or each sector as it happens.
    const auto manner = random_.below(4);
    for (const auto& [number, sector] : file.sectors) {
        const auto choice = manner == 0 ? 0 : manner == 1 ? sector.former.size() : random_.below(sector.former.size() + 1);
        if (choice == sector.former.size()) continue;
        const auto& bytes = sector.former[choice];
        if (::pwrite(file.descriptor, bytes.data(), bytes.size(), static_cast<off_t>(number * kSector)) < 0) broken("writing");
    }
    const auto sizes = file.former_sizes.size();
    const auto choice = manner == 0 ? 0 : manner == 1 ? sizes : random_.below(sizes + 1);
    if (choice < sizes) file.size = file.former_sizes[choice];
    if (::ftruncate(file.descriptor, static_cast<off_t>(file.size)) != 0) broken("cutting");
    file.sectors.clear();
    file.former_sizes.clear();
}

void SimulatedDisk::settle_entries(const std::string& path, std::vector<std::pair<std::string, Entry>>& kept) {
    auto& folder = folders_[path];
    const auto manner = random_.below(3);
    const auto changes = folder.changes.size();
    const auto count = manner == 0 ? 0 : manner == 1 ? changes : random_.below(changes + 1);
    for (std::size_t i = 0; i < count; ++i) apply(folder.durable, folder.changes[i]);
    folder.changes.clear();
    folder.now = folder.durable;
    for (const auto& [name, entry] : folder.durable) {
        const auto inner = path + "/" + name;
        kept.emplace_back(inner, entry);
        if (entry.file == 0) settle_entries(inner, kept);
    }
}

void SimulatedDisk::power_cut() {
    const std::lock_guard lock(mutex_);
    const Own own;
    if (!open_.empty()) {
        std::string names;
        for (const auto& [descriptor, opened] : open_) names += " " + opened.path + " (" + std::to_string(descriptor) + ")";
        throw std::logic_error("a power cut while files are open:" + names);
    }
    std::vector<std::pair<std::string, Entry>> kept;
    settle_entries(folder_, kept);
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) std::filesystem::remove_all(entry.path());
    std::set<std::uint64_t> named;
    std::set<std::string> folders{folder_};
    for (const auto& [path, entry] : kept) {
        if (entry.file == 0) {
            std::filesystem::create_directory(path);
            folders.insert(path);
            continue;
        }
        std::filesystem::create_hard_link(kept_at(entry.file), path);
        if (named.insert(entry.file).second) settle(files_.at(entry.file));
    }
    std::erase_if(folders_, [&](const auto& folder) { return !folders.contains(folder.first); });
    std::erase_if(by_inode_, [&](const auto& known) { return !named.contains(known.second); });
    std::erase_if(files_, [&](const auto& file) {
        if (named.contains(file.first)) return false;
        ::close(file.second.descriptor);
        std::filesystem::remove(kept_at(file.first));
        return true;
    });
}

void SimulatedDisk::sync_everything() {
    const std::lock_guard lock(mutex_);
    for (auto& [id, file] : files_) {
        file.sectors.clear();
        file.former_sizes.clear();
    }
    for (auto& [path, folder] : folders_) {
        folder.changes.clear();
        folder.durable = folder.now;
    }
}

// ---- calls

// Returns: what the call does, unless the process is dead, or dies at it; `begin`: what may have been done of it by then.
template <typename Call>
int SimulatedDisk::change(std::string_view what, const std::string& subject, Call&& call, const std::function<void()>& begin) {
    const auto gone = [] {
        errno = EIO;
        return -1;
    };
    if (fate_.dead()) return gone();
    const auto moment = fate_.tick();
    if (moment != Fate::Moment::alive) journal_.call("killed at", what);
    if (moment == Fate::Moment::dies_before) {
        if (begin) begin();
        fate_.die();
        return gone();
    }
    const int outcome = call();
    const int number = errno;
    journal_.call(what, subject, static_cast<std::uint64_t>(outcome < 0 ? number : 0));
    if (moment == Fate::Moment::dies_after) {
        fate_.die();
        return gone();
    }
    errno = number;
    return outcome;
}

namespace {
int fault(int number) {
    errno = number;
    return -1;
}
}  // namespace

int SimulatedDisk::open(const char* path, int flags, mode_t mode) {
    const std::lock_guard lock(mutex_);
    const Own own;
    if (fate_.dead()) return fault(EIO);
    struct stat info {};
    const bool exists = ::lstat(path, &info) == 0;
    const bool makes = (flags & O_CREAT) != 0 && !exists;
    const auto open_it = [&] {
        if (fails(faults.entries)) return fault(EIO);
        if (makes && faults.full) {
            ++new_faults_;
            return fault(ENOSPC);
        }
        const int descriptor = ::open(path, flags & ~O_TRUNC, mode);
        if (descriptor < 0) return descriptor;
        if (exists && S_ISDIR(info.st_mode)) {
            open_[descriptor] = {path, 0};
            return descriptor;
        }
        if (makes) {
            StoredFile file;
            file.id = ++last_id_;
            file.never_durable = std::string_view(path).ends_with(kMapped);
            std::filesystem::create_hard_link(path, kept_at(file.id));
            file.descriptor = ::open(kept_at(file.id).c_str(), O_RDWR | O_CLOEXEC);
            if (file.descriptor < 0 || ::fstat(file.descriptor, &info) != 0) broken("keeping a file");
            by_inode_[info.st_ino] = file.id;
            std::string name;
            auto& folder = folder_of(path, name);
            change_entries(folder, {{name, Entry{file.id}}});
            files_.emplace(file.id, std::move(file));
        }
        open_[descriptor] = {path, by_inode_.at(info.st_ino)};
        if ((flags & O_TRUNC) != 0 && exists && truncate(descriptor, 0) != 0) broken("emptying a file");
        return descriptor;
    };
    if (makes) {
        int opened = -1;
        const int outcome = change("create", name_of(path), [&] { return opened = open_it(); });
        if (outcome < 0 && opened >= 0) {  // the process died right after it
            open_.erase(opened);
            ::close(opened);
            errno = EIO;
        }
        return outcome;
    }
    return open_it();
}

int SimulatedDisk::close(int descriptor) {
    const std::lock_guard lock(mutex_);
    const Own own;
    open_.erase(descriptor);
    return ::close(descriptor);
}

void SimulatedDisk::closed(int descriptor) {
    const std::lock_guard lock(mutex_);
    open_.erase(descriptor);
}

ssize_t SimulatedDisk::read_at(int descriptor, void* out, std::size_t size, off_t offset) {
    const std::lock_guard lock(mutex_);
    const Own own;
    if (fate_.dead()) return fault(EIO);
    if (fails(faults.reads)) {
        journal_.call("read fails", name_of(descriptor), static_cast<std::uint64_t>(offset), size);
        return fault(EIO);
    }
    return ::pread(descriptor, out, size, offset);
}

ssize_t SimulatedDisk::write_at(int descriptor, const void* bytes, std::size_t size, off_t offset) {
    const std::lock_guard lock(mutex_);
    const Own own;
    auto& file = file_of(descriptor);
    const auto first = static_cast<std::uint64_t>(offset);
    ssize_t written = -1;
    const auto write = [&](std::size_t count) {
        before_change(file, first, count);
        written = ::pwrite(descriptor, bytes, count, offset);
        if (written != static_cast<ssize_t>(count)) broken("writing");
        if (first + count > file.size) resize(file, first + count);
        if (!file.never_durable) journal_.bytes({static_cast<const std::uint8_t*>(bytes), count});
        journal_.call("at", {}, first, count);
        return 0;
    };
    const auto write_some = [&] {
        if (random_.coin() && size > 1) write(random_.below(size));
    };
    const auto write_all = [&] {
        if (fails(faults.writes)) {
            write_some();
            return fault(EIO);
        }
        if (faults.full && first + size > file.size) {
            ++new_faults_;
            if (first >= file.size || random_.coin()) return fault(ENOSPC);
            return write(file.size - first);
        }
        return write(size);
    };
    const int outcome = change("write", name_of(descriptor), write_all, write_some);
    return outcome < 0 ? outcome : written;
}

int SimulatedDisk::truncate(int descriptor, off_t size) {
    const std::lock_guard lock(mutex_);
    const Own own;
    auto& file = file_of(descriptor);
    return change("truncate", name_of(descriptor), [&] {
        const auto wanted = static_cast<std::uint64_t>(size);
        if (fails(faults.writes)) return fault(EIO);
        if (wanted < file.size) before_change(file, wanted, file.size - wanted);
        if (::ftruncate(descriptor, size) != 0) broken("cutting");
        resize(file, wanted);
        journal_.call("to", {}, wanted);
        return 0;
    });
}

int SimulatedDisk::sync(int descriptor) {
    const std::lock_guard lock(mutex_);
    const Own own;
    const auto& opened = open_.at(descriptor);
    return change("sync", name_of(descriptor), [&] {
        const bool failed = fails(faults.syncs);
        const auto name = name_of(descriptor) + (opened.file == 0 ? "/" : "");
        if (!forgotten_syncs.empty() && name.ends_with(forgotten_syncs)) return 0;
        if (opened.file != 0) {
            auto& file = files_.at(opened.file);
            failed ? leave_open(file) : make_durable(file);
        } else if (!failed) {
            auto& folder = folders_.at(opened.path);
            folder.durable = folder.now;
            folder.changes.clear();
        }
        return failed ? fault(EIO) : 0;
    });
}

int SimulatedDisk::sync_all(int descriptor) {
    const std::lock_guard lock(mutex_);
    return change("sync all", name_of(descriptor), [&] {
        if (fails(faults.syncs)) return fault(EIO);
        for (auto& [id, file] : files_) make_durable(file);
        for (auto& [path, folder] : folders_) {
            folder.durable = folder.now;
            folder.changes.clear();
        }
        return 0;
    });
}

int SimulatedDisk::rename(const char* from, const char* to) {
    const std::lock_guard lock(mutex_);
    const Own own;
    return change("rename", name_of(from) + " to " + name_of(to), [&] {
        if (fails(faults.entries)) return fault(EIO);
        std::string old_name, new_name;
        auto& old_folder = folder_of(from, old_name);
        auto& new_folder = folder_of(to, new_name);
        const auto found = old_folder.now.find(old_name);
        if (found == old_folder.now.end()) return fault(ENOENT);
        const auto entry = found->second;
        if (entry.file == 0) throw std::logic_error("the simulated disk renames no folders");
        if (::rename(from, to) != 0) return -1;
        if (&old_folder == &new_folder) {
            change_entries(old_folder, {{old_name, std::nullopt}, {new_name, entry}});
        } else {
            change_entries(new_folder, {{new_name, entry}});
            change_entries(old_folder, {{old_name, std::nullopt}});
        }
        return 0;
    });
}

int SimulatedDisk::unlink(const char* path) {
    const std::lock_guard lock(mutex_);
    const Own own;
    return change("unlink", name_of(path), [&] {
        if (fails(faults.entries)) return fault(EIO);
        if (::unlink(path) != 0) return -1;
        std::string name;
        auto& folder = folder_of(path, name);
        change_entries(folder, {{name, std::nullopt}});
        return 0;
    });
}

int SimulatedDisk::make_folder(const char* path, mode_t mode) {
    const std::lock_guard lock(mutex_);
    const Own own;
    return change("make folder", name_of(path), [&] {
        if (fails(faults.entries)) return fault(EIO);
        if (::mkdir(path, mode) != 0) return -1;
        std::string name;
        auto& folder = folder_of(path, name);
        change_entries(folder, {{name, Entry{}}});
        folders_[path] = {};
        return 0;
    });
}

int SimulatedDisk::remove_folder(const char* path) {
    const std::lock_guard lock(mutex_);
    const Own own;
    return change("remove folder", name_of(path), [&] {
        if (::rmdir(path) != 0) return -1;
        std::string name;
        auto& folder = folder_of(path, name);
        change_entries(folder, {{name, std::nullopt}});
        return 0;
    });
}

}  // namespace fiducial::simulation
