#include "base/overwrite.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.hpp"

namespace fiducial {
namespace {

Result<void> overwrite(File& file) {
    const Bytes zeros(std::size_t{64} << 10, 0);
    FID_TRY(const auto size, file.size());
    for (std::uint64_t at = 0; at < size; at += zeros.size())
        FID_CHECK(file.write_at(at, ByteView(zeros).first(std::min<std::uint64_t>(zeros.size(), size - at))));
    return file.sync_data();
}

}  // namespace

Result<void> replace_file_overwriting(const std::filesystem::path& path, ByteView bytes) {
    auto former = File::open(path, File::Mode::read_write);
    FID_CHECK(write_file_atomically(path, bytes));
    return former ? overwrite(*former) : Result<void>();
}

Result<void> overwrite_and_remove(const std::filesystem::path& path) {
    auto file = File::open(path, File::Mode::read_write);
    if (!file && file.error().code == ErrorCode::not_found) return {};
    if (!file) return fail(file.error());
    FID_CHECK(overwrite(*file));
    if (::unlink(path.c_str()) != 0) return fail(error_from_errno(errno, "removing", path));
    return {};
}

}  // namespace fiducial
