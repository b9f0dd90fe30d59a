#include "base/faulty_disk.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdarg>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace fiducial {
namespace {

using Call = FaultyDisk::Call;
using Operation = FaultyDisk::Operation;

template <typename Function>
Function* real(const char* name) {
    auto* found = ::dlsym(RTLD_NEXT, name);
    FID_INVARIANT(found != nullptr, name);
    return reinterpret_cast<Function*>(found);
}

ssize_t real_pwrite(int fd, const void* bytes, std::size_t size, off_t offset) {
    static auto* const call = real<ssize_t(int, const void*, std::size_t, off_t)>("pwrite");
    return call(fd, bytes, size, offset);
}

/// What a failed sync drops of one file.
struct Unsynced {
    std::uint64_t offset = 0;
    Bytes before;
    std::size_t size = 0;
};
using FileId = std::pair<dev_t, ino_t>;

struct Disk {
    std::atomic<bool> faulty{false};
    std::recursive_mutex mutex;
    std::filesystem::path folder;
    FaultyDisk::Fault fault;
    std::map<FileId, std::vector<Unsynced>> unsynced;

    bool concerns(const std::filesystem::path& path) const {
        return path.native().compare(0, folder.native().size(), folder.native()) == 0;
    }
    /// Returns: whether the operation goes through; else errno is set.
    bool admit(const Operation& operation) {
        if (!concerns(operation.path) || !fault) return true;
        const int error = fault(operation);
        if (error != 0) errno = error;
        return error == 0;
    }
};

Disk& disk() {
    static auto* const the_disk = new Disk;  // outlives whoever writes at exit
    return *the_disk;
}

std::filesystem::path path_of(int fd) {
    std::array<char, 4096> path{};
    const auto length = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path.data(), path.size());
    return length < 0 ? std::string() : std::string(path.data(), static_cast<std::size_t>(length));
}

struct stat status_of(int fd) {
    struct stat status {};
    ::fstat(fd, &status);
    return status;
}

ssize_t write_at(int fd, const void* bytes, std::size_t size, off_t offset) {
    auto& here = disk();
    if (!here.faulty) return real_pwrite(fd, bytes, size, offset);
    const std::lock_guard lock(here.mutex);
    const auto path = path_of(fd);
    if (!here.concerns(path)) return real_pwrite(fd, bytes, size, offset);
    if (!here.admit({Call::write, path, size})) return -1;
    const auto status = status_of(fd);
    const auto start = static_cast<std::uint64_t>(offset), end = static_cast<std::uint64_t>(status.st_size);
    Bytes before(start < end ? std::min<std::uint64_t>(size, end - start) : 0);
    const bool known = before.empty() || ::pread(fd, before.data(), before.size(), offset) == static_cast<ssize_t>(before.size());
    FID_INVARIANT(known, "what a write replaces can be read");
    here.unsynced[{status.st_dev, status.st_ino}].push_back({start, std::move(before), size});
    return real_pwrite(fd, bytes, size, offset);
}

int sync_with(const char* name, int fd) {
    auto& here = disk();
    auto* const call = real<int(int)>(name);
    if (!here.faulty) return call(fd);
    const std::lock_guard lock(here.mutex);
    const auto path = path_of(fd);
    if (!here.concerns(path)) return call(fd);
    const auto status = status_of(fd);
    if (S_ISDIR(status.st_mode)) return here.admit({Call::sync_folder, path, 0}) ? call(fd) : -1;
    auto dropped = std::move(here.unsynced[{status.st_dev, status.st_ino}]);
    here.unsynced.erase({status.st_dev, status.st_ino});
    if (here.admit({Call::sync, path, 0})) return call(fd);
    const int error = errno;
    for (; !dropped.empty(); dropped.pop_back()) {
        auto& [offset, before, size] = dropped.back();
        before.resize(size);  // what was never on the disk reads as zeros
        real_pwrite(fd, before.data(), before.size(), static_cast<off_t>(offset));
    }
    errno = error;
    return -1;
}

int truncate_to(int fd, off_t size) {
    static auto* const call = real<int(int, off_t)>("ftruncate");
    auto& here = disk();
    if (!here.faulty) return call(fd, size);
    const std::lock_guard lock(here.mutex);
    const auto path = path_of(fd);
    if (!here.concerns(path)) return call(fd, size);
    const auto left = static_cast<std::uint64_t>(size);
    if (!here.admit({Call::truncate, path, left})) return -1;
    const auto status = status_of(fd);
    auto& writes = here.unsynced[{status.st_dev, status.st_ino}];
    std::erase_if(writes, [left](const Unsynced& write) { return write.offset >= left; });
    for (auto& write : writes) {
        write.size = std::min<std::uint64_t>(write.size, left - write.offset);
        write.before.resize(std::min(write.before.size(), write.size));
    }
    return call(fd, size);
}

int change_name(Call what, const char* path, const std::function<int()>& call) {
    auto& here = disk();
    if (!here.faulty) return call();
    const std::lock_guard lock(here.mutex);
    return here.admit({what, path, 0}) ? call() : -1;
}

int open_with(const char* name, const char* path, int flags, mode_t mode) {
    auto* const call = real<int(const char*, int, ...)>(name);
    auto& here = disk();
    if (!here.faulty || (flags & O_CREAT) == 0) return call(path, flags, mode);
    const std::lock_guard lock(here.mutex);
    const bool makes = here.concerns(path) && ::access(path, F_OK) != 0;
    if (makes && !here.admit({Call::create, path, 0})) return -1;
    return call(path, flags, mode);
}

mode_t mode_in(int flags, std::va_list arguments) {
    return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

FaultyDisk::FaultyDisk(const std::filesystem::path& folder, Fault fault) {
    auto& here = disk();
    const std::lock_guard lock(here.mutex);
    FID_INVARIANT(!here.faulty, "one faulty disk at a time");
    here.folder = std::filesystem::canonical(folder);
    here.fault = std::move(fault);
    here.faulty = true;
}

FaultyDisk::~FaultyDisk() {
    auto& here = disk();
    const std::lock_guard lock(here.mutex);
    here.faulty = false;
    here.fault = {};
    here.unsynced.clear();
}

void FaultyDisk::set(Fault fault) {
    auto& here = disk();
    const std::lock_guard lock(here.mutex);
    here.fault = std::move(fault);
}

}  // namespace fiducial

// The C library's calls, defined here before it: its shared objects and those of others (SQLite) are bound to the program's first.
extern "C" {

ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t offset) {
    return fiducial::write_at(fd, bytes, size, offset);
}
ssize_t pwrite64(int fd, const void* bytes, std::size_t size, off64_t offset) {
    return fiducial::write_at(fd, bytes, size, offset);
}
int fsync(int fd) {
    return fiducial::sync_with("fsync", fd);
}
int fdatasync(int fd) {
    return fiducial::sync_with("fdatasync", fd);
}
int ftruncate(int fd, off_t size) noexcept {
    return fiducial::truncate_to(fd, size);
}
int ftruncate64(int fd, off64_t size) noexcept {
    return fiducial::truncate_to(fd, size);
}
int rename(const char* from, const char* to) noexcept {
    static auto* const call = fiducial::real<int(const char*, const char*)>("rename");
    return fiducial::change_name(fiducial::Call::rename, to, [&] { return call(from, to); });
}
int unlink(const char* path) noexcept {
    static auto* const call = fiducial::real<int(const char*)>("unlink");
    return fiducial::change_name(fiducial::Call::remove, path, [&] { return call(path); });
}
int remove(const char* path) noexcept {
    static auto* const call = fiducial::real<int(const char*)>("remove");
    return fiducial::change_name(fiducial::Call::remove, path, [&] { return call(path); });
}
int link(const char* from, const char* to) noexcept {
    static auto* const call = fiducial::real<int(const char*, const char*)>("link");
    return fiducial::change_name(fiducial::Call::create, to, [&] { return call(from, to); });
}
int open(const char* path, int flags, ...) {
    std::va_list arguments;
    va_start(arguments, flags);
    const auto mode = fiducial::mode_in(flags, arguments);
    va_end(arguments);
    return fiducial::open_with("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
    std::va_list arguments;
    va_start(arguments, flags);
    const auto mode = fiducial::mode_in(flags, arguments);
    va_end(arguments);
    return fiducial::open_with("open64", path, flags, mode);
}
}
