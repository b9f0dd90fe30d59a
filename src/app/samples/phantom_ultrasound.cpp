#include "app/samples/phantom_ultrasound.hpp"

#include <algorithm>
#include <cmath>

#include "app/samples/random.hpp"

namespace fiducial::app::samples {

Bytes draw_ultrasound(const UltrasoundPhantom& p) {
    constexpr std::size_t kRays = 160, kDepths = 256;
    constexpr double kOpening = 0.68, kPi = 3.14159265358979323846;
    Bytes out;
    out.reserve(std::size_t{p.frames} * p.rows * p.columns);
    Noise noise(p.seed);
    std::vector<float> still(kRays * kDepths);  // scatterers that stay from frame to frame
    for (auto& s : still) s = noise.next();
    for (std::uint32_t frame = 0; frame < p.frames; ++frame) {
        const double beat = std::sin(2 * kPi * frame / p.frames);
        const double cx = 8, cy = 165, radius = 52 + 10 * beat;
        for (std::uint32_t row = 0; row < p.rows; ++row) {
            for (std::uint32_t column = 0; column < p.columns; ++column) {
                const double x = column + 0.5 - p.columns / 2.0, y = row + 8.0;
                const double depth = std::hypot(x, y), angle = std::atan2(x, y);
                if (std::abs(angle) > kOpening || depth > p.rows - 6.0 || depth < 20) {
                    out.push_back(0);
                    continue;
                }
                const double wall = std::hypot((x - cx) / 1.25, y - cy) - radius;
                double echo = 62 * std::exp(-depth / 420);
                if (wall < 0) echo = 6;
                echo += 110 * std::exp(-std::pow((wall - 5) / 6, 2.0));
                echo += 60 * std::exp(-std::pow((depth - 285 - 6 * std::sin(angle * 5)) / 4, 2.0));
                const auto ray = static_cast<std::size_t>((angle + kOpening) / (2 * kOpening) * (kRays - 1));
                const auto bin = std::min<std::size_t>(kDepths - 1, static_cast<std::size_t>(depth / p.rows * kDepths));
                const double speckle =
                    std::abs(1 + 0.55 * static_cast<double>(still[ray * kDepths + bin]) + 0.18 * static_cast<double>(noise.next()));
                out.push_back(static_cast<std::uint8_t>(std::clamp(echo * speckle, 0.0, 255.0)));
            }
        }
    }
    return out;
}

}  // namespace fiducial::app::samples
