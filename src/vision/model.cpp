#include "vision/model.hpp"

#include <boost/json.hpp>
#include <cmath>
#include <opencv2/dnn.hpp>

#include "base/hex.hpp"
#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "vision/model/card_sha256.hpp"

// The files themselves lie in the program: it needs no other, and nobody can swap them.
asm(R"(
    .pushsection .rodata
    .global fiducial_network_begin, fiducial_network_end, fiducial_card_begin, fiducial_card_end
    .balign 16
fiducial_network_begin: .incbin ")" FIDUCIAL_MODEL_DIR R"(/pneumonia.onnx"
fiducial_network_end:
    .balign 16
fiducial_card_begin: .incbin ")" FIDUCIAL_MODEL_DIR R"(/pneumonia.json"
fiducial_card_end:
    .popsection
)");
extern "C" {
extern const std::uint8_t fiducial_network_begin[], fiducial_network_end[], fiducial_card_begin[], fiducial_card_end[];
}

namespace fiducial::vision {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostCardBytes = 4u << 20;

std::vector<float> floats(const json::object& object, std::string_view key, std::size_t count) {
    auto values = json::value_to<std::vector<float>>(object.at(key));
    if (values.size() != count) throw std::invalid_argument(std::string(key));
    return values;
}

/// Throws what Boost.JSON throws where a field is missing or of another kind.
ModelCard card_of(const json::object& card) {
    ModelCard out;
    out.name = json::value_to<std::string>(card.at("name"));
    const auto sha256 = from_hex(json::value_to<std::string>(card.at("sha256")));
    if (!sha256 || sha256->size() != out.network_sha256.size()) throw std::invalid_argument("sha256");
    std::copy(sha256->begin(), sha256->end(), out.network_sha256.begin());
    const auto number = [](const json::object& object, std::string_view key) { return object.at(key).to_number<double>(); };
    if (number(card, "side") != kSide) throw std::invalid_argument("side");
    out.prevalence = number(card, "prevalence");
    out.slope = number(card, "slope");
    out.intercept = number(card, "intercept");
    out.threshold = number(card, "threshold");
    out.weights = floats(card, "weights", kFeatures);
    out.bias = static_cast<float>(number(card, "bias"));
    const auto& gate = card.at("gate").as_object();
    out.gate.least_spread = number(gate, "leastSpread");
    out.gate.most_saturated = number(gate, "mostSaturated");
    out.gate.least_symmetry = number(gate, "leastSymmetry");
    out.gate.least_likeness = number(gate, "leastLikeness");
    out.gate.mean_film = floats(gate, "meanFilm", kCoarse * kCoarse);
    out.gate.feature_mean = floats(gate, "featureMean", kFeatures);
    out.gate.feature_scale = floats(gate, "featureScale", kFeatures);
    out.gate.most_distance = number(gate, "mostDistance");
    out.gate.chest_weights = floats(gate, "chestWeights", kFeatures);
    out.gate.chest_bias = static_cast<float>(number(gate, "chestBias"));
    out.gate.least_chest = number(gate, "leastChest");
    out.facts_json = json::serialize(card.at("facts"));
    return out;
}

}  // namespace

struct Model::Network {
    cv::dnn::Net net;
    std::vector<cv::String> outputs;
};

Model::Model(ModelCard card, std::unique_ptr<Network> network) : card_(std::move(card)), network_(std::move(network)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

ByteView network_file() {
    return {fiducial_network_begin, fiducial_network_end};
}
ByteView card_file() {
    return {fiducial_card_begin, fiducial_card_end};
}

Result<Model> Model::of_product() {
    return open(network_file(), card_file(), kCardSha256);
}

Result<Model> Model::open(ByteView network, ByteView card, const Hash& card_sha256) {
    if (crypto::sha256(card) != card_sha256)
        return fail(ErrorCode::corrupt, "the model's card is not the one that belongs to this program");
    FID_TRY(const auto parsed, fiducial::json::parse(as_text(card), kMostCardBytes));
    try {
        auto read = card_of(parsed.as_object());
        if (crypto::sha256(network) != read.network_sha256)
            return fail(ErrorCode::corrupt, "the model is not the one that its card names: it was changed");
        auto loaded = std::make_unique<Network>();
        loaded->net = cv::dnn::readNetFromONNX(reinterpret_cast<const char*>(network.data()), network.size());
        loaded->outputs = {"logit", "features"};
        return Model(std::move(read), std::move(loaded));
    } catch (const std::exception& error) {
        return fail(ErrorCode::corrupt, std::string("the model cannot be loaded: ") + error.what());
    }
}

Result<Impression> Model::look(ByteView prepared) {
    FID_INVARIANT(prepared.size() == std::size_t{kSide} * kSide, "a film that is not prepared");
    try {
        const cv::Mat film(kSide, kSide, CV_8UC1, const_cast<std::uint8_t*>(prepared.data()));
        network_->net.setInput(cv::dnn::blobFromImage(film, 1 / 128.0, cv::Size(), cv::Scalar(127)));
        std::vector<cv::Mat> outputs;
        network_->net.forward(outputs, network_->outputs);
        if (outputs.size() != 2 || outputs[0].total() != 1 || outputs[1].total() != kFeatures * kCells * kCells)
            return fail(ErrorCode::internal, "the model answers in another shape than its card says");
        Impression seen;
        seen.logit = *outputs[0].ptr<float>();
        if (!std::isfinite(seen.logit)) return fail(ErrorCode::internal, "the model's answer is no number");
        seen.features.resize(kFeatures);
        const auto* values = outputs[1].ptr<float>();
        for (std::size_t feature = 0; feature < kFeatures; ++feature) {
            float sum = 0;
            for (auto& share : seen.share) {
                sum += *values;
                share += card_.weights[feature] * *values++ / static_cast<float>(kCells * kCells);
            }
            seen.features[feature] = sum / static_cast<float>(kCells * kCells);
        }
        return seen;
    } catch (const cv::Exception& error) {
        return fail(ErrorCode::internal, "the model failed: " + error.err);
    }
}

double Model::probability_of(float logit) const {
    return 1 / (1 + std::exp(-(card_.slope * logit + card_.intercept)));
}

}  // namespace fiducial::vision
