#pragma once
#include "app/perform.hpp"

namespace fiducial::app {

/// The tour: makes a demo site where there is none, samples, and shows what the archive does with them.
/// Returns: 0 when every step did what it should.
Result<int> run_demo(const Globals& globals, bool serve_afterwards);

/// Draws the sample exams into a folder; what is there already stays. Returns: files, bytes.
struct DrawnSamples {
    std::size_t files = 0, drawn = 0;
    std::uint64_t bytes = 0;
};
Result<DrawnSamples> draw_samples(const std::filesystem::path& folder);

}  // namespace fiducial::app
