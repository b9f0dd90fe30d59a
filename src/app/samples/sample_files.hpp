#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "app/samples/sample_people.hpp"
#include "base/bytes.hpp"

namespace fiducial::app::samples {

/// One file of the samples: which exam, which image of it.
struct SampleFile {
    std::size_t study = 0;       // row of sample_studies()
    std::uint32_t image = 0;     // from 0
    std::filesystem::path path;  // relative
};

/// Returns: all files, in order of study and image.
std::vector<SampleFile> plan_sample_files();
/// Draws and writes one file: Part 10, Explicit VR Little Endian.
Bytes make_sample_file(const SampleFile& file, std::uint64_t seed);

inline constexpr std::uint32_t kCtSlices = 64;

/// Text of a sample in the character set that it is written in. Requires: one of those that sample_people() names.
std::string in_character_set(std::string_view utf8, std::string_view character_set);

}  // namespace fiducial::app::samples
