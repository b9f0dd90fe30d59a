#include "vision/evaluation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

namespace fiducial::vision {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr int kResamples = 1'000;
constexpr unsigned kSeed = 20'180'222;  // fixed: the same films give the same intervals

/// Where a film ranks: refused ones at the wrong end.
double rank_of(const Judged& film) {
    if (!film.is_refused) return film.probability;
    return film.is_ill ? -1 : 2;
}

/// How many ill and healthy films there are at each rank, the highest first.
struct Step {
    double rank = 0;
    std::size_t ill = 0, healthy = 0;
};
std::vector<Step> steps_down(const std::vector<Judged>& films) {
    std::vector<const Judged*> order;
    order.reserve(films.size());
    for (const auto& film : films) order.push_back(&film);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return rank_of(*a) > rank_of(*b); });
    std::vector<Step> steps;
    for (const auto* film : order) {
        if (steps.empty() || steps.back().rank != rank_of(*film)) steps.push_back({rank_of(*film)});
        ++(film->is_ill ? steps.back().ill : steps.back().healthy);
    }
    return steps;
}

struct Counts {
    std::size_t ill = 0, healthy = 0;
};
Counts count(const std::vector<Judged>& films) {
    Counts out;
    for (const auto& film : films) ++(film.is_ill ? out.ill : out.healthy);
    return out;
}

double best_sensitivity(const std::vector<Judged>& films) {
    const auto [ill, healthy] = count(films);
    if (ill == 0 || healthy == 0) return kNone;
    double best = 0;
    std::size_t hits = 0, alarms = 0;
    for (const auto& step : steps_down(films)) {
        hits += step.ill;
        alarms += step.healthy;
        if (step.rank > 1 || step.rank < 0) continue;  // no cut divides what was refused
        if (static_cast<double>(alarms) <= (1 - kWantedSpecificity) * static_cast<double>(healthy))
            best = std::max(best, static_cast<double>(hits) / static_cast<double>(ill));
    }
    return best;
}

template <typename Measure>
Figure by_bootstrap(const std::vector<Judged>& films, Measure measure) {
    Figure out{measure(films), kNone, kNone};
    if (std::isnan(out.value)) return out;
    std::mt19937 random(kSeed);
    std::uniform_int_distribution<std::size_t> any(0, films.size() - 1);
    std::vector<double> values;
    std::vector<Judged> drawn(films.size());
    for (int i = 0; i < kResamples; ++i) {
        for (auto& film : drawn) film = films[any(random)];
        if (const double value = measure(drawn); !std::isnan(value)) values.push_back(value);
    }
    if (values.empty()) return out;
    std::sort(values.begin(), values.end());
    const auto at = [&values](double part) { return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))]; };
    out.low = at(0.025);
    out.high = at(0.975);
    return out;
}

struct Bin {
    std::size_t films = 0, ill = 0;
    double probability = 0;
};
std::array<Bin, 10> tenths(const std::vector<Judged>& films) {
    std::array<Bin, 10> bins;
    for (const auto& film : films) {
        if (film.is_refused) continue;
        auto& bin = bins[static_cast<std::size_t>(std::clamp(film.probability * 10, 0.0, 9.0))];
        ++bin.films;
        bin.ill += film.is_ill ? 1 : 0;
        bin.probability += film.probability;
    }
    return bins;
}

}  // namespace

double area_under_roc(const std::vector<Judged>& films) {
    const auto [ill, healthy] = count(films);
    if (ill == 0 || healthy == 0) return kNone;
    double pairs = 0;
    std::size_t above = 0;
    for (const auto& step : steps_down(films)) {
        pairs += static_cast<double>(step.healthy) * (static_cast<double>(above) + static_cast<double>(step.ill) / 2);
        above += step.ill;
    }
    return pairs / (static_cast<double>(ill) * static_cast<double>(healthy));
}

double average_precision(const std::vector<Judged>& films) {
    const auto ill = count(films).ill;
    if (ill == 0) return kNone;
    double sum = 0;
    std::size_t hits = 0, taken = 0;
    for (const auto& step : steps_down(films)) {
        hits += step.ill;
        taken += step.ill + step.healthy;
        sum += static_cast<double>(step.ill) * static_cast<double>(hits) / static_cast<double>(taken);
    }
    return sum / static_cast<double>(ill);
}

double calibration_error(const std::vector<Judged>& films) {
    double error = 0;
    std::size_t all = 0;
    for (const auto& bin : tenths(films)) {
        error += std::abs(bin.probability - static_cast<double>(bin.ill));
        all += bin.films;
    }
    return all == 0 ? kNone : error / static_cast<double>(all);
}

Figure proportion(std::size_t hits, std::size_t of) {
    if (of == 0) return {kNone, kNone, kNone};
    constexpr double z = 1.959964;
    const auto n = static_cast<double>(of);
    const double p = static_cast<double>(hits) / n;
    const double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
    const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
    return {p, std::min(p, centre - half), std::max(p, centre + half)};
}

Evaluation evaluate(const std::vector<Judged>& films, double threshold) {
    Evaluation out;
    out.n = films.size();
    out.threshold = threshold;
    const auto [ill, healthy] = count(films);
    std::size_t hits = 0, cleared = 0;
    for (const auto& film : films) {
        if (film.is_refused)
            ++out.refused;
        else if (film.is_ill && film.probability >= threshold)
            ++hits;
        else if (!film.is_ill && film.probability < threshold)
            ++cleared;
    }
    out.accuracy = proportion(hits + cleared, films.size());
    out.sensitivity = proportion(hits, ill);
    out.specificity = proportion(cleared, healthy);
    out.auc = by_bootstrap(films, area_under_roc);
    out.pr_auc = by_bootstrap(films, average_precision);
    out.ece = by_bootstrap(films, calibration_error);
    out.sensitivity_at_specificity = by_bootstrap(films, best_sensitivity);
    std::size_t above_ill = 0, above_healthy = 0;
    out.roc.push_back({0, 0});
    for (const auto& step : steps_down(films)) {
        above_ill += step.ill;
        above_healthy += step.healthy;
        const auto sensitivity = ill == 0 ? 0 : static_cast<double>(above_ill) / static_cast<double>(ill);
        out.roc.push_back({healthy == 0 ? 0 : static_cast<double>(above_healthy) / static_cast<double>(healthy), sensitivity});
        out.precision.push_back({sensitivity, static_cast<double>(above_ill) / static_cast<double>(above_ill + above_healthy)});
    }
    for (const auto& bin : tenths(films)) {
        const auto size = static_cast<double>(bin.films);
        if (bin.films > 0) out.calibration.push_back({bin.probability / size, static_cast<double>(bin.ill) / size});
    }
    return out;
}

}  // namespace fiducial::vision
