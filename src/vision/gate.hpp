#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "vision/film.hpp"
#include "vision/model.hpp"

namespace fiducial::vision {

/// Why a film gets no verdict.
struct Refusal {
    std::string_view code;  // modality, body_part, view, age, size, spread, saturation, symmetry, polarity, unlike
    std::string reason;
};

struct GateOptions {
    bool any_age = false;  // take films of patients beyond those the model was trained on, or of unknown age; recorded
};

/// By what the header says: modality, body part, view, age. A picture file says nothing, so its age is unknown.
std::vector<Refusal> check_header(const Film& film, const GateOptions& options);

/// What can be measured without the network.
struct FilmStatistics {
    double spread = 0, saturated = 0, symmetry = 0, likeness = 0;  // as in ModelCard::Gate
};
FilmStatistics measure(const Film& film, ByteView prepared, const ModelCard::Gate& gate);

/// By the picture: size, and the statistics of what was trained on.
std::vector<Refusal> check_picture(const Film& film, const FilmStatistics& statistics, const ModelCard::Gate& gate);

struct FeatureStatistics {
    double distance = 0, chest = 0;
};
FeatureStatistics measure(const Impression& seen, const ModelCard::Gate& gate);

/// By what the network sees in it: whether it is anything like a chest film at all.
std::vector<Refusal> check_features(const FeatureStatistics& statistics, const ModelCard::Gate& gate);

}  // namespace fiducial::vision
