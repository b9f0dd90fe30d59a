#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "vision/preparation.hpp"

namespace fiducial::vision {

inline constexpr std::size_t kFeatures = 1280;
inline constexpr std::size_t kCells = 5;  // a side of the last feature map

/// What the network makes of one prepared film.
struct Impression {
    float logit = 0;
    std::vector<float> features;                 // kFeatures, each its mean over the film
    std::array<float, kCells * kCells> share{};  // what each cell adds to the logit, by rows; with the bias they sum up to it
};

/// What was settled when the model was made, in ml/: how a logit becomes a probability, where the cut lies, what a film may look like.
struct ModelCard {
    std::string name;
    Hash network_sha256{};
    double prevalence = 0.5;  // that probabilities are for
    double slope = 1, intercept = 0;
    double threshold = 0.5;  // of the probability: from here on it is a finding
    std::vector<float> weights;
    float bias = 0;

    struct Gate {
        double least_spread = 0;     // between the percentiles 1 and 99 of the stretched film, of 255
        double most_saturated = 1;   // of its samples, black or white
        double least_symmetry = -1;  // correlation with its own mirror image, both of kCoarse cells a side
        double least_likeness = -1;  // correlation with the mean film
        std::vector<float> mean_film;
        std::vector<float> feature_mean, feature_scale;
        double most_distance = 0;  // mean square of the features so scaled
        std::vector<float> chest_weights;
        float chest_bias = 0;
        double least_chest = 0;  // of what these give: films of chests above, all else below
    } gate;
    std::string facts_json;  // figures of validation, as they are shown
};
inline constexpr std::size_t kCoarse = 20;  // cells a side, of kSide / kCoarse samples each

/// The network that belongs to the product.
/// Threads: one at a time. Security: a network or a card that is not the one compiled in is refused
class Model {
public:
    /// Errors: corrupt.
    static Result<Model> of_product();
    /// Errors: corrupt: a card without that hash, or a network other than the card names.
    static Result<Model> open(ByteView network, ByteView card, const Hash& card_sha256);
    Model(Model&&) noexcept;
    Model& operator=(Model&&) noexcept;
    ~Model();

    const ModelCard& card() const { return card_; }
    /// Requires: kSide × kSide samples, prepared. Errors: internal.
    Result<Impression> look(ByteView prepared);
    double probability_of(float logit) const;

private:
    struct Network;
    Model(ModelCard card, std::unique_ptr<Network> network);

    ModelCard card_;
    std::unique_ptr<Network> network_;
};

/// The files that the product holds. Errors: none; the bytes live as long as the program.
ByteView network_file();
ByteView card_file();

}  // namespace fiducial::vision
