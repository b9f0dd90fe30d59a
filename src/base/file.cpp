#include "base/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace fiducial {

Error error_from_errno(int number, std::string_view action, const std::filesystem::path& path) {
    ErrorCode code = ErrorCode::io;
    if (number == ENOENT) code = ErrorCode::not_found;
    if (number == EACCES || number == EPERM) code = ErrorCode::permission;
    if (number == EEXIST) code = ErrorCode::conflict;
    if (number == ENOSPC || number == EDQUOT) code = ErrorCode::no_space;
    return Error{code, std::string(action) + " " + path.string() + ": " + std::strerror(number)};
}

namespace {

Error error_at(int number, std::string_view action, const std::filesystem::path& path, std::uint64_t offset) {
    auto error = error_from_errno(number, action, path);
    error.message += " (at byte " + std::to_string(offset) + ")";
    return error;
}

}  // namespace

File& File::operator=(File&& other) noexcept {
    if (this != &other) {
        close();
        fd_ = std::exchange(other.fd_, -1);
        path_ = std::move(other.path_);
    }
    return *this;
}

File::~File() {
    close();
}

void File::close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<File> File::open(const std::filesystem::path& path, Mode mode, unsigned permissions) {
    int flags = O_CLOEXEC;
    switch (mode) {
        case Mode::read: flags |= O_RDONLY; break;
        case Mode::read_write: flags |= O_RDWR; break;
        case Mode::create_new: flags |= O_RDWR | O_CREAT | O_EXCL; break;
        case Mode::read_write_create: flags |= O_RDWR | O_CREAT; break;
    }
    File file;
    file.fd_ = ::open(path.c_str(), flags, permissions);
    if (file.fd_ < 0) return fail(error_from_errno(errno, "opening", path));
    file.path_ = path;
    return file;
}

Result<std::uint64_t> File::size() const {
    struct stat info {};
    if (::fstat(fd_, &info) != 0) return fail(error_from_errno(errno, "reading the size of", path_));
    return static_cast<std::uint64_t>(info.st_size);
}

Result<std::size_t> File::read_at(std::uint64_t offset, MutableByteView out) const {
    std::size_t done = 0;
    while (done < out.size()) {
        const auto got = ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
        if (got < 0) {
            if (errno == EINTR) continue;
            return fail(error_at(errno, "reading", path_, offset + done));
        }
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    return done;
}

Result<void> File::read_exactly_at(std::uint64_t offset, MutableByteView out) const {
    FID_TRY(const auto got, read_at(offset, out));
    if (got != out.size()) {
        return fail(ErrorCode::corrupt, path_.string() + " ends at " + std::to_string(offset + got) + ", expected bytes up to " +
                                            std::to_string(offset + out.size()));
    }
    return {};
}

Result<void> File::write_at(std::uint64_t offset, ByteView bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const auto put = ::pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
        if (put < 0) {
            if (errno == EINTR) continue;
            return fail(error_at(errno, "writing", path_, offset + done));
        }
        done += static_cast<std::size_t>(put);
    }
    return {};
}

Result<void> File::append(ByteView bytes) {
    FID_TRY(const auto end, size());
    return write_at(end, bytes);
}

Result<void> File::truncate(std::uint64_t size) {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return fail(error_from_errno(errno, "truncating", path_));
    return {};
}

Result<void> File::sync() {
    if (::fsync(fd_) != 0) return fail(error_from_errno(errno, "syncing", path_));
    return {};
}

Result<void> File::sync_data() {
    if (::fdatasync(fd_) != 0) return fail(error_from_errno(errno, "syncing", path_));
    return {};
}

Result<void> File::lock_exclusively() {
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return fail(ErrorCode::locked, path_.string() + " is held by another process");
        return fail(error_from_errno(errno, "locking", path_));
    }
    return {};
}

Result<Bytes> read_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
    FID_TRY(auto file, File::open(path, File::Mode::read));
    FID_TRY(const auto size, file.size());
    if (size > max_bytes) {
        return fail(ErrorCode::limit_exceeded,
                    path.string() + " has " + std::to_string(size) + " bytes, more than " + std::to_string(max_bytes));
    }
    Bytes out(size);
    FID_TRY(const auto got, file.read_at(0, out));
    out.resize(got);
    return out;
}

namespace {

Result<void> sync_with(int (*sync)(int), const std::filesystem::path& folder) {
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail(error_from_errno(errno, "opening", folder));
    const int outcome = sync(fd);
    const int number = errno;
    ::close(fd);
    if (outcome != 0) return fail(error_from_errno(number, "syncing", folder));
    return {};
}

}  // namespace

Result<void> sync_folder(const std::filesystem::path& folder) {
    return sync_with(::fsync, folder);
}
Result<void> sync_file_system(const std::filesystem::path& folder) {
    return sync_with(::syncfs, folder);
}

Result<void> write_file_atomically(const std::filesystem::path& path, ByteView bytes, unsigned permissions) {
    static std::atomic<unsigned> counter{0};
    auto beside = path;
    beside += ".new-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
    const auto write_beside = [&]() -> Result<void> {
        FID_TRY(auto file, File::open(beside, File::Mode::create_new, permissions));
        FID_CHECK(file.write_at(0, bytes));
        return file.sync();
    };
    auto outcome = write_beside();
    if (outcome && ::rename(beside.c_str(), path.c_str()) != 0) outcome = fail(error_from_errno(errno, "replacing", path));
    if (!outcome) {
        ::unlink(beside.c_str());
        return outcome;
    }
    return sync_folder(path.has_parent_path() ? path.parent_path() : ".");
}

}  // namespace fiducial
