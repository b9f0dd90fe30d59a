#include "vision/classifier.hpp"

#include <algorithm>
#include <opencv2/imgproc.hpp>

namespace fiducial::vision {

Result<Assessment> assess(Model& model, const Film& film, const GateOptions& options) {
    const auto& gate = model.card().gate;
    Assessment out;
    out.refusals = check_header(film, options);
    out.age_overridden = options.any_age && !check_header(film, {}).empty() && out.refusals.empty();
    const auto prepared = prepare(film.pixels);
    const auto by_picture = check_picture(film, measure(film, prepared, gate), gate);
    out.refusals.insert(out.refusals.end(), by_picture.begin(), by_picture.end());
    if (out.is_refused()) return out;  // the network is not asked about what is none of its business
    FID_TRY(const auto seen, model.look(prepared));
    const auto by_features = check_features(measure(seen, gate), gate);
    out.refusals.insert(out.refusals.end(), by_features.begin(), by_features.end());
    if (out.is_refused()) return out;
    out.logit = seen.logit;
    out.probability = model.probability_of(seen.logit);
    out.is_finding = out.probability >= model.card().threshold;
    if (out.is_finding) out.heat = seen.share;
    return out;
}

dicom::Raster picture_with_heat(const Film& film, const Assessment& assessment, std::uint32_t side) {
    const auto longer = std::max(film.pixels.rows, film.pixels.columns);
    const double scale = std::min(1.0, side / static_cast<double>(longer));
    const auto part = [scale](std::uint32_t length) { return std::max(1, static_cast<int>(length * scale)); };
    const cv::Mat from(static_cast<int>(film.pixels.rows), static_cast<int>(film.pixels.columns), CV_8UC1,
                       const_cast<std::uint8_t*>(film.pixels.samples.data()));
    cv::Mat grey;
    cv::resize(from, grey, {part(film.pixels.columns), part(film.pixels.rows)}, 0, 0, cv::INTER_AREA);
    dicom::Raster out{static_cast<std::uint32_t>(grey.rows), static_cast<std::uint32_t>(grey.cols), 3, Bytes(grey.total() * 3)};
    const float most = assessment.heat ? *std::max_element(assessment.heat->begin(), assessment.heat->end()) : 0;
    for (std::size_t row = 0; row < out.rows; ++row) {
        for (std::size_t column = 0; column < out.columns; ++column) {
            const auto value = grey.at<std::uint8_t>(static_cast<int>(row), static_cast<int>(column));
            float heat = 0;
            if (most > 0)
                heat = std::max(0.0f, (*assessment.heat)[row * kCells / out.rows * kCells + column * kCells / out.columns] / most);
            auto* pixel = &out.samples[3 * (row * out.columns + column)];
            pixel[0] = static_cast<std::uint8_t>(static_cast<float>(value) + (255.0f - static_cast<float>(value)) * 0.45f * heat);
            pixel[1] = pixel[2] = static_cast<std::uint8_t>(static_cast<float>(value) * (1 - 0.45f * heat));
        }
    }
    return out;
}

}  // namespace fiducial::vision
