#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "vision/gate.hpp"
#include "vision/model.hpp"

namespace fiducial::vision {

/// For research: a verdict on one film, or why there is none.
struct Assessment {
    std::vector<Refusal> refusals;  // none: there is a verdict
    bool age_overridden = false;    // it would have been refused for the age alone
    float logit = 0;
    double probability = 0;  // at the prevalence that the card names; 0 where refused
    bool is_finding = false;
    /// What each cell adds to the logit; nothing below the threshold, where there is nothing to show.
    std::optional<std::array<float, kCells * kCells>> heat;

    bool is_refused() const { return !refusals.empty(); }
};

/// Errors: internal where the network fails. Threads: one at a time for a model.
Result<Assessment> assess(Model& model, const Film& film, const GateOptions& options);

/// The film, at most so many pixels a side, with the cells laid over it that speak for a finding: as coarse as they are.
dicom::Raster picture_with_heat(const Film& film, const Assessment& assessment, std::uint32_t side);

}  // namespace fiducial::vision
