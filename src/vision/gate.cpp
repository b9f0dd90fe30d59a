#include "vision/gate.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace fiducial::vision {
namespace {

constexpr double kMostYears = 5;           // of those trained on: 1 to 5
constexpr std::uint32_t kLeastSide = 120;  // pixels; the smallest films of the training set have 127
constexpr double kMostAspect = 3.2;
constexpr double kInverted = -0.2;  // likeness below which a film is its own negative rather than another thing

bool is_one_of(std::string_view value, std::initializer_list<std::string_view> those) {
    return std::find(those.begin(), those.end(), value) != those.end();
}

/// A header's text may be anything: only its beginning is told, and only what is plain.
std::string told(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 16)) out += (c >= ' ' && c <= '~') ? c : '?';
    return out;
}

using Coarse = std::array<double, kCoarse * kCoarse>;

Coarse coarse(ByteView prepared) {
    constexpr std::size_t kCell = kSide / kCoarse;
    Coarse out{};
    for (std::size_t row = 0; row < kSide; ++row) {
        for (std::size_t column = 0; column < kSide; ++column)
            out[row / kCell * kCoarse + column / kCell] += prepared[row * kSide + column] / static_cast<double>(kCell * kCell);
    }
    return out;
}

/// Pearson's; 0 where one of them is of one value.
template <typename A, typename B>
double correlation(const A& a, const B& b) {
    const auto n = static_cast<double>(std::size(a));
    double sum_a = 0, sum_b = 0;
    for (std::size_t i = 0; i < std::size(a); ++i) {
        sum_a += a[i];
        sum_b += b[i];
    }
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t i = 0; i < std::size(a); ++i) {
        const double x = a[i] - sum_a / n, y = b[i] - sum_b / n;
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return aa > 1e-6 && bb > 1e-6 ? ab / std::sqrt(aa * bb) : 0;
}

}  // namespace

std::vector<Refusal> check_header(const Film& film, const GateOptions& options) {
    std::vector<Refusal> refusals;
    if (film.has_header) {
        if (!is_one_of(film.modality, {"CR", "DX", "RG"}))
            refusals.push_back({"modality", film.modality.empty() ? "the header names no modality"
                                                                  : "modality " + told(film.modality) + " is no radiograph"});
        if (!film.body_part.empty() && !is_one_of(film.body_part, {"CHEST", "THORAX", "LUNG", "PORT CHEST"}))
            refusals.push_back({"body_part", "body part " + told(film.body_part) + " is not the chest"});
        if (!film.view_position.empty() && !is_one_of(film.view_position, {"PA", "AP"}))
            refusals.push_back({"view", "view " + told(film.view_position) + " is not frontal"});
        if (film.is_lateral) refusals.push_back({"view", "by Patient Orientation it is not frontal"});
    }
    if (!options.any_age && !film.age_years)
        refusals.push_back({"age", "the patient's age is not known; the model was trained on children of 1 to 5 years"});
    if (!options.any_age && film.age_years && *film.age_years >= kMostYears + 1)
        refusals.push_back({"age", "the patient is older than 5 years; the model was trained on children of 1 to 5 years"});
    return refusals;
}

FilmStatistics measure(const Film& film, ByteView prepared, const ModelCard::Gate& gate) {
    FilmStatistics out;
    auto samples = stretched(film.pixels, kStretchedSide).samples;
    const auto ends = std::count_if(samples.begin(), samples.end(), [](std::uint8_t sample) { return sample == 0 || sample == 255; });
    out.saturated = static_cast<double>(ends) / static_cast<double>(samples.size());
    std::sort(samples.begin(), samples.end());
    const auto cut = samples.size() / 100;
    out.spread = samples[samples.size() - 1 - cut] - samples[cut];
    const auto cells = coarse(prepared);
    auto mirrored = cells;
    for (std::size_t row = 0; row < kCoarse; ++row)
        std::reverse(mirrored.begin() + static_cast<std::ptrdiff_t>(row * kCoarse),
                     mirrored.begin() + static_cast<std::ptrdiff_t>((row + 1) * kCoarse));
    out.symmetry = correlation(cells, mirrored);
    out.likeness = correlation(cells, gate.mean_film);
    return out;
}

std::vector<Refusal> check_picture(const Film& film, const FilmStatistics& statistics, const ModelCard::Gate& gate) {
    std::vector<Refusal> refusals;
    const auto [less, more] = std::minmax(film.pixels.rows, film.pixels.columns);
    if (less < kLeastSide)
        refusals.push_back({"size", "it has " + std::to_string(less) + " pixels on its shorter side; at least " +
                                        std::to_string(kLeastSide) + " are needed"});
    if (more > kMostAspect * less) refusals.push_back({"size", "it is far longer than wide, as no chest film is"});
    if (statistics.spread < gate.least_spread) refusals.push_back({"spread", "it has hardly any contrast"});
    if (statistics.saturated > gate.most_saturated) refusals.push_back({"saturation", "too much of it is plain black or white"});
    if (statistics.likeness < kInverted)
        refusals.push_back({"polarity", "dark and bright lie as in a negative, or it is no upright chest film"});
    else if (statistics.likeness < gate.least_likeness)
        refusals.push_back({"unlike", "dark and bright do not lie as on an upright chest film"});
    if (statistics.symmetry < gate.least_symmetry)
        refusals.push_back({"symmetry", "its halves are not alike, as those of a frontal chest film are"});
    return refusals;
}

FeatureStatistics measure(const Impression& seen, const ModelCard::Gate& gate) {
    FeatureStatistics out;
    out.chest = gate.chest_bias;
    for (std::size_t i = 0; i < kFeatures; ++i) {
        const double scaled = (seen.features[i] - gate.feature_mean[i]) * gate.feature_scale[i];
        out.distance += scaled * scaled / kFeatures;
        out.chest += gate.chest_weights[i] * scaled;
    }
    return out;
}

std::vector<Refusal> check_features(const FeatureStatistics& statistics, const ModelCard::Gate& gate) {
    std::vector<Refusal> refusals;
    // Written so that what is no number is refused.
    if (!(statistics.distance <= gate.most_distance))
        refusals.push_back({"unlike", "it lies far from every film that the model was trained on"});
    if (!(statistics.chest >= gate.least_chest))
        refusals.push_back({"unlike", "the network does not take it for an upright frontal chest film"});
    return refusals;
}

}  // namespace fiducial::vision
