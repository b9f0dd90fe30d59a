#include "vision/preparation.hpp"

#include <algorithm>
#include <opencv2/imgproc.hpp>

namespace fiducial::vision {
namespace {

constexpr std::size_t kCutPercent = 1;  // of the samples, at either end

}  // namespace

dicom::Raster stretched(const dicom::Raster& film, std::uint32_t side) {
    FID_INVARIANT(film.channels == 1 && film.rows > 0 && film.columns > 0, "a film without pixels");
    if (film.rows == side && film.columns == side) return film;
    dicom::Raster out{side, side, 1, Bytes(std::size_t{side} * side)};
    const cv::Mat from(static_cast<int>(film.rows), static_cast<int>(film.columns), CV_8UC1,
                       const_cast<std::uint8_t*>(film.samples.data()));
    cv::Mat to(static_cast<int>(side), static_cast<int>(side), CV_8UC1, out.samples.data());
    cv::resize(from, to, to.size(), 0, 0, cv::INTER_AREA);
    FID_INVARIANT(to.data == out.samples.data(), "a film stretched into other memory");
    return out;
}

void window_by_percentiles(MutableByteView samples) {
    std::array<std::size_t, 256> count{};
    for (const auto sample : samples) ++count[sample];
    const std::size_t cut = samples.size() * kCutPercent / 100;
    unsigned low = 0, high = 0;
    std::size_t below = count[0];
    while (low < 255 && below <= cut) below += count[++low];
    below = count[0];
    while (high < 255 && below < samples.size() - cut) below += count[++high];
    std::array<std::uint8_t, 256> table{};
    for (unsigned value = 0; value < table.size() && high > low; ++value) {
        const unsigned within = std::clamp(value, low, high) - low;
        table[value] = static_cast<std::uint8_t>((2 * 255 * within + (high - low)) / (2 * (high - low)));
    }
    for (auto& sample : samples) sample = table[sample];
}

Bytes prepare(const dicom::Raster& film) {
    auto seen = stretched(stretched(film, kStretchedSide), kSide).samples;
    window_by_percentiles(seen);
    return seen;
}

}  // namespace fiducial::vision
