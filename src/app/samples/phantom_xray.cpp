#include "app/samples/phantom_xray.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "app/samples/random.hpp"

namespace fiducial::app::samples {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Coordinates: x from -1 (image left, the patient's right) to 1, y downwards in the same unit, 0 at the top.
struct Plane {
    std::size_t columns, rows;
    std::vector<float> data;

    Plane(std::size_t w, std::size_t h) : columns(w), rows(h), data(w * h, 0.0f) {}
    double scale() const { return 2.0 / static_cast<double>(columns); }
    double x_of(std::size_t column) const { return (static_cast<double>(column) + 0.5) * scale() - 1.0; }
    double y_of(std::size_t row) const { return (static_cast<double>(row) + 0.5) * scale(); }
    float& at(std::size_t row, std::size_t column) { return data[row * columns + column]; }
};

double smooth(double from, double to, double value) {
    const double t = std::clamp((value - from) / (to - from), 0.0, 1.0);
    return t * t * (3 - 2 * t);
}

// The build of one person.
struct Anatomy {
    double width, apex, dome_right, dome_left, heart_tilt, heart_x, rib_slope, rib_gap, spine_bend, thickness;

    explicit Anatomy(Random& r)
        : width(r.between(0.70, 0.76)),
          apex(r.between(0.235, 0.275)),
          dome_right(r.between(1.53, 1.61)),
          dome_left(0),
          heart_tilt(r.between(0.62, 0.80)),
          heart_x(r.between(0.13, 0.19)),
          rib_slope(r.between(0.26, 0.36)),
          rib_gap(r.between(0.122, 0.132)),
          spine_bend(r.between(-0.02, 0.02)),
          thickness(r.between(0.95, 1.08)) {
        dome_left = dome_right + r.between(0.04, 0.07);
    }
    double lateral(double y) const {  // inner side of the rib cage
        const double t = (y - 1.30) / 1.14;
        return t * t < 1 ? width * std::pow(1 - t * t, 0.56) : 0.0;
    }
    double medial(double y, bool left) const { return left ? 0.105 + 0.02 * smooth(0.5, 1.2, y) : 0.095 + 0.03 * smooth(0.6, 1.3, y); }
    double dome(double u, bool left) const {
        const double c = u - (left ? 0.36 : 0.34);
        return (left ? dome_left : dome_right) + 1.05 * c * c + 2.4 * std::max(0.0, u - 0.60) * std::max(0.0, u - 0.60);
    }
    double spine(double y) const { return spine_bend * std::sin(y * 1.7); }
};

// Half width of the trunk.
double outline(double y) {
    const double neck = 0.27 + 0.05 * std::cos(y * 6.0);
    const double shoulder = smooth(0.10, 0.52, y);
    return neck + (1.16 - neck) * shoulder - 0.24 * smooth(0.75, 1.45, y) + 0.05 * smooth(1.6, 2.3, y);
}

// Depth of lung along the beam, 0 … 1, without what the heart takes of it.
double lung_depth(const Anatomy& a, double x, double y) {
    const bool left = x > a.spine(y);
    const double u = std::abs(x - a.spine(y));
    const double outer = a.lateral(y), inner = a.medial(y, left);
    if (u <= inner || u >= outer) return 0;
    const double s = (u - inner) / (outer - inner);
    const double across = std::pow(std::sin(kPi * std::clamp(s, 0.0, 1.0) * 0.94 + 0.09), 0.55);
    const double top = smooth(a.apex, a.apex + 0.34, y + 0.35 * std::max(0.0, 0.34 - u));
    const double base = 1.0 - smooth(-0.012, 0.014, y - a.dome(u, left));
    const double recess = 0.16 * (1.0 - smooth(0.02, 0.24, y - a.dome(u, left)));  // lung behind the dome
    const double edge = smooth(0.0, 0.05, s) * smooth(0.0, 0.035, 1 - s);
    return std::max(base, recess) * across * edge * (0.35 + 0.65 * top) * smooth(a.apex - 0.03, a.apex + 0.06, y);
}

double ellipse(double x, double y, double cx, double cy, double rx, double ry, double angle) {
    const double c = std::cos(angle), s = std::sin(angle);
    const double dx = x - cx, dy = y - cy;
    const double px = (dx * c + dy * s) / rx, py = (dy * c - dx * s) / ry;
    const double inside = 1 - px * px - py * py;
    return inside > 0 ? std::sqrt(inside) : 0;
}

double heart_depth(const Anatomy& a, double size, double x, double y) {
    const double low = a.dome_left - 0.02;
    const double ventricle = ellipse(x, y, a.heart_x, low - 0.22 * size, 0.40 * size, 0.245 * size, a.heart_tilt * 0.75);
    const double atrium = 0.75 * ellipse(x, y, -0.06, low - 0.25 * size, 0.145 * size, 0.23 * size, 0.1);
    const double knob = 0.55 * ellipse(x, y, 0.085, 0.66, 0.085, 0.095, 0.0);
    const double trunk = 0.45 * ellipse(x, y, 0.10, 0.83, 0.075, 0.13, -0.2);
    const double cava = 0.35 * ellipse(x, y, -0.10, 0.72, 0.045, 0.26, 0.0);
    return std::max({ventricle, atrium, knob, trunk, cava});
}

// Soft parts: trunk, lungs, heart, airway, stomach bubble.
void draw_soft_parts(Plane& plane, Plane& lungs, const Anatomy& a, const XrayPhantom& p) {
    for (std::size_t row = 0; row < plane.rows; ++row) {
        const double y = plane.y_of(row);
        const double half = outline(y);
        for (std::size_t column = 0; column < plane.columns; ++column) {
            const double x = plane.x_of(column);
            const double r = std::abs(x) / half;
            if (r >= 1) continue;
            const double neck_depth = 0.55 + 0.45 * smooth(0.15, 0.9, y);
            double soft = 3.1 * a.thickness * neck_depth * std::pow(1 - std::pow(r, 2.6), 0.42);
            soft += 0.55 * smooth(1.35, 1.75, y);                                                    // liver and belly
            soft += 0.40 * std::exp(-std::pow((x - a.spine(y)) / 0.10, 2.0)) * smooth(0.3, 0.6, y);  // mediastinum
            const double lung = lung_depth(a, x, y);
            lungs.at(row, column) = static_cast<float>(lung);
            const double heart = heart_depth(a, p.heart, x, y);
            double value = soft - 2.15 * std::max(0.0, lung - 0.62 * heart) + 0.55 * heart;
            const double airway = 0.034 + 0.006 * smooth(0.2, 0.7, y);
            value -= 0.42 * (1 - smooth(airway * 0.6, airway * 1.2, std::abs(x - a.spine(y) + 0.008))) * (1 - smooth(0.74, 0.82, y));
            value -= 0.55 * ellipse(x, y, 0.36, a.dome_left + 0.13, 0.17, 0.075, 0.15);  // air in the stomach
            if (p.female) {
                value += 0.30 * ellipse(x, y, -0.43, 1.30, 0.33, 0.36, 0.25) + 0.30 * ellipse(x, y, 0.43, 1.30, 0.33, 0.36, -0.25);
            }
            plane.at(row, column) = static_cast<float>(std::max(0.05, value));
        }
    }
}

// Adds a band along a curve: density by distance from its middle line, with a brighter rim as cortical bone has.
struct Stroke {
    double half_width;
    double density;
    double rim;
};

void stamp(Plane& plane, double x, double y, double nx, double ny, double step, const Stroke& s) {
    // Walks across the curve, pixel by pixel, and spreads over the step length.
    const double pixel = plane.scale();
    const int reach = static_cast<int>(std::ceil(s.half_width / pixel)) + 1;
    for (int i = -reach; i <= reach; ++i) {
        const double d = static_cast<double>(i) * pixel / s.half_width;
        if (std::abs(d) >= 1.12) continue;
        const double body = std::sqrt(std::max(0.0, 1 - d * d));
        const double rim = s.rim * std::exp(-std::pow((std::abs(d) - 0.86) / 0.13, 2.0));
        const double px = (x + nx * static_cast<double>(i) * pixel + 1.0) / pixel - 0.5,
                     py = (y + ny * static_cast<double>(i) * pixel) / pixel - 0.5;
        if (px < 1 || py < 1 || px >= static_cast<double>(plane.columns) - 2 || py >= static_cast<double>(plane.rows) - 2) continue;
        const auto column = static_cast<std::size_t>(px), row = static_cast<std::size_t>(py);
        const double fx = px - static_cast<double>(column), fy = py - static_cast<double>(row);
        const double value = s.density * (body + rim) * step / pixel;
        plane.at(row, column) += static_cast<float>(value * (1 - fx) * (1 - fy));
        plane.at(row, column + 1) += static_cast<float>(value * fx * (1 - fy));
        plane.at(row + 1, column) += static_cast<float>(value * (1 - fx) * fy);
        plane.at(row + 1, column + 1) += static_cast<float>(value * fx * fy);
    }
}

template <typename Curve>
void draw_curve(Plane& plane, const Curve& curve, double length, const Stroke& stroke, double fade_in = 0.0, double fade_out = 0.0) {
    const double step = plane.scale() * 0.7;
    const int count = std::max(2, static_cast<int>(length / step));
    for (int i = 0; i < count; ++i) {
        const double t = static_cast<double>(i) / count, dt = 1.0 / count;
        const auto [x, y] = curve(t);
        const auto [x2, y2] = curve(t + dt);
        const double dx = x2 - x, dy = y2 - y, long_ = std::hypot(dx, dy);
        if (long_ <= 0) continue;
        Stroke here = stroke;
        if (fade_in > 0) here.density *= smooth(0, fade_in, t);
        if (fade_out > 0) here.density *= smooth(0, fade_out, 1 - t);
        stamp(plane, x, y, -dy / long_, dx / long_, long_, here);
    }
}

struct Point {
    double x, y;
};

void draw_ribs(Plane& bones, const Anatomy& a, Random& r) {
    for (int k = 0; k < 11; ++k) {
        const double start = 0.30 + a.rib_gap * k;
        const double drop = 0.02 + a.rib_slope * 0.55 * smooth(0, 6, k);
        for (const double side : {-1.0, 1.0}) {
            const double jitter = r.between(-0.008, 0.008);
            // The back part leaves the spine, rises a little, and falls to the side wall.
            const double y_side = start + drop + 0.10;
            const double reach = std::max(0.20, a.lateral(std::min(y_side, 1.9)) + 0.030);
            const auto back = [&, side](double t) {
                const double u = 0.075 + (reach - 0.075) * std::sin(t * kPi / 2);
                const double y = start + jitter - 0.035 * std::sin(t * kPi * 0.8) + (drop + 0.10) * std::pow(t, 2.4);
                return Point{side * u + a.spine(y), y};
            };
            draw_curve(bones, back, reach * 1.25, Stroke{0.026 - 0.0006 * k, 0.27, 0.85}, 0.02, 0.03);
            if (k > 8) continue;
            // The front part turns at the side wall and falls towards the breastbone; it ends in cartilage, which does not show.
            const auto front = [&, side](double t) {
                const double u = reach * std::cos(t * kPi / 2 * 0.80) + 0.0;
                const double y = y_side + jitter + (0.17 + 0.02 * k) * std::sin(t * kPi / 2 * 0.9);
                return Point{side * u + a.spine(y), y};
            };
            draw_curve(bones, front, reach * 1.05, Stroke{0.030, 0.125, 0.7}, 0.05, 0.25);
        }
    }
}

void draw_spine_and_shoulders(Plane& bones, const Anatomy& a) {
    for (int k = 0; k < 19; ++k) {  // vertebrae: body, end plates, pedicles, spinous process
        const double y0 = 0.06 + 0.118 * k;
        const double half = 0.062 + 0.0012 * k;
        for (std::size_t row = 0; row < bones.rows; ++row) {
            const double y = bones.y_of(row) - y0;
            if (y < 0 || y > 0.118) continue;
            const double body = smooth(0.0, 0.008, y) * (1 - smooth(0.092, 0.100, y));
            const double plate = std::exp(-std::pow((y - 0.006) / 0.006, 2.0)) + std::exp(-std::pow((y - 0.094) / 0.006, 2.0));
            for (std::size_t column = 0; column < bones.columns; ++column) {
                const double x = bones.x_of(column) - a.spine(bones.y_of(row));
                const double inside = 1 - smooth(half - 0.014, half + 0.008, std::abs(x));
                if (inside <= 0) continue;
                double value = inside * (0.10 + 0.15 * body + 0.07 * plate * body);
                for (const double side : {-1.0, 1.0})
                    value += 0.15 * std::exp(-std::pow((x - side * 0.040) / 0.011, 2.0) - std::pow((y - 0.035) / 0.016, 2.0));
                value += 0.16 * std::exp(-std::pow(x / 0.009, 2.0) - std::pow((y - 0.075) / 0.026, 2.0));
                bones.at(row, column) += static_cast<float>(value);
            }
        }
    }
    for (const double side : {-1.0, 1.0}) {
        const auto clavicle = [side](double t) {
            return Point{side * (0.085 + 0.60 * t), 0.455 - 0.20 * t - 0.045 * std::sin(t * kPi * 1.6)};
        };
        draw_curve(bones, clavicle, 0.68, Stroke{0.032, 0.30, 0.9}, 0.03, 0.04);
        const auto blade = [side](double t) { return Point{side * (0.80 - 0.10 * std::sin(t * kPi * 0.55)), 0.42 + 0.62 * t}; };
        draw_curve(bones, blade, 0.65, Stroke{0.030, 0.20, 0.6}, 0.1, 0.25);
        const auto spine_of_blade = [side](double t) { return Point{side * (0.60 + 0.36 * t), 0.44 - 0.14 * t}; };
        draw_curve(bones, spine_of_blade, 0.4, Stroke{0.036, 0.17, 0.5}, 0.25, 0.05);
        const auto humerus = [side](double t) { return Point{side * (0.965 + 0.03 * t), 0.30 + 1.5 * t}; };
        draw_curve(bones, humerus, 1.55, Stroke{0.075, 0.34, 0.55}, 0.06, 0.05);
    }
}

// Arteries and veins: they leave the hilum, fork and thin out.
void draw_vessel(Plane& plane, const Anatomy& a, Random& r, Point from, double angle, double width, int depth) {
    const double length = width * r.between(5.5, 8.5) + 0.03;
    const double bend = r.between(-0.5, 0.5);
    const auto curve = [&](double t) {
        const double turned = angle + bend * t * 0.5;
        return Point{from.x + std::cos(turned) * length * t, from.y + std::sin(turned) * length * t};
    };
    const auto end = curve(1.0);
    if (lung_depth(a, end.x, end.y) < 0.10 && depth > 1) return;
    draw_curve(plane, curve, length, Stroke{width, 0.10 + 2.6 * width, 0.0});
    if (depth >= 7 || width < 0.0035) return;
    const double spread = r.between(0.35, 0.75);
    draw_vessel(plane, a, r, end, angle + bend * 0.5 + spread * r.between(0.5, 1.0), width * r.between(0.66, 0.80), depth + 1);
    draw_vessel(plane, a, r, end, angle + bend * 0.5 - spread * r.between(0.5, 1.0), width * r.between(0.66, 0.82), depth + 1);
}

void draw_vessels(Plane& plane, const Anatomy& a, Random& r) {
    for (const double side : {-1.0, 1.0}) {
        const Point hilum{side * 0.15, side < 0 ? 0.93 : 0.89};
        for (int i = 0; i < 9; ++i) {
            const double spread = -1.35 + 2.75 * (static_cast<double>(i) + r.unit() * 0.6) / 9.0;  // from up to down
            const double angle = side > 0 ? spread : kPi - spread;
            const double width = (i >= 5 ? 0.024 : 0.017) * r.between(0.85, 1.15);
            draw_vessel(plane, a, r, hilum, angle, width, 0);
        }
    }
}

// Smooth random field, about -1 … 1.
class Field {
public:
    Field(Random& r, std::size_t cells) : cells_(cells), values_((cells + 2) * (cells + 2)) {
        for (auto& v : values_) v = r.between(-1, 1);
    }
    double at(double x, double y) const {  // x, y in 0 … 1
        const double gx = std::clamp(x, 0.0, 0.999) * static_cast<double>(cells_),
                     gy = std::clamp(y, 0.0, 0.999) * static_cast<double>(cells_);
        const auto i = static_cast<std::size_t>(gx), j = static_cast<std::size_t>(gy);
        const double fx = smooth(0, 1, gx - static_cast<double>(i)), fy = smooth(0, 1, gy - static_cast<double>(j));
        const auto v = [&](std::size_t a, std::size_t b) { return values_[b * (cells_ + 2) + a]; };
        return (v(i, j) * (1 - fx) + v(i + 1, j) * fx) * (1 - fy) + (v(i, j + 1) * (1 - fx) + v(i + 1, j + 1) * fx) * fy;
    }

private:
    std::size_t cells_;
    std::vector<double> values_;
};

struct Patch {
    double x, y, rx, ry;
};

std::vector<Patch> patches_of(XrayPhantom::Opacity opacity) {
    using enum XrayPhantom::Opacity;
    switch (opacity) {
        case right_lower: return {{-0.40, 1.33, 0.23, 0.24}};
        case left_lower: return {{0.47, 1.30, 0.20, 0.24}};
        case right_upper: return {{-0.38, 0.66, 0.20, 0.21}};
        case both: return {{-0.38, 1.22, 0.22, 0.30}, {0.44, 1.18, 0.20, 0.30}, {-0.42, 0.80, 0.15, 0.16}};
        case none: break;
    }
    return {};
}

// Consolidation: patchy, denser in the middle, with thin dark branches of air in it.
void draw_opacity(Plane& plane, Plane& lungs, const XrayPhantom& p, Random& r) {
    const auto patches = patches_of(p.opacity);
    if (patches.empty()) return;
    const Field coarse(r, 14), fine(r, 60);
    for (std::size_t row = 0; row < plane.rows; ++row) {
        const double y = plane.y_of(row);
        for (std::size_t column = 0; column < plane.columns; ++column) {
            const double x = plane.x_of(column);
            double amount = 0;
            for (const auto& patch : patches) {
                const double d = std::pow((x - patch.x) / patch.rx, 2.0) + std::pow((y - patch.y) / patch.ry, 2.0);
                if (d < 4) amount = std::max(amount, std::exp(-d * 1.1));
            }
            if (amount <= 0.01) continue;
            const double texture = 0.62 + 0.55 * coarse.at((x + 1) / 2, y / 2.6) + 0.30 * fine.at((x + 1) / 2, y / 2.6);
            plane.at(row, column) += static_cast<float>(1.25 * p.opacity_strength * amount * std::clamp(texture, 0.0, 1.4) *
                                                        std::min(1.0, 1.3 * lungs.at(row, column)));
        }
    }
}

void box_blur(std::vector<float>& data, std::size_t count, std::size_t stride, std::size_t lines, std::size_t line_stride,
              std::size_t radius) {
    std::vector<float> line(count);
    for (std::size_t l = 0; l < lines; ++l) {
        float* base = data.data() + l * line_stride;
        double sum = 0;
        const auto clamp_at = [&](std::ptrdiff_t i) {
            return base[static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(i, 0, static_cast<std::ptrdiff_t>(count) - 1)) * stride];
        };
        const auto reach = static_cast<std::ptrdiff_t>(radius);
        for (std::ptrdiff_t i = -reach; i <= reach; ++i) sum += clamp_at(i);
        for (std::size_t i = 0; i < count; ++i) {
            line[i] = static_cast<float>(sum / static_cast<double>(2 * radius + 1));
            sum += clamp_at(static_cast<std::ptrdiff_t>(i) + reach + 1) - clamp_at(static_cast<std::ptrdiff_t>(i) - reach);
        }
        for (std::size_t i = 0; i < count; ++i) base[i * stride] = line[i];
    }
}

void blur(Plane& plane, std::size_t radius, int times) {
    for (int i = 0; i < times; ++i) {
        box_blur(plane.data, plane.columns, 1, plane.rows, plane.columns, radius);
        box_blur(plane.data, plane.rows, plane.columns, plane.columns, 1, radius);
    }
}

// A lead "R" in the patient's right upper corner.
void draw_marker(std::vector<std::uint16_t>& image, std::size_t columns) {
    static constexpr std::array<std::uint8_t, 7> kR = {0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001};
    const std::size_t unit = columns / 150, left = columns / 22, top = columns / 12;
    for (std::size_t row = 0; row < 7 * unit; ++row) {
        for (std::size_t column = 0; column < 5 * unit; ++column) {
            if ((kR[row / unit] >> (4 - column / unit)) & 1) image[(top + row) * columns + left + column] = 3900;
        }
    }
}

}  // namespace

std::vector<std::uint16_t> draw_xray(const XrayPhantom& p) {
    Random build(p.anatomy_seed * 7919 + 17), exposure(p.exposure_seed * 104729 + 29);
    const Anatomy anatomy(build);
    Plane plane(p.columns, p.rows), lungs(p.columns, p.rows), bones(p.columns, p.rows), vessels(p.columns, p.rows);
    draw_soft_parts(plane, lungs, anatomy, p);
    draw_ribs(bones, anatomy, build);
    draw_spine_and_shoulders(bones, anatomy);
    draw_vessels(vessels, anatomy, build);
    draw_opacity(plane, lungs, p, exposure);
    blur(bones, 1, 2);
    blur(vessels, 1, 1);
    for (std::size_t row = 0; row < plane.rows; ++row) {
        for (std::size_t column = 0; column < plane.columns; ++column) {
            const double x = plane.x_of(column), y = plane.y_of(row);
            const double lung = std::min(1.0, 1.6 * lungs.at(row, column));
            auto& value = plane.at(row, column);
            if (std::abs(x) < outline(y)) value += bones.at(row, column);
            value += static_cast<float>(lung * std::min(0.9f, vessels.at(row, column)));
        }
    }
    blur(plane, 1, 1);
    Plane scatter = plane;
    blur(scatter, p.columns / 40, 2);

    const double brightness = exposure.between(-0.06, 0.06);
    const Field unevenness(exposure, 5);
    Noise noise(p.exposure_seed * 31337 + 7);
    std::vector<std::uint16_t> image(plane.data.size());
    for (std::size_t row = 0; row < plane.rows; ++row) {
        for (std::size_t column = 0; column < plane.columns; ++column) {
            const double a = 0.84 * plane.at(row, column) + 0.16 * scatter.at(row, column) + brightness +
                             0.03 * unevenness.at((plane.x_of(column) + 1) / 2, plane.y_of(row) / 2.6);
            const double quantum = 0.012 * std::exp(a * 0.28);  // fewer photons where it is dense
            const double b = a + quantum * static_cast<double>(noise.next());
            const double shown = 4095.0 / (1.0 + std::exp(-(b - 2.25) * 1.35));  // as a film responds
            image[row * p.columns + column] = static_cast<std::uint16_t>(std::clamp(shown, 0.0, 4095.0));
        }
    }
    draw_marker(image, p.columns);
    return image;
}

}  // namespace fiducial::app::samples
