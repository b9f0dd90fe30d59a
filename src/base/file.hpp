#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "base/bytes.hpp"

namespace fiducial {

/// A file descriptor that closes itself. Errors of all operations: io, permission, no_space, not_found; the path is named.
/// Threads: read_at and write_at may run side by side.
class File {
public:
    enum class Mode : std::uint8_t { read, read_write, create_new, read_write_create };

    File() = default;
    File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
    File& operator=(File&& other) noexcept;
    ~File();

    /// New files get mode 0600 unless given otherwise.
    static Result<File> open(const std::filesystem::path& path, Mode mode, unsigned permissions = 0600);

    bool is_open() const { return fd_ >= 0; }
    int fd() const { return fd_; }
    const std::filesystem::path& path() const { return path_; }

    Result<std::uint64_t> size() const;
    /// Reads up to out.size() bytes at offset. Returns: bytes read, fewer only at the file's end.
    Result<std::size_t> read_at(std::uint64_t offset, MutableByteView out) const;
    /// Reads exactly out.size() bytes. Errors: corrupt when the file is shorter.
    Result<void> read_exactly_at(std::uint64_t offset, MutableByteView out) const;
    Result<void> write_at(std::uint64_t offset, ByteView bytes);
    Result<void> append(ByteView bytes);  // at the file's end as it is now; one writer only
    Result<void> truncate(std::uint64_t size);
    Result<void> sync();       // fsync
    Result<void> sync_data();  // fdatasync
    /// Takes an exclusive lock for the life of the descriptor. Errors: locked when another process holds it.
    Result<void> lock_exclusively();
    void close();

private:
    int fd_ = -1;
    std::filesystem::path path_;
};

/// Reads a whole file. Errors: limit_exceeded when larger than max_bytes.
Result<Bytes> read_file(const std::filesystem::path& path, std::uint64_t max_bytes);
/// Replaces a file in one step: written beside it, synced, renamed, folder synced. After failure the old file is untouched.
Result<void> write_file_atomically(const std::filesystem::path& path, ByteView bytes, unsigned permissions = 0600);
/// Makes all that was written to the file system durable, by whatever program.
Result<void> sync_file_system(const std::filesystem::path& folder);
/// Makes a folder's entries durable.
Result<void> sync_folder(const std::filesystem::path& folder);
/// Turns errno into an Error that names what was done to what.
Error error_from_errno(int number, std::string_view action, const std::filesystem::path& path);

}  // namespace fiducial
