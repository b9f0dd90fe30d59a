#pragma once
#include <filesystem>

#include "base/bytes.hpp"

namespace fiducial {

/// Replaces a file as write_file_atomically() does, and then overwrites the former one's bytes with zeros, as far as the file system
/// permits.
Result<void> replace_file_overwriting(const std::filesystem::path& path, ByteView bytes);
/// Overwrites a file's bytes with zeros, as far as the file system permits, and removes it. One that is not there is gone already.
Result<void> overwrite_and_remove(const std::filesystem::path& path);

}  // namespace fiducial
