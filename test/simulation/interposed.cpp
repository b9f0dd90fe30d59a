// Definitions of the C library's functions, found before its own by every library of this program. Compiled without _FORTIFY_SOURCE.
#include "interposed.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace fiducial::simulation {
namespace {

Machine* machine = nullptr;
int random_device = -1;  // a descriptor of /dev/urandom: SQLite reads from it

SimulatedDisk* disk_of(int descriptor) {
    return machine != nullptr && machine->disk.holds(descriptor) ? &machine->disk : nullptr;
}
SimulatedDisk* disk_of(const char* path) {
    return machine != nullptr && machine->disk.holds(path) ? &machine->disk : nullptr;
}

int open_any(const char* path, int flags, mode_t mode) {
    if (auto* disk = disk_of(path)) return disk->open(path, flags, mode);
    const auto descriptor = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
    if (machine != nullptr && descriptor >= 0 && (std::strcmp(path, "/dev/urandom") == 0 || std::strcmp(path, "/dev/random") == 0))
        random_device = descriptor;
    return descriptor;
}
int open_any_at(int folder, const char* path, int flags, mode_t mode) {
    if (machine != nullptr) {
        if (const auto whole = machine->disk.path_at(folder, path)) return machine->disk.open(whole->c_str(), flags, mode);
    }
    return static_cast<int>(::syscall(SYS_openat, folder, path, flags, mode));
}
int unlink_at(int folder, const char* path, int flags) {
    if (machine != nullptr) {
        if (const auto whole = machine->disk.path_at(folder, path))
            return (flags & AT_REMOVEDIR) != 0 ? machine->disk.remove_folder(whole->c_str()) : machine->disk.unlink(whole->c_str());
    }
    return static_cast<int>(::syscall(SYS_unlinkat, folder, path, flags));
}

void give_random(void* out, std::size_t size) {
    machine->random.fill({static_cast<std::uint8_t*>(out), size});
}

// libsodium's source, and with it all of the archive's keys, ids and nonces.
const char* sodium_name() {
    return "simulation";
}
std::uint32_t sodium_random() {
    std::uint32_t word = 0;
    give_random(&word, sizeof word);
    return word;
}
randombytes_implementation sodium_source{sodium_name, sodium_random, nullptr, nullptr, give_random, nullptr};

void split(std::int64_t ns, timespec& out) {
    out.tv_sec = ns / SimulatedClock::kSecond;
    out.tv_nsec = ns % SimulatedClock::kSecond;
}

mode_t mode_in(int flags, va_list arguments) {
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

void run_on(Machine* here) {
    if (here != nullptr) randombytes_set_implementation(&sodium_source);
    machine = here;
}

}  // namespace fiducial::simulation

using namespace fiducial::simulation;

#define FID_MODE(flags)                            \
    va_list arguments;                             \
    va_start(arguments, flags);                    \
    const mode_t mode = mode_in(flags, arguments); \
    va_end(arguments)

extern "C" {

int open(const char* path, int flags, ...) {
    FID_MODE(flags);
    return open_any(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
    FID_MODE(flags);
    return open_any(path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
    FID_MODE(flags);
    return open_any_at(folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
    FID_MODE(flags);
    return open_any_at(folder, path, flags, mode);
}
int __open_2(const char* path, int flags) {
    return open_any(path, flags, 0);
}
int __open64_2(const char* path, int flags) {
    return open_any(path, flags, 0);
}
int __openat_2(int folder, const char* path, int flags) {
    return open_any_at(folder, path, flags, 0);
}
int close(int descriptor) {
    if (descriptor == random_device) random_device = -1;
    if (auto* disk = disk_of(descriptor)) return disk->close(descriptor);
    return static_cast<int>(::syscall(SYS_close, descriptor));
}
int closedir(DIR* folder) {
    static const auto real = reinterpret_cast<int (*)(DIR*)>(::dlsym(RTLD_NEXT, "closedir"));
    if (machine != nullptr) machine->disk.closed(::dirfd(folder));
    return real(folder);
}

ssize_t pread(int descriptor, void* out, size_t size, off_t offset) {
    if (auto* disk = disk_of(descriptor)) return disk->read_at(descriptor, out, size, offset);
    return ::syscall(SYS_pread64, descriptor, out, size, offset);
}
ssize_t pread64(int descriptor, void* out, size_t size, off64_t offset) {
    return pread(descriptor, out, size, offset);
}
ssize_t __pread_chk(int descriptor, void* out, size_t size, off_t offset, size_t) {
    return pread(descriptor, out, size, offset);
}
ssize_t __pread64_chk(int descriptor, void* out, size_t size, off64_t offset, size_t) {
    return pread(descriptor, out, size, offset);
}
ssize_t read(int descriptor, void* out, size_t size) {
    if (machine != nullptr && descriptor == random_device) {
        give_random(out, size);
        return static_cast<ssize_t>(size);
    }
    if (auto* disk = disk_of(descriptor)) {
        const auto at = ::lseek(descriptor, 0, SEEK_CUR);
        const auto got = disk->read_at(descriptor, out, size, at);
        if (got > 0) ::lseek(descriptor, at + got, SEEK_SET);
        return got;
    }
    return ::syscall(SYS_read, descriptor, out, size);
}
ssize_t __read_chk(int descriptor, void* out, size_t size, size_t) {
    return read(descriptor, out, size);
}
ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
    if (auto* disk = disk_of(descriptor)) return disk->write_at(descriptor, bytes, size, offset);
    return ::syscall(SYS_pwrite64, descriptor, bytes, size, offset);
}
ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
    return pwrite(descriptor, bytes, size, offset);
}
ssize_t write(int descriptor, const void* bytes, size_t size) {
    if (auto* disk = disk_of(descriptor)) {
        const auto at = ::lseek(descriptor, 0, SEEK_CUR);
        const auto put = disk->write_at(descriptor, bytes, size, at);
        if (put > 0) ::lseek(descriptor, at + put, SEEK_SET);
        return put;
    }
    return ::syscall(SYS_write, descriptor, bytes, size);
}

int ftruncate(int descriptor, off_t size) noexcept {
    if (auto* disk = disk_of(descriptor)) return disk->truncate(descriptor, size);
    return static_cast<int>(::syscall(SYS_ftruncate, descriptor, size));
}
int ftruncate64(int descriptor, off64_t size) noexcept {
    return ftruncate(descriptor, size);
}
int fsync(int descriptor) {
    if (auto* disk = disk_of(descriptor)) return disk->sync(descriptor);
    return static_cast<int>(::syscall(SYS_fsync, descriptor));
}
int fdatasync(int descriptor) {
    if (auto* disk = disk_of(descriptor)) return disk->sync(descriptor);
    return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}
int syncfs(int descriptor) noexcept {
    if (auto* disk = disk_of(descriptor)) return disk->sync_all(descriptor);
    return static_cast<int>(::syscall(SYS_syncfs, descriptor));
}

int rename(const char* from, const char* to) noexcept {
    if (auto* disk = disk_of(from)) return disk->rename(from, to);
    return static_cast<int>(::syscall(SYS_rename, from, to));
}
int unlink(const char* path) noexcept {
    return unlink_at(AT_FDCWD, path, 0);
}
int unlinkat(int folder, const char* path, int flags) noexcept {
    return unlink_at(folder, path, flags);
}
int rmdir(const char* path) noexcept {
    return unlink_at(AT_FDCWD, path, AT_REMOVEDIR);
}
int remove(const char* path) noexcept {
    if (unlink(path) == 0) return 0;
    return errno == EISDIR || errno == EPERM ? rmdir(path) : -1;
}
int mkdir(const char* path, mode_t mode) noexcept {
    if (auto* disk = disk_of(path)) return disk->make_folder(path, mode);
    return static_cast<int>(::syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

int clock_gettime(clockid_t id, timespec* out) noexcept {
    if (machine != nullptr) {
        switch (id) {
            case CLOCK_REALTIME:
            case CLOCK_REALTIME_COARSE: split(machine->clock.wall(), *out); return 0;
            case CLOCK_MONOTONIC:
            case CLOCK_MONOTONIC_COARSE:
            case CLOCK_MONOTONIC_RAW:
            case CLOCK_BOOTTIME: split(machine->clock.steady(), *out); return 0;
            default: break;
        }
    }
    return static_cast<int>(::syscall(SYS_clock_gettime, id, out));
}
int gettimeofday(timeval* out, void*) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t* out) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != nullptr) *out = now.tv_sec;
    return now.tv_sec;
}
int nanosleep(const timespec* wanted, timespec* left) {
    if (machine == nullptr) return static_cast<int>(::syscall(SYS_nanosleep, wanted, left));
    machine->clock.pass(wanted->tv_sec * SimulatedClock::kSecond + wanted->tv_nsec);
    return 0;
}
int clock_nanosleep(clockid_t id, int flags, const timespec* wanted, timespec* left) {
    if (machine == nullptr) return ::syscall(SYS_clock_nanosleep, id, flags, wanted, left) == 0 ? 0 : errno;
    auto span = wanted->tv_sec * SimulatedClock::kSecond + wanted->tv_nsec;
    if ((flags & TIMER_ABSTIME) != 0) span -= id == CLOCK_REALTIME ? machine->clock.wall() : machine->clock.steady();
    if (span > 0) machine->clock.pass(span);
    return 0;
}
int usleep(useconds_t us) {
    const timespec wanted{us / 1'000'000, static_cast<long>(us % 1'000'000) * 1000};
    return nanosleep(&wanted, nullptr);
}
unsigned sleep(unsigned seconds) {
    const timespec wanted{seconds, 0};
    nanosleep(&wanted, nullptr);
    return 0;
}

pid_t getpid() noexcept {
    return machine != nullptr ? 4711 : static_cast<pid_t>(::syscall(SYS_getpid));
}
ssize_t getrandom(void* out, size_t size, unsigned flags) {
    if (machine == nullptr) return ::syscall(SYS_getrandom, out, size, flags);
    give_random(out, size);
    return static_cast<ssize_t>(size);
}
}
