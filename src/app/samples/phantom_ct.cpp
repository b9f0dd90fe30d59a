#include "app/samples/phantom_ct.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "app/samples/random.hpp"

namespace fiducial::app::samples {
namespace {

struct Disc {
    double x, y, rx, ry, hu;
    bool holds(double px, double py) const {
        const double dx = (px - x) / rx, dy = (py - y) / ry;
        return dx * dx + dy * dy < 1;
    }
};

struct Slice {
    double body_x, body_y;
    std::vector<Disc> layers;  // the last one that holds a point says what it is
};

// All lengths in millimetres; x to the image's right (patient's left), y to the back; z from 0 (feet) to 1 (head).
Slice slice_at(double z, Random& r) {
    Slice s;
    const double shoulders = std::clamp((z - 0.82) / 0.18, 0.0, 1.0);
    s.body_x = 160 + 14 * std::sin(z * 3.0) - 12 * shoulders;
    s.body_y = 112 + 6 * std::sin(z * 2.5) - 14 * shoulders;
    const double grow = r.between(0.97, 1.03);
    const auto add = [&](double x, double y, double rx, double ry, double hu) { s.layers.push_back({x, y, rx * grow, ry * grow, hu}); };
    add(0, 0, s.body_x - 18, s.body_y - 14, 52);  // muscle under fat
    // Lungs, wide at the base, ending in the dome below and the apex above.
    const double lung = std::sqrt(std::clamp(std::sin(3.14159 * std::clamp((z + 0.14) / 1.13, 0.0, 1.0)), 0.0, 1.0));
    if (lung > 0.12) {
        add(-72, 2, 56 * lung, 84 * lung, -855);
        add(74, 4, 53 * lung, 82 * lung, -855);
    }
    const double dome = std::clamp((0.30 - z) / 0.30, 0.0, 1.0);
    if (dome > 0) {
        add(-70, -6, 60 * std::sqrt(dome), 70 * std::sqrt(dome), 58);         // liver
        add(68, -4, 46 * std::pow(dome, 0.7), 54 * std::pow(dome, 0.7), 45);  // spleen and stomach
        if (dome > 0.45) add(74, -34, 24, 17, -900);                          // air in the stomach
    }
    add(0, -12, 34, 62, 42);  // mediastinum
    const double heart = 1 - std::pow((z - 0.36) / 0.22, 2.0);
    if (heart > 0)
        add(22, -26, 58 * std::sqrt(heart), 46 * std::sqrt(heart), 46), add(30, -30, 30 * std::sqrt(heart), 22 * std::sqrt(heart), 150);
    if (z > 0.55 && z < 0.68) add(6, -18, 34, 16, 165);  // arch of the aorta
    if (z <= 0.66) add(18, 46, 13, 13, 160);             // descending aorta
    if (z > 0.46) add(-22, -30, 10, 12, 150);            // superior vena cava
    if (z > 0.56) add(0, 4, 9, 10, -990);                // trachea
    if (z > 0.47 && z <= 0.56) {
        const double apart = 26 * (0.56 - z) / 0.09;
        add(-apart, 6, 8, 7, -990), add(apart, 6, 8, 7, -990);
    }
    const double disc = std::abs(std::fmod(z * 11.0, 1.0) - 0.5);
    add(0, 74, 18, 15, disc > 0.40 ? 90.0 : 310.0);  // vertebra or disc between
    add(0, 74, 14, 11, disc > 0.40 ? 80.0 : 190.0);
    add(0, 97, 9, 8, 30);                // canal
    add(0, 110, 4, 13, 420);             // spinous process
    add(0, -s.body_y + 24, 12, 6, 260);  // breastbone
    return s;
}

void add_ribs(Slice& s, double z, Random& r) {
    for (int k = 0; k < 10; ++k) {
        for (const double side : {-1.0, 1.0}) {
            // A rib falls from back to front: where it cuts this slice depends on height.
            const double along = (0.12 + 0.098 * k + 0.16 - z) / 0.30;
            if (along < 0 || along > 1) continue;
            const double angle = 1.35 - 2.55 * along;  // 1.35 at the spine, negative in front
            const double x = side * std::cos(angle) * (s.body_x - 26), y = std::sin(angle) * (s.body_y - 20);
            const double size = r.between(5.2, 6.4);
            s.layers.push_back({x, y, size * 1.5, size, 520});
            s.layers.push_back({x, y, size * 0.9, size * 0.5, 230});
        }
    }
}

void add_vessels(std::vector<Disc>& layers, double z, std::uint64_t seed) {
    Random tree(seed * 131 + 5);
    for (int i = 0; i < 90; ++i) {
        const double side = tree.unit() < 0.5 ? -1 : 1;
        const double start_z = tree.between(0.35, 0.62), slope_x = tree.between(-60, 120), slope_y = tree.between(-150, 150),
                     span = tree.between(0.08, 0.40);
        const double up = tree.unit() < 0.5 ? -1 : 1, radius = tree.between(1.2, 4.2);
        const double t = (z - start_z) * up;
        if (t < 0 || t > span) continue;
        layers.push_back({side * (42 + slope_x * t), 4 + slope_y * t, radius * (1 - 0.7 * t / span), radius * (1 - 0.7 * t / span), 35});
    }
}

}  // namespace

std::vector<std::uint16_t> draw_ct_slice(const CtPhantom& p, std::uint32_t index) {
    const double z = (static_cast<double>(index) + 0.5) / p.slices;
    Random build(p.seed * 7919 + 3);
    Slice s = slice_at(z, build);
    Slice ribs{s.body_x, s.body_y, {}};
    add_ribs(ribs, z, build);
    std::vector<Disc> vessels;
    add_vessels(vessels, z, p.seed);
    if (p.nodule) {
        const double dz = (z - 0.72) * p.slices * p.slice_mm;
        if (std::abs(dz) < 9) vessels.push_back({-84, -14, std::sqrt(81 - dz * dz), std::sqrt(81 - dz * dz), 25});
    }
    Noise noise(p.seed * 65537 + index);
    std::vector<std::uint16_t> out(std::size_t{p.size} * p.size);
    const double half = p.size / 2.0;
    const Disc body{0, 0, s.body_x, s.body_y, -95}, table{0, 330, 260, 210, -780}, below{0, 342, 260, 210, -1000};
    for (std::uint32_t row = 0; row < p.size; ++row) {
        const double y = (row + 0.5 - half) * p.pixel_mm;
        for (std::uint32_t column = 0; column < p.size; ++column) {
            const double x = (column + 0.5 - half) * p.pixel_mm;
            double hu = -1000;
            if (y > 118 && table.holds(x, y) && !below.holds(x, y)) hu = table.hu;
            if (body.holds(x, y)) {
                hu = body.hu;
                for (const auto& disc : s.layers) {
                    if (disc.holds(x, y)) hu = disc.hu;
                }
                if (hu < -800 && hu > -900) {
                    for (const auto& disc : vessels) {
                        if (disc.holds(x, y)) hu = disc.hu;
                    }
                }
                for (const auto& disc : ribs.layers) {
                    if (disc.holds(x, y)) hu = disc.hu;
                }
            }
            const double value = hu + (hu > -999 ? 14.0 : 6.0) * static_cast<double>(noise.next());
            out[std::size_t{row} * p.size + column] = static_cast<std::uint16_t>(std::clamp(value - kCtIntercept, 0.0, 4095.0));
        }
    }
    // One pass of a 3 × 3 kernel, as a reconstruction smooths.
    std::vector<std::uint16_t> smooth = out;
    for (std::uint32_t row = 1; row + 1 < p.size; ++row) {
        for (std::uint32_t column = 1; column + 1 < p.size; ++column) {
            const std::size_t i = std::size_t{row} * p.size + column;
            const unsigned sum = 4u * out[i] + 2u * (out[i - 1] + out[i + 1] + out[i - p.size] + out[i + p.size]) + out[i - p.size - 1] +
                                 out[i - p.size + 1] + out[i + p.size - 1] + out[i + p.size + 1];
            smooth[i] = static_cast<std::uint16_t>(sum / 16);
        }
    }
    return smooth;
}

}  // namespace fiducial::app::samples
